"""What a person should look at before choosing a variant, in a few words."""

from __future__ import annotations

import math
from typing import List, Sequence

import numpy as np

from nucdl_core.explore.trial import TriedVariant

MANY, FEW = 1.5, 0.67
"""Relative to the median of all variants."""
_UNSURE = 0.7


def flags_of(tried: TriedVariant, all_tried: Sequence[TriedVariant]) -> List[str]:
    """Say what is unusual about a variant.

    Parameters
    ----------
    tried : TriedVariant
    all_tried : sequence of TriedVariant
        All of them, to compare with.

    Returns
    -------
    list of str
        Empty where nothing is.
    """
    flags = []
    empty = sum(result.count == 0 for result in tried.results)
    if empty:
        flags.append("finds nothing" if empty == len(tried.results) else f"finds nothing in {empty} of the images")
    count, usual = total(tried), float(np.median([total(each) for each in all_tried]))
    if count and usual and count > MANY * usual:
        flags.append("many more nuclei than the others")
    if count and count < FEW * usual:
        flags.append("far fewer nuclei than the others")
    size, usual_size = (
        typical_size(tried),
        float(np.nanmedian([typical_size(each) for each in all_tried] or [math.nan])),
    )
    if size > MANY * usual_size:
        flags.append("larger nuclei than the others")
    if size < FEW * usual_size:
        flags.append("smaller nuclei than the others")
    sure = confidence(tried)
    if sure < _UNSURE:
        flags.append("the network is unsure")
    return flags


def total(tried: TriedVariant) -> int:
    """Return the number of nuclei in all images."""
    return sum(result.count for result in tried.results)


def typical_size(tried: TriedVariant) -> float:
    """Return the median of the images' median diameters in pixels; NaN without nuclei."""
    return _known_median([result.diameter for result in tried.results])


def confidence(tried: TriedVariant) -> float:
    """Return the median of the images' mean confidences; NaN where there is none."""
    return _known_median([result.confidence for result in tried.results])


def mean_agreement(tried: TriedVariant) -> float:
    """Return the mean agreement with the others, see `signs.ImageSigns`."""
    return float(np.mean([result.signs.agreement for result in tried.results]))


def _known_median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan
