"""A segmentation beside the truth, or beside another one: the scores of the image, and the fate of each nucleus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

from nucdl_core.arrays import Labels
from nucdl_core.overlap import overlap
from nucdl_core.scores.matching import MISSED_THRESHOLD, Number, match_counts, overlap_scores
from nucdl_core.scores.object_errors import ObjectErrors, object_errors


@dataclass(frozen=True)
class Comparison:
    """How two label images of one field agree.

    Attributes
    ----------
    scores : dict of str to int or float
        Of the image, see `compare`.
    truth, prediction : ObjectErrors
        What became of the nuclei of the first and of the second label image.
    """

    scores: Dict[str, Number]
    truth: ObjectErrors
    prediction: ObjectErrors


def compare(truth: Labels, prediction: Labels, threshold: float = MISSED_THRESHOLD) -> Comparison:
    """Compare a label image with the truth, or two segmentations with each other.

    Parameters
    ----------
    truth, prediction : int32 arrays (H, W)
        Label images of the same shape; numbers may have gaps. Of two segmentations the first is taken for the truth.
        ``f1``, ``mean_f1``, ``dsb_score`` and ``matched`` do not depend on which one that is.
    threshold : float
        IoU above which two nuclei match, in [0.5, 1).

    Returns
    -------
    Comparison
        With the scores of `matching.image_scores` and, at `threshold`: the true nuclei with (``matched``) and without
        a match (``missed``), the predicted nuclei without one (``extra``), ``precision`` and ``recall``.

    Raises
    ------
    ImageError
        If the shapes differ.
    ValueError
        If the threshold is outside [0.5, 1).
    """
    pairs = overlap(truth, prediction)
    counts = match_counts(pairs, [threshold])
    scores = {
        **overlap_scores(pairs),
        "precision": float(counts.precision[0]),
        "recall": float(counts.recall[0]),
        "matched": int(counts.true_positives[0]),
        "missed": int(counts.false_negatives[0]),
        "extra": int(counts.false_positives[0]),
    }
    return Comparison(scores, *object_errors(pairs, threshold))
