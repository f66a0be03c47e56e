"""What became of each nucleus: matched, missed, extra, merged or split.

`matching` counts over an image; here every true and every predicted nucleus gets its best partner and one error class,
so that errors can be shown, filtered and exported one by one. Contact, merges and splits are those of Caicedo et al.
(Cytometry A 2019), see `matching.merges_and_splits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Dict, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Mask
from nucdl_core.overlap import Overlap
from nucdl_core.scores.matching import CONTACT_THRESHOLD, MISSED_THRESHOLD, matched_nuclei


class ErrorClass(IntEnum):
    """What became of a nucleus; `object_errors` defines each class. ``NONE`` marks a number that no pixel has."""

    NONE = 0
    MATCHED = 1
    MISSED = 2
    EXTRA = 3
    MERGED = 4
    SPLIT = 5


# Red, green and blue from 0 to 255, told apart also with the usual colour blindnesses (Okabe and Ito): yellow,
# sky blue, vermilion, reddish purple, bluish green.
COLOURS: Dict[ErrorClass, Tuple[int, int, int]] = {
    ErrorClass.MATCHED: (240, 228, 66),
    ErrorClass.MISSED: (86, 180, 233),
    ErrorClass.EXTRA: (213, 94, 0),
    ErrorClass.MERGED: (204, 121, 167),
    ErrorClass.SPLIT: (0, 158, 115),
}


@dataclass(frozen=True)
class ObjectErrors:
    """What became of the nuclei of one label image; entry ``i`` is about nucleus ``i + 1``.

    Attributes
    ----------
    partner : int64 array (N,)
        Number of the nucleus in the other image with the highest IoU, the lower number where two are equal; 0 where
        no nucleus shares a pixel.
    iou : float64 array (N,)
        Intersection over union with the partner, 0 without one.
    error : int8 array (N,)
        Numbers of the `ErrorClass`.
    merged : bool array (N,)
        True for a predicted nucleus in contact with more than one true nucleus, and for each of those true nuclei.
    split : bool array (N,)
        True for a true nucleus in contact with more than one predicted nucleus, and for each of those predicted nuclei.
    """

    partner: NDArray[np.int64]
    iou: NDArray[np.float64]
    error: NDArray[np.int8]
    merged: Mask
    split: Mask

    @property
    def matched(self) -> Mask:
        """Bool array (N,): the nuclei that match one of the other image."""
        return self.error == ErrorClass.MATCHED

    @property
    def unmatched(self) -> Mask:
        """Bool array (N,): the nuclei that match none; a number that no pixel has is no nucleus."""
        return ~self.matched & (self.error != ErrorClass.NONE)

    def count(self, error: ErrorClass) -> int:
        """Count the nuclei of one class."""
        return int(np.count_nonzero(self.error == error))


def object_errors(
    pairs: Overlap, threshold: float = MISSED_THRESHOLD, contact: float = CONTACT_THRESHOLD
) -> Tuple[ObjectErrors, ObjectErrors]:
    """Give each true and each predicted nucleus its best partner and its error class.

    Two nuclei *match* when their IoU exceeds `threshold`; they are in *contact* when it is at least `contact`. The
    first of these that holds is the class of a nucleus:

    1. ``MATCHED``: it matches a nucleus of the other image.
    2. ``MERGED``: it is a predicted nucleus in contact with more than one true nucleus, or a true nucleus in contact
       with such a predicted one.
    3. ``SPLIT``: it is a true nucleus in contact with more than one predicted nucleus, or a predicted nucleus in
       contact with such a true one.
    4. ``MISSED`` for a true, ``EXTRA`` for a predicted nucleus. It may still have a partner, with too low an IoU.

    So the matched are the true positives of `matching.match_counts`, and all other true (predicted) nuclei its false
    negatives (positives). The flags ``merged`` and ``split`` hold regardless of the class: the sums of the predicted
    nuclei's ``merged`` and of the true nuclei's ``split`` are the numbers of `matching.merges_and_splits`.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second; numbers may have gaps.
    threshold : float
        In [0.5, 1). 0.7 is that of Caicedo et al. for missed nuclei.
    contact : float
        Above 0 and at most 1.

    Returns
    -------
    truth, prediction : ObjectErrors
        Vectors (N,) for the true and (M,) for the predicted nuclei.

    Raises
    ------
    ValueError
        If a threshold is outside its range.
    """
    if not 0 < contact <= 1:
        raise ValueError(f"the IoU of a contact is {contact}; it must be above 0 and at most 1")
    matched = matched_nuclei(pairs, threshold)
    merged, split = _merged_and_split(pairs, contact)
    n, m = len(pairs.first_areas), len(pairs.second_areas)
    partners = (_best(pairs.first, pairs.second, pairs.iou, n), _best(pairs.second, pairs.first, pairs.iou, m))
    exists = (pairs.first_areas > 0, pairs.second_areas > 0)
    otherwise = (ErrorClass.MISSED, ErrorClass.EXTRA)
    truth, prediction = (
        ObjectErrors(*partners[side], _classes(conditions, otherwise[side]), merged[side], split[side])
        for side, conditions in enumerate(zip(exists, matched, merged, split))
    )
    return truth, prediction


def _merged_and_split(pairs: Overlap, contact: float) -> Tuple[Tuple[Mask, Mask], Tuple[Mask, Mask]]:
    touching = pairs.iou >= contact
    truth, prediction = pairs.first[touching] - 1, pairs.second[touching] - 1
    n, m = len(pairs.first_areas), len(pairs.second_areas)
    split_truth: Mask = np.bincount(truth, minlength=n) > 1
    merged_prediction: Mask = np.bincount(prediction, minlength=m) > 1
    merged_truth, split_prediction = np.zeros(n, bool), np.zeros(m, bool)
    merged_truth[truth[merged_prediction[prediction]]] = True
    split_prediction[prediction[split_truth[truth]]] = True
    return (merged_truth, merged_prediction), (split_truth, split_prediction)


def _best(
    own: NDArray[np.int64], other: NDArray[np.int64], iou: NDArray[np.float64], count: int
) -> Tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give each nucleus of one side the number and IoU of its best partner."""
    partner, best = np.zeros(count, np.int64), np.zeros(count)
    # Sorted from worst to best, so that of the values written to one place the best one stays.
    order = np.lexsort((-other, iou))
    partner[own[order] - 1] = other[order]
    best[own[order] - 1] = iou[order]
    return partner, best


def _classes(conditions: Tuple[Mask, Mask, Mask, Mask], otherwise: ErrorClass) -> NDArray[np.int8]:
    exists, matched, merged, split = conditions
    choices = (ErrorClass.NONE, ErrorClass.MATCHED, ErrorClass.MERGED, ErrorClass.SPLIT)
    return np.select([~exists, matched, merged, split], choices, otherwise).astype(np.int8)
