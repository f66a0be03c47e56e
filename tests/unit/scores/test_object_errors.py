"""Each nucleus's partner and error class: small strips, and the numbers of the matching."""

from __future__ import annotations

import time

import numpy as np
import pytest

from nucdl_core.labels import relabel
from nucdl_core.overlap import overlap
from nucdl_core.scores import matching
from nucdl_core.scores.object_errors import COLOURS, ErrorClass, object_errors

NONE, MATCHED, MISSED, EXTRA, MERGED, SPLIT = ErrorClass


def strip(*runs):
    """Return a (1, W) label image from (number, length) pairs."""
    return np.concatenate([np.full(length, number, np.int32) for number, length in runs])[None]


def errors_of(truth, prediction, **thresholds):
    return object_errors(overlap(truth, prediction), **thresholds)


def test_a_match_a_miss_and_an_extra_nucleus_are_told_apart():
    truth, prediction = errors_of(strip((1, 10), (0, 5), (2, 10)), strip((1, 9), (0, 1), (2, 5), (0, 10)))
    assert truth.error.tolist() == [MATCHED, MISSED]
    assert truth.partner.tolist() == [1, 0]
    assert truth.iou == pytest.approx([0.9, 0])
    assert prediction.error.tolist() == [MATCHED, EXTRA]
    assert prediction.partner.tolist() == [1, 0]
    assert prediction.iou == pytest.approx([0.9, 0])


def test_two_nuclei_under_one_prediction_are_merged():
    truth, prediction = errors_of(strip((1, 10), (2, 10)), strip((1, 20)))
    assert truth.error.tolist() == [MERGED, MERGED]
    assert truth.partner.tolist() == [1, 1]
    assert prediction.error.tolist() == [MERGED]
    assert prediction.partner.tolist() == [1]  # of two equal partners the lower number
    assert prediction.iou == pytest.approx([0.5])


def test_a_nucleus_under_two_predictions_is_split():
    truth, prediction = errors_of(strip((1, 20)), strip((1, 8), (2, 12)))
    assert truth.error.tolist() == [SPLIT]
    assert truth.partner.tolist() == [2]
    assert prediction.error.tolist() == [SPLIT, SPLIT]


def test_a_match_comes_before_a_merge_and_the_flag_tells_both():
    truth, prediction = errors_of(strip((1, 80), (2, 20)), strip((1, 100)))
    assert truth.error.tolist() == [MATCHED, MERGED]
    assert truth.merged.tolist() == [True, True]
    assert prediction.error.tolist() == [MATCHED]
    assert prediction.merged.tolist() == [True]


def test_a_match_comes_before_a_split_and_the_piece_beside_it_is_split():
    truth, prediction = errors_of(strip((1, 100)), strip((1, 80), (2, 20)))
    assert truth.error.tolist() == [MATCHED]
    assert truth.split.tolist() == [True]
    assert prediction.error.tolist() == [MATCHED, SPLIT]


def test_a_nucleus_that_is_merged_and_split_counts_as_merged():
    # Prediction 1 lies over true nucleus 1 and half of 2; prediction 2 over the other half of 2.
    truth, prediction = errors_of(strip((1, 10), (2, 10)), strip((1, 15), (2, 5)), threshold=0.7)
    assert truth.error.tolist() == [MERGED, MERGED]
    assert truth.split.tolist() == [False, True]
    assert prediction.error.tolist() == [MERGED, SPLIT]
    assert prediction.split.tolist() == [True, True]


def test_a_partner_with_too_low_an_iou_is_shown_but_no_match():
    truth, prediction = errors_of(strip((1, 10), (0, 10)), strip((0, 4), (1, 10), (0, 6)))
    assert truth.error.tolist() == [MISSED]
    assert prediction.error.tolist() == [EXTRA]
    assert truth.partner.tolist() == prediction.partner.tolist() == [1]


def test_the_thresholds_can_be_chosen():
    images = strip((1, 10), (0, 5)), strip((1, 6), (0, 9))
    assert errors_of(*images)[0].error.tolist() == [MISSED]
    assert errors_of(*images, threshold=0.5)[0].error.tolist() == [MATCHED]
    merged = strip((1, 90), (2, 10)), strip((1, 100))
    assert errors_of(*merged)[1].merged.tolist() == [True]
    assert errors_of(*merged, contact=0.2)[1].merged.tolist() == [False]


@pytest.mark.parametrize("thresholds", [{"contact": 0.0}, {"contact": 1.1}, {"threshold": 0.4}, {"threshold": 1.0}])
def test_thresholds_outside_their_range_are_refused(thresholds):
    with pytest.raises(ValueError, match="must be"):
        errors_of(strip((1, 2)), strip((1, 2)), **thresholds)


def test_a_number_that_no_pixel_has_is_no_nucleus():
    truth, prediction = errors_of(strip((3, 4), (0, 4)), strip((0, 4), (2, 4)))
    assert truth.error.tolist() == [NONE, NONE, MISSED]
    assert prediction.error.tolist() == [NONE, EXTRA]
    assert truth.count(NONE) == 2


def test_empty_images_give_empty_vectors():
    empty, full = strip((0, 6)), strip((1, 3), (2, 3))
    for images, expected in (
        ((empty, empty), ([], [])),
        ((full, empty), ([MISSED] * 2, [])),
        ((empty, full), ([], [EXTRA] * 2)),
    ):
        errors = errors_of(*images)
        for found, wanted in zip(errors, expected):
            assert found.error.tolist() == wanted
            assert found.partner.tolist() == [0] * len(wanted)
            assert found.iou.tolist() == [0] * len(wanted)
            assert not found.merged.any()
            assert not found.split.any()


@pytest.mark.parametrize("seed", range(5))
def test_the_classes_and_flags_add_up_to_the_numbers_of_the_metrics(seed):
    rng = np.random.default_rng(seed)
    truth = relabel(np.kron(rng.integers(0, 30, (8, 8)), np.ones((5, 5), np.int32)).astype(np.int32))
    prediction = relabel(np.where(rng.random(truth.shape) < 0.2, rng.integers(0, 30, truth.shape), truth))
    pairs = overlap(truth, prediction)
    counts = matching.match_counts(pairs, [0.5])
    of_truth, of_prediction = object_errors(pairs, threshold=0.5, contact=0.02)
    assert of_truth.count(MATCHED) == of_prediction.count(MATCHED) == counts.true_positives[0]
    assert sum(of_truth.count(error) for error in (MISSED, MERGED, SPLIT)) == counts.false_negatives[0]
    assert sum(of_prediction.count(error) for error in (EXTRA, MERGED, SPLIT)) == counts.false_positives[0]
    assert (of_prediction.merged.sum(), of_truth.split.sum()) == matching.merges_and_splits(pairs, 0.02)
    assert of_prediction.merged.any()
    matrix = np.zeros((len(pairs.first_areas), len(pairs.second_areas)))
    matrix[pairs.first - 1, pairs.second - 1] = pairs.iou
    assert of_truth.iou == pytest.approx(matrix.max(axis=1))
    assert of_prediction.partner.tolist() == (matrix.argmax(axis=0) + 1).tolist()


def test_every_class_but_none_has_a_colour_of_its_own():
    assert list(COLOURS) == [MATCHED, MISSED, EXTRA, MERGED, SPLIT]
    assert len(set(COLOURS.values())) == 5


def test_3000_nuclei_take_a_few_milliseconds():
    truth = np.kron(np.arange(1, 3001, dtype=np.int32).reshape(50, 60), np.ones((8, 8), np.int32))
    pairs = overlap(truth, np.roll(truth, 1, 0))
    start = time.perf_counter()
    of_truth, _ = object_errors(pairs)
    assert time.perf_counter() - start < 0.1
    assert of_truth.count(MATCHED) == 3000
