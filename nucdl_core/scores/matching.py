"""How well a segmentation agrees with the truth, nucleus by nucleus.

A prediction matches a true nucleus at threshold t when their intersection over union (IoU) exceeds t. From 0.5 on
a match is unique on both sides, so that true positives can be counted without an assignment. The definitions are
those of Caicedo et al. (Cytometry A 2019: F1, merges, splits, missed) and of the 2018 Data Science Bowl (DSB
score).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Labels, Mask
from nucdl_core.errors import ImageError
from nucdl_core.labels import relabel
from nucdl_core.overlap import Overlap, overlap

if TYPE_CHECKING:
    import pandas as pd

Number = Union[int, float]

# Rounded, so that 0.55 is the same float64 as 11 / 20 and an IoU on the threshold does not count as above it.
THRESHOLDS: Tuple[float, ...] = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))

# Thresholds of which precision and recall are reported: object level, the field's usual one, pixel level.
DETAILED_THRESHOLDS = (0.5, 0.7, 0.9)
MISSED_THRESHOLD = 0.7
CONTACT_THRESHOLD = 0.1

# The columns of a table of scores: those that are averaged over images, and those that are added up.
AVERAGED: Tuple[str, ...] = (
    "mean_f1",
    *(f"f1_{threshold:.2f}" for threshold in THRESHOLDS),
    *(f"{name}_{threshold:.2f}" for threshold in DETAILED_THRESHOLDS for name in ("precision", "recall")),
    "dsb_score",
)
COUNTED: Tuple[str, ...] = ("n_truth", "n_prediction", f"missed_{MISSED_THRESHOLD:.2f}", "merges", "splits")


@dataclass(frozen=True)
class MatchCounts:
    """True positives, false positives and false negatives, one number per threshold (T,)."""

    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    false_negatives: NDArray[np.int64]

    @property
    def f1(self) -> NDArray[np.float64]:
        """``2 TP / (2 TP + FN + FP)`` per threshold; 1 where there is nothing to find and nothing was found."""
        found = 2 * self.true_positives
        return _ratio(found, found + self.false_negatives + self.false_positives, self._nothing)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """``TP / (TP + FP + FN)`` per threshold; its mean over the thresholds is the DSB score."""
        everything = self.true_positives + self.false_negatives + self.false_positives
        return _ratio(self.true_positives, everything, self._nothing)

    @property
    def precision(self) -> NDArray[np.float64]:
        """``TP / (TP + FP)`` per threshold; without predictions 1 if there is no truth either, otherwise 0."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives, self._nothing)

    @property
    def recall(self) -> NDArray[np.float64]:
        """``TP / (TP + FN)`` per threshold; without truth 1 if there is no prediction either, otherwise 0."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives, self._nothing)

    @property
    def _nothing(self) -> Mask:
        everything: NDArray[np.int64] = self.true_positives + self.false_positives + self.false_negatives
        return np.equal(everything, 0)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64], nothing: Mask) -> NDArray[np.float64]:
    return np.where(nothing, 1.0, part / np.maximum(whole, 1))


def match_counts(pairs: Overlap, thresholds: Sequence[float] = THRESHOLDS) -> MatchCounts:
    """Count matches, false and missed nuclei at each IoU threshold.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.
    thresholds : sequence of float (T,)
        From 0.5 up to and without 1: below 0.5 a match is not unique.

    Returns
    -------
    MatchCounts
        int64 arrays (T,).

    Raises
    ------
    ValueError
        If a threshold is outside [0.5, 1).
    """
    _check_thresholds(thresholds)
    ious = np.sort(pairs.iou)
    matched = (len(ious) - np.searchsorted(ious, thresholds, side="right")).astype(np.int64)
    return MatchCounts(matched, pairs.second_count - matched, pairs.first_count - matched)


def matched_nuclei(pairs: Overlap, threshold: float = 0.5) -> Tuple[Mask, Mask]:
    """Tell which true and which predicted nuclei have a match.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.
    threshold : float
        In [0.5, 1).

    Returns
    -------
    truth : bool array (N,)
        True where a prediction matches true nucleus ``i + 1``.
    prediction : bool array (M,)
        True where predicted nucleus ``i + 1`` matches a true one.

    Raises
    ------
    ValueError
        If the threshold is outside [0.5, 1).
    """
    _check_thresholds([threshold])
    hit = pairs.iou > threshold
    truth = np.zeros(len(pairs.first_areas), bool)
    prediction = np.zeros(len(pairs.second_areas), bool)
    truth[pairs.first[hit] - 1] = True
    prediction[pairs.second[hit] - 1] = True
    return truth, prediction


def _check_thresholds(thresholds: Sequence[float]) -> None:
    if not all(0.5 <= threshold < 1 for threshold in thresholds):
        raise ValueError(f"IoU thresholds are {list(thresholds)}; each must be at least 0.5 and below 1")


def merges_and_splits(pairs: Overlap, threshold: float = CONTACT_THRESHOLD) -> Tuple[int, int]:
    """Count merged and split nuclei.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.
    threshold : float
        IoU from which two nuclei are in contact; 0.1 in Caicedo et al.

    Returns
    -------
    merges : int
        Predicted nuclei in contact with more than one true nucleus.
    splits : int
        True nuclei in contact with more than one predicted nucleus.
    """
    contact = pairs.iou >= threshold
    merges = np.count_nonzero(np.bincount(pairs.second[contact]) > 1)
    splits = np.count_nonzero(np.bincount(pairs.first[contact]) > 1)
    return int(merges), int(splits)


def image_scores(truth: Labels, prediction: Labels) -> Dict[str, Number]:
    """Score one segmented image against its truth.

    Parameters
    ----------
    truth, prediction : int32 arrays (H, W)
        Label images of the same shape; numbers may have gaps.

    Returns
    -------
    dict of str to int or float
        ``n_truth``, ``n_prediction``: nuclei in each image.
        ``mean_f1``: F1 averaged over the `THRESHOLDS`. ``f1_0.50`` ... ``f1_0.95``: F1 at each of them.
        ``precision_0.50``, ``recall_0.50`` and the same at 0.70 and 0.90.
        ``dsb_score``: ``TP / (TP + FP + FN)`` averaged over the `THRESHOLDS`.
        ``missed_0.70``: true nuclei without a match at IoU 0.7.
        ``merges``, ``splits``: see `merges_and_splits`.
        Where neither image holds a nucleus all scores are 1; where only one does, all are 0.

    Raises
    ------
    ImageError
        If the shapes differ.
    """
    return overlap_scores(overlap(relabel(truth), relabel(prediction)))


def overlap_scores(pairs: Overlap) -> Dict[str, Number]:
    """Give the scores of `image_scores` where the overlap is known already.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.

    Returns
    -------
    dict of str to int or float
        See `image_scores`.
    """
    counts = match_counts(pairs)
    scores: Dict[str, Number] = {"n_truth": pairs.first_count, "n_prediction": pairs.second_count}
    scores["mean_f1"] = float(counts.f1.mean())
    scores.update({f"f1_{threshold:.2f}": float(f1) for threshold, f1 in zip(THRESHOLDS, counts.f1)})
    for threshold in DETAILED_THRESHOLDS:
        scores[f"precision_{threshold:.2f}"] = float(counts.precision[THRESHOLDS.index(threshold)])
        scores[f"recall_{threshold:.2f}"] = float(counts.recall[THRESHOLDS.index(threshold)])
    scores["dsb_score"] = float(counts.accuracy.mean())
    scores[f"missed_{MISSED_THRESHOLD:.2f}"] = int(counts.false_negatives[THRESHOLDS.index(MISSED_THRESHOLD)])
    scores["merges"], scores["splits"] = merges_and_splits(pairs)
    return scores


def summarize(table: pd.DataFrame) -> Dict[str, Number]:
    """Average the scores of several images.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image with the columns of `image_scores`; other columns are ignored.

    Returns
    -------
    dict of str to int or float
        ``images``: number of rows. Scores: mean over the images, each image counting the same. ``n_truth``,
        ``n_prediction``, ``missed_0.70``, ``merges`` and ``splits``: sum over the images.
        ``missed_share_0.70``: share of all true nuclei that are missed, 0 where there are none.

    Raises
    ------
    ImageError
        If the table has no row.
    """
    if len(table) == 0:
        raise ImageError("there is no image to average; give at least one pair of truth and prediction")
    summary: Dict[str, Number] = {"images": len(table)}
    summary.update({name: float(table[name].mean()) for name in AVERAGED})
    summary.update({name: int(table[name].sum()) for name in COUNTED})
    missed = summary[f"missed_{MISSED_THRESHOLD:.2f}"]
    summary[f"missed_share_{MISSED_THRESHOLD:.2f}"] = missed / max(summary["n_truth"], 1)
    return summary
