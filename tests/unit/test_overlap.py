"""Pairs of nuclei that share pixels, against comparisons of masks one by one."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import brute_force_iou, random_labels, strip

from nucdl_core.errors import ImageError
from nucdl_core.overlap import overlap


def test_the_iou_of_all_pairs_is_that_of_brute_force():
    rng = np.random.default_rng(11)
    truth, prediction = random_labels(rng), random_labels(rng)
    pairs = overlap(truth, prediction)
    dense = np.zeros((len(pairs.first_areas), len(pairs.second_areas)))
    dense[pairs.first - 1, pairs.second - 1] = pairs.iou
    present = np.ix_(np.unique(truth)[1:] - 1, np.unique(prediction)[1:] - 1)
    assert dense[present] == pytest.approx(brute_force_iou(truth, prediction))


def test_pairs_are_sorted_and_hold_their_pixels():
    pairs = overlap(strip((2, 4), (1, 4)), strip((1, 6), (2, 2)))
    assert pairs.first.tolist() == [1, 1, 2]
    assert pairs.second.tolist() == [1, 2, 1]
    assert pairs.intersection.tolist() == [2, 2, 4]


def test_images_of_different_shape_are_refused():
    with pytest.raises(ImageError, match=r"\(1, 4\).*\(1, 5\).*same field"):
        overlap(strip((1, 4)), strip((1, 5)))
