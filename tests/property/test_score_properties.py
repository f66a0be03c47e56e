"""What holds for the scores of every pair of label images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scored import all_scores

from nucdl_core.overlap import overlap
from nucdl_core.scores import matching
from nucdl_core.scores.all_scores import ALL_AVERAGED
from nucdl_core.scores.author_rules import SIZE_CLASSES

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=10)


@st.composite
def pairs(draw):
    """Return two label images of one shape; the second is often the first with some pixels changed."""
    shape = draw(SHAPES)
    blocks = draw(arrays(np.int32, shape, elements=st.integers(0, 8)))
    truth = np.repeat(np.repeat(blocks, 3, axis=0), 3, axis=1)
    if draw(st.booleans()):
        return truth, draw(arrays(np.int32, truth.shape, elements=st.integers(0, 8)))
    changed = draw(arrays(np.int32, truth.shape, elements=st.integers(0, 8), fill=st.just(0)))
    return truth, np.where(changed > 0, changed, truth).astype(np.int32)


@given(pairs())
def test_an_image_agrees_perfectly_with_itself(pair):
    scores = matching.image_scores(pair[0], pair[0])
    assert all(scores[name] == 1.0 for name in matching.AVERAGED)
    assert scores["missed_0.70"] == scores["merges"] == scores["splits"] == 0


@given(pairs(), st.permutations(range(1, 9)), st.permutations(range(1, 9)), st.integers(1, 10**8))
def test_numbers_do_not_matter(pair, first, second, factor):
    truth, prediction = pair
    renumbered = np.array([0, *first], np.int32)[truth] * np.int32(factor)
    other = np.array([0, *second], np.int32)[prediction]
    assert matching.image_scores(renumbered, other) == matching.image_scores(truth, prediction)


@given(pairs())
def test_swapping_truth_and_prediction_swaps_what_belongs_to_one_side(pair):
    forward, backward = matching.image_scores(*pair), matching.image_scores(*pair[::-1])
    for name in ("mean_f1", "dsb_score", *(name for name in matching.AVERAGED if name.startswith("f1_"))):
        assert forward[name] == backward[name]
    for level in ("0.50", "0.70", "0.90"):
        assert forward[f"precision_{level}"] == backward[f"recall_{level}"]
    assert forward["merges"] == backward["splits"]
    assert forward["n_truth"] == backward["n_prediction"]


@given(pairs())
def test_turning_and_mirroring_does_not_matter(pair):
    truth, prediction = pair
    expected = matching.image_scores(truth, prediction)
    assert matching.image_scores(truth.T, prediction.T) == expected
    assert matching.image_scores(truth[::-1, ::-1], prediction[::-1, ::-1]) == expected


@given(pairs())
def test_scores_lie_between_0_and_1_and_fall_with_the_threshold(pair):
    scores = matching.image_scores(*pair)
    assert all(0 <= scores[name] <= 1 for name in matching.AVERAGED)
    f1 = [scores[f"f1_{threshold:.2f}"] for threshold in matching.THRESHOLDS]
    assert f1 == sorted(f1, reverse=True)
    assert scores["dsb_score"] <= scores["mean_f1"] + 1e-12


@given(pairs())
def test_matches_are_unique_on_both_sides(pair):
    found = overlap(*pair)
    truth, prediction = matching.matched_nuclei(found, 0.5)
    assert truth.sum() == prediction.sum() == matching.match_counts(found, [0.5]).true_positives[0]


@given(pairs())
def test_shared_pixels_add_up(pair):
    found = overlap(*pair)
    assert found.intersection.sum() == np.count_nonzero((pair[0] > 0) & (pair[1] > 0))
    assert (found.iou > 0).all()
    assert (found.iou <= 1).all()


# Of predictions with equal IoU the aggregated Jaccard index takes that with the lower number.
DEPENDS_ON_ORDER = "aji"


@given(pairs(), st.permutations(range(1, 9)), st.permutations(range(1, 9)))
def test_numbers_do_not_matter_for_any_score(pair, first, second):
    truth, prediction = pair
    scores = all_scores(np.array([0, *first], np.int32)[truth], np.array([0, *second], np.int32)[prediction])
    expected = all_scores(truth, prediction)
    for name in set(expected) - {DEPENDS_ON_ORDER}:
        assert scores[name] == pytest.approx(expected[name]), name


@given(pairs())
def test_a_perfect_match_has_the_best_value_of_every_score(pair):
    scores = all_scores(pair[0], pair[0])
    assert all(scores[name] == 1.0 for name in ALL_AVERAGED)
    for name in ("hollandi_merges", "hollandi_splits", "kromp_over_segmented", "kromp_under_segmented"):
        assert scores[name] == 0
    assert scores["kromp_true_positives"] == scores["kromp_detected"] == scores["n_truth"]


@given(pairs())
def test_swapping_the_sides_keeps_symmetric_scores_and_swaps_merges_with_splits(pair):
    forward, backward = all_scores(*pair), all_scores(*pair[::-1])
    for name in ("panoptic_quality", "pixel_accuracy", "mean_iou"):
        assert forward[name] == pytest.approx(backward[name])
    assert forward["hollandi_merges"] == backward["hollandi_splits"]
    assert forward["mean_precision"] == backward["mean_recall"]


@given(pairs())
def test_scores_of_areas_lie_between_0_and_1_and_in_order(pair):
    scores = all_scores(*pair)
    assert all(0 <= scores[name] <= 1 for name in ALL_AVERAGED)
    # Panoptic quality weighs the matches by their IoU; Dice is never below 2 / 3 at an IoU above 0.5.
    assert scores["panoptic_quality"] <= scores["f1_0.50"] + 1e-12
    assert scores["kromp_f1"] <= scores["f1_0.50"] + 1e-12
    assert scores["mean_dice"] == 0 or scores["mean_dice"] > 2 / 3
    sizes = [scores[f"n_truth_{size}"] for size in SIZE_CLASSES]
    missed = [scores[f"missed_0.70_{size}"] for size in SIZE_CLASSES]
    assert (sum(sizes), sum(missed)) == (scores["n_truth"], scores["missed_0.70"])
