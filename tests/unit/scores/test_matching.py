"""Metrics: hand-made arrays, and a brute force that shares no code with the product."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from drawings import brute_force_iou, random_labels, strip
from scipy.optimize import linear_sum_assignment

from nucdl_core.errors import ImageError
from nucdl_core.overlap import overlap
from nucdl_core.scores import matching


def brute_force_matches(matrix, threshold):
    """Return the most matches above the threshold that an optimal assignment finds."""
    allowed = (matrix > threshold).astype(float)
    return int(allowed[linear_sum_assignment(-allowed)].sum())


def test_the_thresholds_are_ten_rounded_numbers():
    assert matching.THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@pytest.mark.parametrize("seed", range(8))
def test_scores_agree_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    truth = random_labels(rng)
    prediction = np.where(rng.random(truth.shape) < 0.07, 0, np.roll(truth, rng.integers(0, 3, 2), (0, 1)))
    matrix = brute_force_iou(truth, prediction)
    n, m = matrix.shape
    scores = matching.image_scores(truth, prediction)
    true_positives = np.array([brute_force_matches(matrix, threshold) for threshold in matching.THRESHOLDS])
    f1 = 2 * true_positives / (n + m)
    assert (scores["n_truth"], scores["n_prediction"]) == (n, m)
    assert [scores[f"f1_{threshold:.2f}"] for threshold in matching.THRESHOLDS] == pytest.approx(f1)
    assert scores["mean_f1"] == pytest.approx(f1.mean())
    assert scores["dsb_score"] == pytest.approx((true_positives / (n + m - true_positives)).mean())
    assert scores["precision_0.70"] == pytest.approx(true_positives[4] / m)
    assert scores["recall_0.90"] == pytest.approx(true_positives[8] / n)
    assert scores["missed_0.70"] == n - true_positives[4]
    assert scores["merges"] == ((matrix >= 0.1).sum(axis=0) > 1).sum()
    assert scores["splits"] == ((matrix >= 0.1).sum(axis=1) > 1).sum()


def test_the_random_images_hold_matches_at_several_thresholds():
    rng = np.random.default_rng(0)
    truth = random_labels(rng)
    f1 = matching.match_counts(overlap(truth, np.roll(truth, 1, 0))).f1
    assert 1 >= f1[0] > f1[5] > f1[-1]


def test_an_iou_on_the_threshold_is_no_match():
    truth = strip((1, 20))
    for twentieths, threshold in enumerate(matching.THRESHOLDS, start=10):
        on = matching.match_counts(overlap(truth, strip((1, twentieths), (0, 20 - twentieths))))
        above = matching.match_counts(overlap(truth, strip((1, twentieths + 1), (0, 19 - twentieths))))
        at = matching.THRESHOLDS.index(threshold)
        assert on.true_positives[at] == 0
        assert above.true_positives[at] == 1


def test_one_of_two_nuclei_found_gives_the_scores_of_the_definition():
    truth = strip((1, 10), (0, 5), (2, 10))
    prediction = strip((1, 10), (3, 5), (0, 10))
    scores = matching.image_scores(truth, prediction)
    assert scores["n_truth"] == 2
    assert scores["n_prediction"] == 2
    assert scores["mean_f1"] == pytest.approx(0.5)
    assert scores["dsb_score"] == pytest.approx(1 / 3)
    assert scores["precision_0.50"] == pytest.approx(0.5)
    assert scores["missed_0.70"] == 1


def test_one_prediction_over_two_nuclei_is_one_merge():
    truth = strip((1, 10), (2, 10), (0, 3))
    prediction = strip((1, 20), (0, 3))
    pairs = overlap(truth, prediction)
    assert matching.merges_and_splits(pairs) == (1, 0)
    assert matching.merges_and_splits(overlap(prediction, truth)) == (0, 1)


def test_a_contact_counts_from_an_iou_of_a_tenth():
    touched = overlap(strip((1, 90), (2, 10)), strip((1, 100)))
    grazed = overlap(strip((1, 91), (2, 9)), strip((1, 100)))
    assert matching.merges_and_splits(touched) == (1, 0)
    assert matching.merges_and_splits(grazed) == (0, 0)


def test_two_empty_images_agree_perfectly():
    empty = np.zeros((4, 5), np.int32)
    scores = matching.image_scores(empty, empty)
    assert all(scores[name] == 1.0 for name in matching.AVERAGED)
    assert all(scores[name] == 0 for name in matching.COUNTED)


@pytest.mark.parametrize("empty_is_truth", [True, False])
def test_nuclei_against_an_empty_image_score_0(empty_is_truth):
    empty, full = np.zeros((1, 10), np.int32), strip((1, 5), (2, 5))
    scores = matching.image_scores(*((empty, full) if empty_is_truth else (full, empty)))
    assert all(scores[name] == 0.0 for name in matching.AVERAGED)
    assert scores["missed_0.70"] == (0 if empty_is_truth else 2)


def test_scores_have_the_documented_names_in_order():
    empty = np.zeros((1, 1), np.int32)
    names = list(matching.image_scores(empty, empty))
    assert sorted(names) == sorted(matching.AVERAGED + matching.COUNTED)
    assert names[:4] == ["n_truth", "n_prediction", "mean_f1", "f1_0.50"]


def test_gaps_in_the_numbers_are_no_nuclei():
    pairs = overlap(strip((3, 4), (7, 4)), strip((5, 8)))
    assert (pairs.first_count, pairs.second_count) == (2, 1)
    assert matching.match_counts(pairs).false_negatives[0] == 2


def test_matched_nuclei_are_flagged_by_their_number():
    truth, prediction = matching.matched_nuclei(overlap(strip((1, 4), (2, 4)), strip((0, 4), (3, 4))), 0.5)
    assert truth.tolist() == [False, True]
    assert prediction.tolist() == [False, False, True]


@pytest.mark.parametrize("threshold", [0.49, 1.0, float("nan")])
def test_a_threshold_at_which_matches_are_not_unique_is_refused(threshold):
    pairs = overlap(strip((1, 4)), strip((1, 4)))
    with pytest.raises(ValueError, match=r"at least 0\.5"):
        matching.match_counts(pairs, [threshold])
    with pytest.raises(ValueError, match=r"at least 0\.5"):
        matching.matched_nuclei(pairs, threshold)


def test_more_than_65535_nuclei_are_told_apart():
    labels = np.arange(1, 90_001, dtype=np.int32).reshape(300, 300)
    scores = matching.image_scores(labels, labels[::-1, ::-1].copy()[::-1, ::-1])
    assert scores["n_truth"] == 90_000
    assert scores["mean_f1"] == 1.0


def test_the_summary_averages_scores_and_adds_counts():
    truth = strip((1, 10), (0, 5), (2, 10))
    rows = [matching.image_scores(truth, truth), matching.image_scores(truth, strip((1, 10), (0, 15)))]
    summary = matching.summarize(pd.DataFrame(rows))
    assert summary["images"] == 2
    assert summary["n_truth"] == 4
    assert summary["n_prediction"] == 3
    assert summary["missed_0.70"] == 1
    assert summary["missed_share_0.70"] == pytest.approx(0.25)
    assert summary["mean_f1"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_summary_of_no_image_is_refused():
    with pytest.raises(ImageError, match="no image"):
        matching.summarize(pd.DataFrame())


def test_3000_nuclei_on_2160_x_2160_pixels_take_under_a_second():
    number = np.arange(1, 55 * 55 + 1, dtype=np.int32).reshape(55, 55)
    truth = np.zeros((2160, 2160), np.int32)
    truth[:2145, :2145] = np.kron(number, np.pad(np.ones((30, 30), np.int32), (4, 5)))
    prediction = np.roll(truth, 2, axis=1)
    start = time.process_time()
    scores = matching.image_scores(truth, prediction)
    assert time.process_time() - start < 1.5  # 0.2 s on an idle machine.
    assert scores["f1_0.70"] == 1.0
