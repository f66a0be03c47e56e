"""Outlines that move, nuclei that are split and merged."""

import numpy as np
import pytest

from nucdl_core.annotate.changes import merge, moved, split_by_line
from nucdl_core.errors import AnnotationError
from nucdl_core.exchange.objects import PlacedMask, trimmed
from nucdl_core.labels import offset_outlines

SHAPE = (40, 40)
NOTHING = np.zeros(SHAPE, np.int32)


def rectangle(top, left, bottom, right):
    return PlacedMask(np.ones((bottom - top, right - left), bool), top, left)


def drawn(*parts):
    labels = np.zeros(SHAPE, np.int32)
    for number, (mask, row, col) in enumerate(parts, start=1):
        labels[row : row + mask.shape[0], col : col + mask.shape[1]][mask] = number
    return labels


@pytest.mark.parametrize("offset", [-2.0, -0.5, 0.5, 1.0, 3.0])
def test_an_outline_moves_as_those_of_a_whole_image_do(offset):
    nucleus, neighbour = rectangle(10, 10, 20, 20), rectangle(10, 20, 20, 30)
    labels = drawn(nucleus, neighbour)
    found = moved(nucleus, offset, np.where(labels == 2, 5, 0))
    assert np.array_equal(drawn(found) == 1, offset_outlines(labels, offset) == 1)


def test_the_border_of_the_image_is_no_outline():
    corner = rectangle(0, 0, 10, 10)
    assert moved(corner, -2, NOTHING)[1:] == (0, 0)
    assert moved(corner, -2, NOTHING).mask.shape == (8, 8)


def test_a_nucleus_that_vanishes_has_no_pixel_and_one_that_falls_apart_keeps_its_largest_piece():
    assert moved(rectangle(5, 5, 8, 8), -3, NOTHING).mask.size == 0
    dumbbell = np.zeros((12, 30), bool)
    dumbbell[:, :14] = dumbbell[5:7, 14:20] = dumbbell[1:11, 20:] = True
    assert moved(PlacedMask(dumbbell, 2, 2), -2, NOTHING).mask.shape == (8, 10)


def test_a_line_across_a_nucleus_parts_it_and_no_pixel_is_lost():
    nucleus = rectangle(5, 5, 25, 25)
    parts = split_by_line(nucleus, [(2, 11.5), (30, 12.5)])
    assert [part.mask.sum() for part in parts] == sorted((part.mask.sum() for part in parts), reverse=True)
    assert len(parts) == 2
    assert np.array_equal(drawn(*parts) > 0, drawn(nucleus) > 0)


def test_a_slanting_line_and_one_that_crosses_twice_part_a_nucleus():
    assert len(split_by_line(rectangle(5, 5, 25, 25), [(0, 0), (30, 30)])) == 2
    assert len(split_by_line(rectangle(5, 5, 25, 25), [(0, 10), (30, 10), (30, 18), (0, 18)])) == 3


@pytest.mark.parametrize("line", [[(0, 10), (15, 10)], [(30, 30), (35, 35)], [(5.5, 0), (5.5, 40)]])
def test_a_line_that_ends_inside_or_misses_or_runs_along_the_rim_parts_nothing(line):
    nucleus = rectangle(5, 5, 25, 25)
    assert split_by_line(nucleus, line) == [nucleus]


def test_a_sliver_is_no_nucleus():
    corner = [(4, 8.5), (8.5, 4)]
    assert len(split_by_line(rectangle(5, 5, 25, 25), corner)) == 1


def test_touching_nuclei_become_one():
    whole = merge([rectangle(5, 5, 15, 10), rectangle(5, 10, 15, 20)], NOTHING)
    assert (whole.mask.all(), whole.mask.shape) == (True, (10, 15))


def test_a_narrow_gap_is_filled_but_not_where_another_nucleus_is():
    parts = [rectangle(5, 5, 15, 10), rectangle(5, 12, 15, 20)]
    filled = merge(parts, NOTHING).mask
    assert filled[2:-2].all()
    others = NOTHING.copy()
    others[5:8, 10:12] = 9
    assert not (drawn(merge(parts, others)) & (others > 0)).any()


def test_nuclei_far_apart_and_single_ones_are_not_merged():
    with pytest.raises(AnnotationError, match="more than 6 pixels apart"):
        merge([rectangle(5, 5, 15, 10), rectangle(5, 20, 15, 30)], NOTHING)
    with pytest.raises(AnnotationError, match="select two or more"):
        merge([rectangle(5, 5, 15, 10)], NOTHING)


def test_nothing_is_moved_by_no_offset():
    nucleus = trimmed(np.ones((3, 3), bool), 4, 4)
    assert moved(nucleus, 0, NOTHING) is nucleus
