"""All scores of a segmented image: those of `matching.image_scores` and those of other authors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Tuple

import numpy as np

from nucdl_core.overlap import Overlap
from nucdl_core.scores.author_rules import SIZE_CLASSES, hollandi_merges_and_splits, kromp_detection, size_classes
from nucdl_core.scores.matching import (
    AVERAGED,
    COUNTED,
    DETAILED_THRESHOLDS,
    MISSED_THRESHOLD,
    THRESHOLDS,
    Number,
    match_counts,
    matched_nuclei,
    overlap_scores,
    summarize,
)
from nucdl_core.scores.regions import aggregated_jaccard, mean_iou, panoptic_quality, pixel_accuracy

if TYPE_CHECKING:
    import pandas as pd

_FURTHER_THRESHOLDS = tuple(threshold for threshold in THRESHOLDS if threshold not in DETAILED_THRESHOLDS)
_MISSED = f"missed_{MISSED_THRESHOLD:.2f}"

# Columns beside those of `matching`: averaged over images, or added up.
ALL_AVERAGED: Tuple[str, ...] = (
    *AVERAGED,
    *(f"{name}_{threshold:.2f}" for threshold in _FURTHER_THRESHOLDS for name in ("precision", "recall")),
    "mean_precision",
    "mean_recall",
    "kromp_precision",
    "kromp_recall",
    "kromp_f1",
    "mean_dice",
    "aji",
    "panoptic_quality",
    "pixel_accuracy",
    "mean_iou",
)
ALL_COUNTED: Tuple[str, ...] = (
    *COUNTED,
    *(f"{name}_{size}" for size in SIZE_CLASSES for name in ("n_truth", _MISSED)),
    "hollandi_merges",
    "hollandi_splits",
    "kromp_detected",
    "kromp_true_positives",
    "kromp_false_positives",
    "kromp_false_negatives",
    "kromp_over_segmented",
    "kromp_under_segmented",
)


def all_overlap_scores(pairs: Overlap, pixels: int) -> Dict[str, Number]:
    """Score one segmented image against its truth in every way.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second; numbers may have gaps.
    pixels : int
        Number of pixels of the image.

    Returns
    -------
    dict of str to int or float
        The scores of `matching.image_scores`, and

        ``precision_T``, ``recall_T``: at the other IoU thresholds. ``mean_precision``, ``mean_recall``: averaged over
        the thresholds, the mAP and mAR of Hollandi et al., whose mF1 is ``mean_f1``.
        ``n_truth_SIZE``, ``missed_0.70_SIZE``: true nuclei, and those without a match at IoU 0.7, of the classes of
        size of `author_rules.size_classes`.
        ``hollandi_merges``, ``hollandi_splits``: see `author_rules.hollandi_merges_and_splits`.
        ``kromp_...``: counts, precision, recall and F1 of `author_rules.kromp_detection`; ``mean_dice``: mean Dice
        coefficient of its true positives, 0 where there is none.
        ``aji``, ``panoptic_quality``, ``pixel_accuracy``, ``mean_iou``: see `regions`.
        Where neither image holds a nucleus all scores are 1.
    """
    scores = overlap_scores(pairs)
    counts = match_counts(pairs)
    for threshold in _FURTHER_THRESHOLDS:
        scores[f"precision_{threshold:.2f}"] = float(counts.precision[THRESHOLDS.index(threshold)])
        scores[f"recall_{threshold:.2f}"] = float(counts.recall[THRESHOLDS.index(threshold)])
    scores["mean_precision"] = float(counts.precision.mean())
    scores["mean_recall"] = float(counts.recall.mean())
    scores.update(_missed_by_size(pairs))
    scores["hollandi_merges"], scores["hollandi_splits"] = hollandi_merges_and_splits(pairs)
    scores.update(_kromp_scores(pairs))
    scores["aji"] = aggregated_jaccard(pairs)
    scores["panoptic_quality"] = panoptic_quality(pairs)
    scores["pixel_accuracy"] = pixel_accuracy(pairs, pixels)
    scores["mean_iou"] = mean_iou(pairs, pixels)
    return scores


def _missed_by_size(pairs: Overlap) -> Dict[str, Number]:
    classes = size_classes(pairs.first_areas)
    matched, _ = matched_nuclei(pairs, MISSED_THRESHOLD)
    scores: Dict[str, Number] = {}
    for position, size in enumerate(SIZE_CLASSES):
        scores[f"n_truth_{size}"] = int(np.count_nonzero(classes == position))
        scores[f"{_MISSED}_{size}"] = int(np.count_nonzero((classes == position) & ~matched))
    return scores


def _kromp_scores(pairs: Overlap) -> Dict[str, Number]:
    detection = kromp_detection(pairs)
    hits = int(detection.true_positive.sum())
    n, m = pairs.first_count, pairs.second_count
    nothing = float(n + m == 0)
    return {
        "kromp_detected": int(detection.detected.sum()),
        "kromp_true_positives": hits,
        "kromp_false_positives": m - hits,
        "kromp_false_negatives": n - hits,
        "kromp_over_segmented": int(detection.over_segmented.sum()),
        "kromp_under_segmented": int(detection.under_segmented.sum()),
        "kromp_precision": hits / m if m else nothing,
        "kromp_recall": hits / n if n else nothing,
        "kromp_f1": 2 * hits / (n + m) if n + m else 1.0,
        "mean_dice": float(detection.dice.mean()) if hits else nothing,
    }


def summarize_all(table: pd.DataFrame) -> Dict[str, Number]:
    """Average and add up the scores of several images.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image with the columns of `all_overlap_scores`; other columns are ignored.

    Returns
    -------
    dict of str to int or float
        What `matching.summarize` returns, the mean of each score in `ALL_AVERAGED`, the sum of each count in
        `ALL_COUNTED`, ``missed_share_0.70_SIZE`` (of the true nuclei of that class), and the rates of Kromp et al.,
        ``kromp_over_rate`` and ``kromp_under_rate``, of all true nuclei. Shares are 0 where there are no nuclei.

    Raises
    ------
    ImageError
        If the table has no row.
    """
    summary = summarize(table)
    summary.update({name: float(table[name].mean()) for name in ALL_AVERAGED})
    summary.update({name: int(table[name].sum()) for name in ALL_COUNTED})
    for size in SIZE_CLASSES:
        summary[f"missed_share_{MISSED_THRESHOLD:.2f}_{size}"] = summary[f"{_MISSED}_{size}"] / max(
            summary[f"n_truth_{size}"], 1
        )
    for kind in ("over", "under"):
        summary[f"kromp_{kind}_rate"] = summary[f"kromp_{kind}_segmented"] / max(summary["n_truth"], 1)
    return summary
