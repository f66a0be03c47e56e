"""Kinds of errors as different authors count them, from the overlap of truth and prediction.

`matching.merges_and_splits` has the rules of Caicedo et al. (Cytometry A 2019) and of Zaki et al. (Cytometry A 2020),
which are the same. Here are those of Hollandi et al. (nucleAIzer, Cell Systems 2020) and of Kromp et al. (IEEE
Transactions on Medical Imaging 2021), and the classes of size by which Caicedo et al. count missed nuclei.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Mask
from nucdl_core.overlap import Overlap
from nucdl_core.scores.matching import matched_nuclei

HALF = 0.5
# Hollandi et al.: the share of a nucleus that each of two, or each of more, nuclei must cover.
SHARE_OF_TWO, SHARE_OF_MORE = 0.30, 0.15

SIZE_CLASSES: Tuple[str, ...] = ("tiny", "small", "normal", "large")
# Caicedo et al. divide the nuclei of one microscope at these areas. The middle of their normal class is taken for the
# typical area, so that the bounds fit any magnification.
_SIZE_BOUNDS = (250, 625, 900)
_TYPICAL_AREA = (625 + 900) / 2


@dataclass(frozen=True)
class Detection:
    """What Kromp et al. say about each nucleus; entry ``i`` is about nucleus ``i + 1``.

    Attributes
    ----------
    detected : bool array (N,)
        True nuclei of which predictions cover more than half.
    true_positive : bool array (N,)
        True nuclei that exactly one prediction matches: IoU above 0.5, and the nucleus is neither over- nor
        under-segmented. All others are false negatives.
    over_segmented : bool array (N,)
        True nuclei that hold more than half of the area of each of several predictions, which together cover more
        than half of the nucleus.
    under_segmented : bool array (N,)
        True nuclei of which a prediction covers more than half that also covers more than half of another one.
    correct : bool array (M,)
        Predictions that match a true positive. All others are false positives.
    dice : float64 array (P,)
        Dice coefficient of each true positive with its prediction, in no particular order.
    """

    detected: Mask
    true_positive: Mask
    over_segmented: Mask
    under_segmented: Mask
    correct: Mask
    dice: NDArray[np.float64]


def kromp_detection(pairs: Overlap) -> Detection:
    """Judge each nucleus by the rules of Kromp et al.

    Where the article leaves a case open, its drawn examples decide: a nucleus that is over- or under-segmented is
    no true positive, even where one prediction alone has an IoU above 0.5.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.

    Returns
    -------
    Detection
    """
    n, m = len(pairs.first_areas), len(pairs.second_areas)
    truth, prediction = pairs.first - 1, pairs.second - 1
    inside = pairs.intersection > HALF * pairs.second_areas[prediction]
    covered = pairs.intersection > HALF * pairs.first_areas[truth]
    area_inside = np.bincount(truth[inside], pairs.intersection[inside], n)
    over: Mask = (np.bincount(truth[inside], minlength=n) > 1) & (area_inside > HALF * pairs.first_areas)
    merging = np.bincount(prediction[covered], minlength=m) > 1
    under = np.zeros(n, bool)
    under[truth[covered & merging[prediction]]] = True
    hit = (pairs.iou > HALF) & ~over[truth] & ~under[truth]
    true_positive, correct = np.zeros(n, bool), np.zeros(m, bool)
    true_positive[truth[hit]] = True
    correct[prediction[hit]] = True
    detected: Mask = np.bincount(truth, pairs.intersection, n) > HALF * pairs.first_areas
    sums = pairs.first_areas[truth[hit]] + pairs.second_areas[prediction[hit]]
    return Detection(detected, true_positive, over, under, correct, 2 * pairs.intersection[hit] / sums)


def hollandi_merges_and_splits(pairs: Overlap) -> Tuple[int, int]:
    """Count merged and split nuclei by the rules of Hollandi et al.

    A true nucleus without a match (IoU above 0.5) is split when two predictions cover at least 30 % of it each, or
    more than two at least 15 % each. Only predictions count that share more pixels with no other true nucleus.
    Merges are the same with the roles of truth and prediction changed.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.

    Returns
    -------
    merges : int
        Predicted nuclei.
    splits : int
        True nuclei.
    """
    truth_matched, prediction_matched = matched_nuclei(pairs, HALF)
    splits = _covered_by_several(pairs.first, pairs.second, pairs.intersection, pairs.first_areas)
    merges = _covered_by_several(pairs.second, pairs.first, pairs.intersection, pairs.second_areas)
    return int((merges & ~prediction_matched).sum()), int((splits & ~truth_matched).sum())


def _covered_by_several(
    whole: NDArray[np.int64], part: NDArray[np.int64], shared: NDArray[np.int64], areas: NDArray[np.int64]
) -> Mask:
    """Tell which nuclei are covered by several parts that share more pixels with no other nucleus."""
    most = np.zeros(int(part.max(initial=0)) + 1, np.int64)
    np.maximum.at(most, part, shared)
    best = shared == most[part]
    share = shared / areas[whole - 1]
    two, more = (
        np.bincount(whole[best & (share >= limit)] - 1, minlength=len(areas)) for limit in (SHARE_OF_TWO, SHARE_OF_MORE)
    )
    several: Mask = (two > 1) | (more > 2)
    return several


def size_classes(areas: NDArray[np.int64]) -> NDArray[np.int8]:
    """Sort the nuclei of an image into the classes of size of Caicedo et al.

    Parameters
    ----------
    areas : int64 array (N,)
        Pixels of each nucleus; 0 for a number that no pixel has.

    Returns
    -------
    int8 array (N,)
        Position in `SIZE_CLASSES`, -1 for a number that no pixel has. The bounds are the published ones (250, 625
        and 900 px) relative to a typical nucleus, here the median of the image: up to 0.33, 0.82 and 1.18 times its
        area, which is 0.57, 0.91 and 1.09 times its diameter.
    """
    exists = areas > 0
    typical = float(np.median(areas[exists])) if exists.any() else 1.0
    classes = np.searchsorted(_SIZE_BOUNDS, areas * _TYPICAL_AREA / typical, side="left")
    return np.where(exists, classes, -1).astype(np.int8)
