"""Drawn lines and boxes as pixels."""

import numpy as np
import pytest
from scipy import ndimage

from nucdl_core.annotate.drawing import as_path, inside_box, inside_line, on_line
from nucdl_core.errors import AnnotationError


def test_the_pixels_inside_a_line_are_those_whose_centres_are():
    mask, row, col = inside_line([(1, 2), (1, 6), (4, 6), (4, 2)], (10, 10))
    assert (mask.shape, row, col, mask.all()) == ((3, 4), 1, 2, True)


def test_a_line_beyond_the_border_is_cut_there():
    mask, row, col = inside_line([(-5, -5), (-5, 3), (2, 3), (2, -5)], (10, 10))
    assert (mask.shape, row, col) == ((2, 3), 0, 0)


def test_what_a_line_that_crosses_itself_encloses_has_no_holes():
    turns = np.linspace(0, 4 * np.pi, 80)
    radius = np.linspace(6, 14, 80)
    mask = inside_line(np.stack([20 + radius * np.sin(turns), 20 + radius * np.cos(turns)], axis=1), (40, 40)).mask
    assert np.array_equal(mask, ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("points", [np.zeros((0, 2)), [(1, 1)], [(1, 1), (8, 8)]])
def test_a_line_without_an_inside_gives_no_pixel(points):
    assert inside_line(points, (10, 10)).mask.shape == (0, 0)


def test_a_box_holds_every_pixel_that_it_touches_in_any_order_of_its_corners():
    for corners in (((1.2, 2.8), (3.1, 5)), ((3.1, 2.8), (1.2, 5)), ((3.1, 5), (1.2, 2.8))):
        mask, row, col = inside_box(*corners, (10, 10))
        assert (mask.shape, row, col) == ((3, 3), 1, 2)


def test_a_box_outside_of_the_image_gives_no_pixel():
    assert inside_box((-4, -4), (-1, -1), (10, 10)).mask.size == 0


def test_a_line_marks_pixels_that_hang_together():
    marked = np.zeros((10, 10), bool)
    marked[on_line([(0.5, 0.5), (7.5, 3.5), (2.5, 9.5)], (10, 10))] = True
    assert marked[0, 0] and marked[7, 3] and marked[2, 9]
    assert ndimage.label(marked, np.ones((3, 3)))[1] == 1


def test_a_line_outside_or_without_points_marks_nothing():
    for line in ([(-3, -3), (-1, -9)], np.zeros((0, 2))):
        rows, cols = on_line(line, (10, 10))
        assert rows.size == cols.size == 0


@pytest.mark.parametrize("points", [[1, 2, 3], [(1, 2, 3)], [(np.nan, 1)]])
def test_what_is_no_line_is_refused(points):
    with pytest.raises(AnnotationError, match="draw it again"):
        as_path(points)
