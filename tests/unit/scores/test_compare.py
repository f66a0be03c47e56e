"""Two label images side by side."""

from __future__ import annotations

import numpy as np
import pytest

from nucdl_core.errors import ImageError
from nucdl_core.scores import matching
from nucdl_core.scores.compare import compare
from nucdl_core.scores.object_errors import ErrorClass


def strip(*runs):
    """Return a (1, W) label image from (number, length) pairs."""
    return np.concatenate([np.full(length, number, np.int32) for number, length in runs])[None]


TRUTH = strip((1, 10), (0, 5), (2, 10), (0, 5), (3, 10), (4, 10))
PREDICTION = strip((1, 9), (0, 6), (0, 12), (2, 3), (3, 20))


def test_the_scores_are_those_of_the_metrics():
    found = compare(TRUTH, PREDICTION).scores
    expected = matching.image_scores(TRUTH, PREDICTION)
    assert {name: found[name] for name in expected} == expected
    assert {name: found[name] for name in ("precision", "recall", "missed")} == {
        name: expected[f"{name}_0.70"] for name in ("precision", "recall", "missed")
    }


def test_errors_are_counted_for_the_image_and_named_for_each_nucleus():
    found = compare(TRUTH, PREDICTION)
    counts = {name: found.scores[name] for name in ("n_truth", "n_prediction", "matched", "missed", "extra", "merges")}
    assert counts == {"n_truth": 4, "n_prediction": 3, "matched": 1, "missed": 3, "extra": 2, "merges": 1}
    kinds = [ErrorClass(number).name for number in found.truth.error]
    assert kinds == ["MATCHED", "MISSED", "MERGED", "MERGED"]
    assert [ErrorClass(number).name for number in found.prediction.error] == ["MATCHED", "EXTRA", "MERGED"]


def test_the_threshold_decides_what_matches():
    images = strip((1, 10), (0, 5)), strip((1, 6), (0, 9))
    assert compare(*images).scores["matched"] == 0
    assert compare(*images, threshold=0.5).scores["matched"] == 1
    with pytest.raises(ValueError, match="at least 0.5"):
        compare(*images, threshold=0.3)


def test_two_segmentations_may_change_places():
    one, other = compare(TRUTH, PREDICTION), compare(PREDICTION, TRUTH)
    for name in ("mean_f1", "f1_0.50", "dsb_score", "matched"):
        assert one.scores[name] == other.scores[name]
    assert (one.scores["missed"], one.scores["merges"]) == (other.scores["extra"], other.scores["splits"])


def test_empty_images_agree():
    empty = np.zeros((3, 4), np.int32)
    found = compare(empty, empty)
    assert found.scores["mean_f1"] == found.scores["dsb_score"] == found.scores["precision"] == 1
    assert len(found.truth.error) == len(found.prediction.error) == 0


def test_different_shapes_are_refused():
    with pytest.raises(ImageError, match="differ in shape"):
        compare(TRUTH, TRUTH[:, 1:])
