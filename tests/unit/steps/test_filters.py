"""The three label sets and the reasons for discarding."""

from __future__ import annotations

import numpy as np
import pytest

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.labels import equivalent_diameters
from nucdl_core.results import Segmentation
from nucdl_core.steps.filters import filter_nuclei


def squares(*corners_and_sides, shape=(60, 80)):
    """Make a segmentation of squares: (row, col, side) each, with the scores 0.1, 0.2, ..."""
    labels = np.zeros(shape, np.int32)
    for number, (row, col, side) in enumerate(corners_and_sides, 1):
        labels[row : row + side, col : col + side] = number
    scores = np.arange(1, len(corners_and_sides) + 1, dtype=np.float32) / 10
    return Segmentation(labels, scores, (labels > 0).astype(np.float32), 10.0)


@pytest.fixture
def mixed():
    """A nucleus at the border, a small one, a good one, a large one, and a small one at the border."""
    return squares((0, 10, 10), (20, 2, 3), (20, 20, 10), (20, 40, 30), (57, 70, 3))


STRICT = SegmentConfig(minimum_diameter=5, maximum_diameter=20, discard_border=True)


def numbers(labels):
    return sorted(set(np.unique(labels)) - {0})


def test_the_default_configuration_keeps_every_nucleus(mixed):
    nuclei = filter_nuclei(mixed, SegmentConfig())
    np.testing.assert_array_equal(nuclei.segmentation.labels, mixed.labels)
    np.testing.assert_array_equal(nuclei.small_removed, mixed.labels)
    assert numbers(nuclei.border_excluded) == numbers(nuclei.inside_excluded) == []


def test_only_nuclei_inside_the_limits_and_off_the_border_are_kept(mixed):
    nuclei = filter_nuclei(mixed, STRICT)
    np.testing.assert_array_equal(nuclei.segmentation.labels > 0, mixed.labels == 3)
    np.testing.assert_allclose(nuclei.segmentation.scores, [0.3])


def test_the_unedited_labels_hold_every_nucleus(mixed):
    np.testing.assert_array_equal(filter_nuclei(mixed, STRICT).unedited, mixed.labels)


def test_the_small_removed_labels_lack_small_and_border_nuclei_but_not_large_ones(mixed):
    assert numbers(filter_nuclei(mixed, STRICT).small_removed) == [3, 4]


def test_a_nucleus_discarded_at_the_border_is_not_counted_as_discarded_for_its_size(mixed):
    nuclei = filter_nuclei(mixed, STRICT)
    assert numbers(nuclei.border_excluded) == [1, 5]
    assert numbers(nuclei.inside_excluded) == [2, 4]


def test_small_nuclei_stay_in_the_small_removed_labels_when_sizes_do_not_matter(mixed):
    assert numbers(filter_nuclei(mixed, SegmentConfig(discard_border=True)).small_removed) == [2, 3, 4]


def test_a_nucleus_exactly_as_large_as_a_limit_is_kept():
    found = squares((10, 10, 10))
    diameter = float(equivalent_diameters(found.labels)[0])
    for config in (
        SegmentConfig(minimum_diameter=diameter),
        SegmentConfig(maximum_diameter=diameter),
    ):
        assert filter_nuclei(found, config).segmentation.count == 1


def test_a_nucleus_that_touches_the_border_of_the_mask_is_discarded():
    mask = np.ones((60, 80), bool)
    mask[:, 40:] = False
    found = squares((10, 10, 10), (30, 30, 10))
    assert filter_nuclei(found, SegmentConfig(discard_border=True), mask).segmentation.count == 1
    assert filter_nuclei(found, SegmentConfig(discard_border=True)).segmentation.count == 2


def test_the_border_of_the_mask_counts_also_when_a_nucleus_touches_that_of_the_image():
    mask = np.ones((60, 80), bool)
    mask[:, 40:] = False
    found = squares((0, 10, 10), (30, 30, 10))
    assert filter_nuclei(found, SegmentConfig(discard_border=True), mask).segmentation.count == 0


def test_an_image_without_nuclei_stays_one_without_nuclei():
    nuclei = filter_nuclei(squares(), STRICT)
    assert nuclei.segmentation.count == 0
    assert numbers(nuclei.small_removed) == numbers(nuclei.unedited) == []


def test_the_labels_that_went_in_are_not_modified(mixed):
    before = mixed.labels.copy()
    nuclei = filter_nuclei(mixed, STRICT)
    assert nuclei.small_removed.dtype == nuclei.inside_excluded.dtype == np.int32
    np.testing.assert_array_equal(mixed.labels, before)


def test_nuclei_of_which_the_network_is_less_sure_are_no_nuclei(mixed):
    nuclei = filter_nuclei(mixed, SegmentConfig(minimum_confidence=0.3))
    kept = [number for number, score in enumerate(mixed.scores, start=1) if score >= 0.3]
    assert nuclei.segmentation.count == len(kept) < mixed.count
    assert numbers(nuclei.small_removed) == kept
    assert numbers(nuclei.inside_excluded) == [n for n in range(1, mixed.count + 1) if n not in kept]


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_confidence_that_cannot_be_is_refused(value):
    with pytest.raises(ConfigError, match="minimum confidence is"):
        SegmentConfig(minimum_confidence=value)
