"""Scores of areas, against loops over masks."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import brute_force_iou, random_labels, strip
from scored import all_scores


def brute_force_aji(truth, prediction):
    """Return the aggregated Jaccard index, adding masks one after the other."""
    shared, union, used = 0, 0, set()
    for number in np.unique(truth[truth > 0]):
        mask = truth == number
        partners = np.unique(prediction[mask & (prediction > 0)])
        ious = [(mask & (prediction == other)).sum() / (mask | (prediction == other)).sum() for other in partners]
        if not ious:
            union += mask.sum()
            continue
        best = partners[int(np.argmax(ious))]
        used.add(best)
        shared += (mask & (prediction == best)).sum()
        union += (mask | (prediction == best)).sum()
    for number in set(np.unique(prediction[prediction > 0])) - used:
        union += (prediction == number).sum()
    return shared / union


@pytest.mark.parametrize("seed", range(6))
def test_area_scores_agree_with_loops_over_masks(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = random_labels(rng), random_labels(rng, count=25)
    scores = all_scores(truth, prediction)
    assert scores["aji"] == pytest.approx(brute_force_aji(truth, prediction))
    matrix = brute_force_iou(truth, prediction)
    assert scores["panoptic_quality"] == pytest.approx(2 * matrix[matrix > 0.5].sum() / sum(matrix.shape))
    assert scores["pixel_accuracy"] == pytest.approx(((truth > 0) == (prediction > 0)).mean())


def test_unused_predictions_lower_the_aggregated_jaccard_index():
    truth = strip((1, 10), (0, 10))
    assert all_scores(truth, strip((1, 10), (0, 10)))["aji"] == 1
    assert all_scores(truth, strip((1, 10), (2, 10)))["aji"] == 0.5


def test_an_image_without_pixels_has_scores():
    nothing = np.zeros((0, 4), np.int32)
    assert all_scores(nothing, nothing)["pixel_accuracy"] == 1.0
