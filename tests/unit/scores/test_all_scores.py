"""All scores of an image, against loops over masks, and against figures of StarDist's and scikit-learn's functions."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from drawings import random_labels, strip
from scored import all_scores

from nucdl_core.errors import ImageError
from nucdl_core.labels import relabel
from nucdl_core.overlap import overlap
from nucdl_core.scores import matching
from nucdl_core.scores.all_scores import ALL_AVERAGED, ALL_COUNTED, summarize_all
from nucdl_core.scores.author_rules import SIZE_CLASSES

# (tp, fp, fn, precision, recall, f1, accuracy, panoptic quality), as `stardist.matching.matching` of StarDist 0.9.2
# gives them for the images of `damaged_pair`; it counts an IoU on the threshold, so it got 1e-6 more.
STARDIST = {
    (0, 0.5): (8, 3, 3, 0.727272727273, 0.727272727273, 0.727272727273, 0.571428571429, 0.531935345043),
    (0, 0.7): (5, 6, 6, 0.454545454545, 0.454545454545, 0.454545454545, 0.294117647059, 0.35897192088),
    (1, 0.5): (10, 1, 1, 0.909090909091, 0.909090909091, 0.909090909091, 0.833333333333, 0.637711524963),
    (1, 0.7): (6, 5, 5, 0.545454545455, 0.545454545455, 0.545454545455, 0.375, 0.417772249742),
    (2, 0.5): (11, 1, 1, 0.916666666667, 0.916666666667, 0.916666666667, 0.846153846154, 0.652679085732),
    (2, 0.7): (7, 5, 5, 0.583333333333, 0.583333333333, 0.583333333333, 0.411764705882, 0.458178083102),
}


def damaged_pair(seed):
    """Return random nuclei, and the same moved down by a row and cut by an empty stripe."""
    truth = random_labels(np.random.default_rng(seed))
    prediction = np.roll(truth, (1, 0), (0, 1))
    prediction[:, 25:28] = 0
    return truth, prediction


@pytest.mark.parametrize("seed, threshold", STARDIST)
def test_matches_are_those_of_stardist(seed, threshold):
    truth, prediction = damaged_pair(seed)
    hits, false, missed, precision, recall, f1, accuracy, quality = STARDIST[seed, threshold]
    counts = matching.match_counts(overlap(relabel(truth), relabel(prediction)), [threshold])
    assert (counts.true_positives, counts.false_positives, counts.false_negatives) == (hits, false, missed)
    scores = all_scores(truth, prediction)
    level = f"{threshold:.2f}"
    found = (scores[f"precision_{level}"], scores[f"recall_{level}"], scores[f"f1_{level}"], counts.accuracy[0])
    assert found == pytest.approx((precision, recall, f1, accuracy))
    if threshold == 0.5:
        assert scores["panoptic_quality"] == pytest.approx(quality)


@pytest.mark.parametrize("seed", range(3))
def test_pixel_scores_are_those_of_scikit_learn(seed):
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    truth, prediction = damaged_pair(seed)
    masks = (truth > 0).ravel(), (prediction > 0).ravel()
    scores = all_scores(truth, prediction)
    assert scores["pixel_accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(*masks))
    assert scores["mean_iou"] == pytest.approx(sklearn_metrics.jaccard_score(*masks, average="macro"))


def test_missed_nuclei_are_counted_by_their_size():
    truth = strip((1, 10), (2, 10), (3, 10), (4, 3), (5, 20))
    prediction = strip((1, 10), (2, 10), (0, 10), (4, 3), (0, 20))
    scores = all_scores(truth, prediction)
    assert [scores[f"n_truth_{size}"] for size in SIZE_CLASSES] == [1, 0, 3, 1]
    assert [scores[f"missed_0.70_{size}"] for size in SIZE_CLASSES] == [0, 0, 1, 1]


def test_the_scores_of_an_image_are_those_of_the_definitions():
    # Matched with IoU 0.8, halved, and one extra.
    truth = strip((1, 10), (2, 10), (0, 5))
    prediction = strip((1, 8), (0, 2), (2, 5), (3, 5), (4, 5))
    scores = all_scores(truth, prediction)
    assert (scores["kromp_true_positives"], scores["kromp_false_positives"], scores["kromp_false_negatives"]) == (
        1,
        3,
        1,
    )
    assert (scores["kromp_over_segmented"], scores["kromp_under_segmented"], scores["kromp_detected"]) == (1, 0, 2)
    assert (scores["hollandi_splits"], scores["hollandi_merges"]) == (1, 0)
    assert scores["kromp_precision"] == 1 / 4
    assert scores["kromp_recall"] == 1 / 2
    assert scores["kromp_f1"] == pytest.approx(2 / 6)
    assert scores["mean_dice"] == pytest.approx(16 / 18)
    assert scores["mean_precision"] == pytest.approx(6 / 10 / 4)
    assert scores["mean_recall"] == pytest.approx(6 / 10 / 2)
    assert scores["panoptic_quality"] == pytest.approx(2 * 0.8 / 6)
    assert scores["pixel_accuracy"] == pytest.approx(18 / 25)
    assert scores["mean_iou"] == pytest.approx(18 / 25 / 2)


def test_all_scores_hold_those_of_image_scores():
    truth, prediction = damaged_pair(4)
    scores = all_scores(truth, prediction)
    assert sorted(scores) == sorted(ALL_AVERAGED + ALL_COUNTED)
    expected = matching.image_scores(truth, prediction)
    assert {name: scores[name] for name in expected} == expected


def test_two_empty_images_agree_perfectly_and_one_empty_image_not_at_all():
    empty, full = np.zeros((1, 10), np.int32), strip((1, 5), (2, 5))
    both = all_scores(empty, empty)
    assert {both[name] for name in ALL_AVERAGED} == {1.0}
    assert {both[name] for name in ALL_COUNTED} == {0}
    for pair in ((empty, full), (full, empty)):
        scores = all_scores(*pair)
        assert {scores[name] for name in ALL_AVERAGED} == {0.0}


def test_the_summary_pools_rates_over_all_nuclei():
    whole, halves, none = strip((1, 10), (2, 10)), strip((1, 5), (2, 5), (3, 10)), np.zeros((1, 20), np.int32)
    summary = summarize_all(
        pd.DataFrame([all_scores(whole, halves), all_scores(whole, none), all_scores(whole, whole)])
    )
    assert summary["kromp_over_rate"] == pytest.approx(1 / 6)
    assert summary["kromp_under_rate"] == 0
    assert summary["missed_share_0.70_normal"] == pytest.approx(3 / 6)
    assert summary["missed_share_0.70_tiny"] == 0
    assert summary["mean_recall"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert summary["kromp_true_positives"] == 3


def test_a_summary_of_no_image_is_refused():
    with pytest.raises(ImageError, match="no image"):
        summarize_all(pd.DataFrame())


def test_all_scores_of_3000_nuclei_on_2160_x_2160_pixels_take_under_a_second():
    number = np.arange(1, 55 * 55 + 1, dtype=np.int32).reshape(55, 55)
    truth = np.zeros((2160, 2160), np.int32)
    truth[:2145, :2145] = np.kron(number, np.pad(np.ones((30, 30), np.int32), (4, 5)))
    prediction = np.roll(truth, 2, axis=1)
    start = time.process_time()
    scores = all_scores(truth, prediction)
    assert time.process_time() - start < 1.0  # 0.13 s on an idle machine.
    assert scores["kromp_true_positives"] == 55 * 55
