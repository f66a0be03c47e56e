"""Label images: hand-made arrays with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import drawn
from skimage.measure import regionprops
from skimage.segmentation import find_boundaries

from nucdl_core import labels as lb
from nucdl_core import large
from nucdl_core.errors import ImageError


def image(*rows):
    return np.array(rows, np.int32)


TWO = image([0, 1, 1, 0], [0, 1, 1, 2], [0, 0, 0, 2])
EMPTY = np.zeros((3, 4), np.int32)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int64, np.uint64])
def test_any_integer_array_can_be_labels(dtype):
    array = np.array([[0, 1], [1, 0]], dtype)
    labels = lb.as_labels(array)
    assert labels.dtype == np.int32
    assert labels.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 3), np.int32), "2 dimensions"),
        (np.zeros((2, 2), np.float32), "whole numbers"),
        (np.array([[0, -3]], np.int16), "holds -3"),
        (np.array([[0, 2**31]], np.uint32), "2147483648"),
    ],
)
def test_an_array_that_is_no_label_image_is_refused(array, message):
    with pytest.raises(ImageError, match=message):
        lb.as_labels(array)


def test_relabel_closes_gaps_and_keeps_the_order():
    assert lb.relabel(image([7, 0, 3], [7, 9, 9])).tolist() == [[2, 0, 1], [2, 3, 3]]


def test_relabel_copes_with_numbers_too_large_for_a_table():
    labels = lb.relabel(np.array([[0, 4_000_000_000, 5], [5, 0, 2**31]], np.uint32))
    assert labels.dtype == np.int32
    assert labels.tolist() == [[0, 3, 1], [1, 0, 2]]


def test_relabel_returns_a_new_array():
    labels = TWO.copy()
    lb.relabel(labels)[:] = 5
    assert np.array_equal(labels, TWO)


def test_relabel_refuses_negative_numbers():
    with pytest.raises(ImageError, match="-1"):
        lb.relabel(image([0, -1]))


def test_areas_count_pixels_and_give_0_for_a_gap():
    assert lb.areas(image([3, 1, 1], [3, 0, 0])).tolist() == [2, 0, 2]


def test_the_equivalent_diameter_is_that_of_the_circle_with_the_same_area():
    assert lb.equivalent_diameters(image([1, 1], [1, 1])) == pytest.approx([2 * np.sqrt(4 / np.pi)])


def test_centroids_agree_with_regionprops():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 6, (20, 30)).astype(np.int32)
    assert lb.centroids(labels) == pytest.approx(np.array([region.centroid for region in regionprops(labels)]))


def test_the_centroid_of_a_gap_is_nan():
    centres = lb.centroids(image([2, 0], [2, 0]))
    assert np.isnan(centres[0]).all()
    assert centres[1].tolist() == [0.5, 0.0]


@pytest.mark.parametrize("function", [lb.areas, lb.equivalent_diameters, lb.centroids, lb.touches_border])
def test_an_empty_image_has_no_values(function):
    assert len(function(EMPTY)) == 0


def test_a_nucleus_on_any_edge_touches_the_border():
    labels = np.zeros((7, 7), np.int32)
    labels[0, 3], labels[6, 3], labels[3, 0], labels[3, 6], labels[3, 3] = 1, 2, 3, 4, 5
    assert lb.touches_border(labels).tolist() == [True, True, True, True, False]


def test_a_nucleus_beside_a_masked_pixel_touches_the_border():
    labels = np.zeros((9, 9), np.int32)
    labels[2, 2], labels[2, 6], labels[6, 4] = 1, 2, 3
    mask = np.ones((9, 9), bool)
    mask[1, 2] = False  # Above nucleus 1.
    mask[5, 3] = False  # At a corner of nucleus 3: no neighbour.
    assert lb.touches_border(labels, mask).tolist() == [True, False, False]


def test_a_nucleus_under_the_mask_touches_the_border():
    labels = np.zeros((5, 5), np.int32)
    labels[2, 2] = 1
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    assert lb.touches_border(labels, mask).tolist() == [True]


def test_a_mask_without_holes_changes_nothing():
    labels = np.zeros((5, 5), np.int32)
    labels[1, 1] = 1
    assert lb.touches_border(labels, np.ones((5, 5), bool)).tolist() == [False]


def test_outlines_agree_with_find_boundaries():
    rng = np.random.default_rng(5)
    labels = np.kron(rng.integers(0, 4, (6, 8)), np.ones((5, 5))).astype(np.int32)
    assert np.array_equal(lb.outlines(labels), find_boundaries(labels, connectivity=1, mode="inner"))


def test_the_outline_of_touching_nuclei_runs_between_them():
    assert lb.outlines(image([1, 1, 2, 2])).tolist() == [[False, True, True, False]]


def test_resizing_by_whole_factors_and_back_is_the_identity():
    large = lb.resize_nearest(TWO, (9, 12))
    assert np.array_equal(large, np.kron(TWO, np.ones((3, 3), np.int32)))
    assert large.dtype == np.int32
    assert np.array_equal(lb.resize_nearest(large, TWO.shape), TWO)


def test_a_new_pixel_takes_the_number_at_its_centre():
    assert lb.resize_nearest(image([1, 2, 3, 4, 5]), (1, 3)).tolist() == [[1, 3, 5]]
    assert lb.resize_nearest(image([1, 2]), (2, 3)).tolist() == [[1, 2, 2], [1, 2, 2]]


def test_only_the_largest_piece_of_a_nucleus_is_kept():
    labels = image([1, 0, 1, 1, 0], [0, 0, 1, 0, 2], [2, 2, 0, 0, 0], [2, 0, 0, 3, 0])
    expected = image([0, 0, 1, 1, 0], [0, 0, 1, 0, 0], [2, 2, 0, 0, 0], [2, 0, 0, 3, 0])
    result = lb.largest_component(labels)
    assert np.array_equal(result, expected)
    assert result.dtype == np.int32


def test_pixels_that_touch_at_a_corner_are_one_piece():
    labels = image([1, 0, 0], [0, 1, 0], [0, 0, 1])
    assert np.array_equal(lb.largest_component(labels), labels)


def test_of_equal_pieces_the_first_is_kept():
    assert lb.largest_component(image([4, 0, 4], [0, 0, 0], [4, 0, 4])).tolist() == [[4, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_an_empty_image_keeps_nothing():
    assert np.array_equal(lb.largest_component(EMPTY), EMPTY)


@pytest.mark.parametrize(
    "function", [lb.relabel, lb.areas, lb.centroids, lb.outlines, lb.largest_component, lb.touches_border, lb.as_labels]
)
def test_the_input_is_never_modified(function):
    labels = TWO.copy()
    labels.setflags(write=False)
    function(labels)
    assert np.array_equal(labels, TWO)


def test_a_positive_offset_widens_nuclei_into_the_background_only():
    labels = np.zeros((9, 12), np.int32)
    labels[3:6, 3:6], labels[3:6, 6:9] = 1, 2
    wider = lb.offset_outlines(labels, 1)
    assert np.array_equal(wider > 0, np.pad(np.ones((5, 8), bool), ((2, 2), (2, 2))))
    assert (wider[3:6, 3:9] == labels[3:6, 3:9]).all()
    assert lb.offset_outlines(labels, 0.5)[2, 2] == 0 < lb.offset_outlines(labels, 0.5)[2, 3]


def test_a_negative_offset_tightens_them_and_keeps_the_line_between_two():
    labels = np.zeros((9, 12), np.int32)
    labels[2:7, 1:6], labels[2:7, 6:11] = 1, 2
    tighter = lb.offset_outlines(labels, -1)
    assert np.array_equal(np.argwhere(tighter > 0)[[0, -1]], [[3, 2], [5, 9]])
    assert tighter[4, 5] == 1
    assert tighter[4, 6] == 2


def test_an_offset_leaves_the_image_border_alone_and_no_offset_everything():
    labels = np.ones((5, 5), np.int32)
    assert lb.offset_outlines(labels, -2).all()
    assert lb.offset_outlines(TWO, 0) is TWO


@pytest.mark.parametrize("pixels", [1, 5, 9])
def test_counting_in_strips_gives_the_same_areas_and_centres(monkeypatch, pixels):
    areas, centres = lb.areas(TWO), lb.centroids(TWO)
    monkeypatch.setattr(large, "STRIP_PIXELS", pixels)
    assert np.array_equal(lb.areas(TWO), areas)
    assert np.array_equal(lb.centroids(TWO), centres)


def test_the_contact_share_tells_nuclei_from_intensities():
    blocks = np.kron(np.array([[1, 2], [0, 3]], np.int32), np.ones((10, 10), np.int32))
    assert lb.contact_share(blocks) == pytest.approx(20 / (3 * 180 + 20))
    intensities = np.random.default_rng(0).integers(1, 60_000, (40, 50)).astype(np.int32)
    assert lb.contact_share(intensities) > 0.99
    assert lb.contact_share(np.zeros((5, 5), np.int32)) == 0


def test_tidying_keeps_the_largest_pieces_closes_gaps_and_tells_the_old_numbers_and_areas():
    labels = drawn("22..5", "2...5", "...22", "7....")
    tidy, numbers, sizes = lb.tidied(labels)
    np.testing.assert_array_equal(tidy, drawn("11..2", "1...2", ".....", "3...."))
    assert numbers.tolist() == [2, 5, 7]
    assert sizes.tolist() == [3, 2, 1]
    assert tidy.dtype == np.int32


def test_tidying_an_empty_image_finds_nothing():
    tidy, numbers, sizes = lb.tidied(np.zeros((3, 4), np.int32))
    assert not tidy.any() and numbers.shape == sizes.shape == (0,)
