"""Lobes of one nucleus, joined by how bright the gap is, how close they are and how large the whole becomes."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import disks
from scipy import ndimage

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.labels import areas
from nucdl_core.results import Found
from nucdl_core.steps.lobes import first_lobes, gap_light, join_lobes

CENTRES, RADIUS = ((20, 20), (20, 32), (20, 60)), 5


def field(strand=0.8, scores=None):
    """Two lobes, 1 px apart, with a strand of some brightness between them, and a lobe by itself."""
    labels = disks((40, 80), CENTRES, RADIUS)
    image = ndimage.gaussian_filter((labels > 0).astype(np.float32), 0.5)
    image[19:22, 25:28] = np.maximum(image[19:22, 25:28], strand)
    return Found(labels, areas(labels), (labels > 0).astype(np.float32), scores), image


def test_lobes_with_a_bright_gap_become_one_nucleus_in_one_piece():
    found, image = field()
    joined = join_lobes(found, image, 16.0)
    assert len(joined.areas) == 2
    assert joined.labels[20, 20] == joined.labels[20, 26] == joined.labels[20, 32] == 1
    assert ndimage.label(joined.labels == 1)[1] == 1
    np.testing.assert_array_equal(joined.labels == 2, found.labels == 3)


def test_lobes_with_a_dark_gap_stay_apart():
    found, image = field(strand=0.0)
    image[:, 26] = 0
    assert len(join_lobes(found, image, 16.0).areas) == 3


def test_what_would_be_larger_than_a_lobed_nucleus_stays_apart():
    found, image = field()
    whole = np.sqrt(4 / np.pi * found.areas[:2].sum())
    assert len(join_lobes(found, image, whole - 0.1).areas) == 3
    assert len(join_lobes(found, image, whole + 0.1).areas) == 2


def test_lobes_that_are_far_from_each_other_stay_apart():
    found, image = field()
    assert len(join_lobes(found, np.ones_like(image), 16.0).areas) == 2


@pytest.mark.parametrize("labels", [np.zeros((9, 9), np.int32), disks((9, 9), [(4, 4)], 2)])
def test_fewer_than_two_lobes_stay_as_they_are(labels):
    found = Found(labels, areas(labels), (labels > 0).astype(np.float32))
    assert join_lobes(found, np.ones((9, 9), np.float32), 8.0) is found


def test_without_a_diameter_nothing_is_joined():
    found, image = field()
    assert join_lobes(found, image, 0.0) is found


def test_a_joined_nucleus_has_the_score_of_its_first_lobe():
    found, image = field(scores=np.array([0.7, 0.8, 0.9], np.float32))
    np.testing.assert_allclose(join_lobes(found, image, 16.0).scores, [0.7, 0.9])


def test_the_light_of_a_gap_is_that_of_its_brightest_place():
    near = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 0, 0]], np.int32)
    light = np.array([[9, 4, 5, 9], [9, 6, 7, 9], [2, 3, 0, 0]], np.float32)
    pairs, brightest = gap_light(near, light)
    assert pairs.tolist() == [[1, 2], [1, 3]]
    np.testing.assert_array_equal(brightest, [6, 3])


def test_pairs_are_joined_in_their_order_until_the_whole_would_be_too_large():
    sizes = np.array([10, 10, 10, 10])
    assert list(first_lobes(np.array([[1, 2], [2, 3], [3, 4]]), sizes, 30.0)) == [0, 1, 1, 1, 4]
    assert list(first_lobes(np.array([[3, 4], [2, 3], [1, 2]]), sizes, 30.0)) == [0, 1, 2, 2, 2]


@pytest.mark.parametrize("diameter", [-3, 1.5, 2000])
def test_an_impossible_diameter_of_a_lobed_nucleus_is_refused(diameter):
    with pytest.raises(ConfigError, match="lobed diameter is .*; give that of the largest lobed nucleus"):
        SegmentConfig(lobed_diameter=diameter)
