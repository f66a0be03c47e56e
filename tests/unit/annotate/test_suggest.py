"""Contours from rough lines and boxes."""

import numpy as np
import pytest

from nucdl_core.annotate.changes import pasted
from nucdl_core.annotate.drawing import inside_box, inside_line
from nucdl_core.annotate.suggest import AS_DRAWN, BY_INTENSITY, BY_MODEL, Guide, suggest
from nucdl_core.errors import AnnotationError

SHAPE = (60, 80)
ROWS, COLS = np.mgrid[: SHAPE[0], : SHAPE[1]]


def disk(row, col, radius):
    return (ROWS - row) ** 2 + (COLS - col) ** 2 <= radius**2


def circle(row, col, radius):
    angles = np.linspace(0, 2 * np.pi, 40)
    return np.stack([row + 0.5 + radius * np.sin(angles), col + 0.5 + radius * np.cos(angles)], axis=1)


def whole(found):
    return pasted(found.placed, (slice(0, SHAPE[0]), slice(0, SHAPE[1])))


NOTHING = np.zeros(SHAPE, np.int32)
NUCLEUS = disk(30, 30, 9)
FLAT = np.zeros(SHAPE, np.float32)
GUIDE = Guide(FLAT, NUCLEUS.astype(np.float32))
BRIGHT = np.where(NUCLEUS, 200, 20).astype(np.uint8)


@pytest.mark.parametrize("drawn", [inside_line(circle(31, 29, 8), SHAPE), inside_box((20, 19), (41, 42), SHAPE)])
def test_a_rough_line_or_box_gives_the_contour_of_the_model(drawn):
    found = suggest(drawn, GUIDE, NOTHING)
    assert found.source == BY_MODEL
    assert np.array_equal(whole(found), NUCLEUS)


def test_holes_of_the_foreground_are_filled():
    guide = Guide(FLAT, (NUCLEUS & ~disk(30, 30, 2)).astype(np.float32))
    assert np.array_equal(whole(suggest(inside_line(circle(30, 30, 9), SHAPE), guide, NOTHING)), NUCLEUS)


def test_a_touching_neighbour_that_the_model_knows_stays_out():
    neighbour = disk(30, 46, 9) & ~NUCLEUS
    both = (NUCLEUS | neighbour).astype(np.float32)
    nuclei = (NUCLEUS + 2 * neighbour).astype(np.int32)
    drawn = inside_line(circle(30, 31, 11), SHAPE)
    assert np.array_equal(whole(suggest(drawn, Guide(FLAT, both, nuclei), NOTHING)), NUCLEUS)
    assert (whole(suggest(drawn, Guide(FLAT, both), NOTHING)) & neighbour).any()


def test_a_part_of_what_the_model_takes_for_one_nucleus_can_be_drawn():
    pair = NUCLEUS | disk(30, 46, 9)
    found = suggest(inside_line(circle(30, 30, 10), SHAPE), Guide(FLAT, pair.astype(np.float32), pair * 1), NOTHING)
    assert found.source == BY_MODEL
    assert not whole(found)[30, 46]
    assert whole(found)[30, 30]


def test_a_small_part_of_a_clump_that_the_model_takes_for_one_nucleus_can_be_drawn():
    clump = np.zeros(SHAPE, bool)
    clump[5:55, 5:75] = True
    found = suggest(inside_box((24, 34), (36, 46), SHAPE), Guide(FLAT, clump.astype(np.float32), clump * 1), NOTHING)
    assert found.source == BY_MODEL
    assert 144 <= found.placed.mask.sum() <= 20 * 20


def test_pixels_of_other_nuclei_are_left_alone_even_in_holes():
    taken = disk(30, 30, 2).astype(np.int32) * 7
    found = suggest(inside_line(circle(30, 30, 9), SHAPE), GUIDE, taken)
    assert np.array_equal(whole(found), NUCLEUS & (taken == 0))


def test_the_threshold_decides_where_the_contour_runs():
    slope = np.clip(1.5 - np.hypot(ROWS - 30, COLS - 30) / 10, 0, 1).astype(np.float32)
    drawn = inside_line(circle(30, 30, 10), SHAPE)
    areas = [suggest(drawn, Guide(FLAT, slope, threshold=at), NOTHING).placed.mask.sum() for at in (0.3, 0.5, 0.7)]
    assert areas == sorted(areas, reverse=True)
    assert len(set(areas)) == 3


@pytest.mark.parametrize("image", [BRIGHT, 255 - BRIGHT, BRIGHT.astype(np.uint16) * 200, BRIGHT / np.float32(255)])
def test_without_a_model_the_region_grows_to_half_height_in_any_bit_depth(image):
    found = suggest(inside_box((18, 18), (43, 43), SHAPE), Guide(image), NOTHING)
    assert found.source == BY_INTENSITY
    assert (whole(found) & NUCLEUS).sum() / (whole(found) | NUCLEUS).sum() > 0.93


def test_where_the_model_sees_nothing_the_intensities_are_tried():
    drawn = inside_line(circle(30, 30, 10), SHAPE)
    assert suggest(drawn, Guide(BRIGHT, FLAT), NOTHING).source == BY_INTENSITY


def test_where_nothing_differs_it_is_what_was_drawn():
    drawn = inside_line(circle(30, 30, 10), SHAPE)
    found = suggest(drawn, Guide(FLAT, FLAT), NOTHING)
    assert found.source == AS_DRAWN
    assert np.array_equal(whole(found), pasted(drawn, (slice(0, 60), slice(0, 80))))


def test_the_line_itself_can_be_asked_for():
    found = suggest(inside_box((20, 20), (40, 40), SHAPE), GUIDE, NOTHING, AS_DRAWN)
    assert whole(found).sum() == 400


def test_what_other_nuclei_have_wholly_gives_nothing():
    found = suggest(inside_line(circle(30, 30, 5), SHAPE), GUIDE, np.ones(SHAPE, np.int32))
    assert found.placed.mask.size == 0


def test_a_nucleus_at_the_border_of_the_image_is_suggested():
    cut = disk(0, 0, 9)
    found = suggest(inside_line(circle(-1, -1, 10), SHAPE), Guide(FLAT, cut.astype(np.float32)), NOTHING)
    assert np.array_equal(whole(found), cut)


def test_impossible_requests_are_refused():
    with pytest.raises(AnnotationError, match="encloses no pixel"):
        suggest(inside_line([(1, 1), (2, 2)], SHAPE), GUIDE, NOTHING)
    with pytest.raises(AnnotationError, match="model, intensity, drawn, not from 'magic'"):
        suggest(inside_box((1, 1), (5, 5), SHAPE), GUIDE, NOTHING, "magic")
    with pytest.raises(AnnotationError, match=r"probability map is \(3, 3\), the image \(60, 80\)"):
        Guide(FLAT, np.zeros((3, 3), np.float32))
