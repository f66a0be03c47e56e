"""Nuclei of very different size in one image: what was found at two scales, put together."""

from __future__ import annotations

from typing import Callable, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Floats, Labels, Mask
from nucdl_core.config import ALL_OF_THEM, SegmentConfig
from nucdl_core.labels import areas, gapless, renumbered
from nucdl_core.large import strips, zeros
from nucdl_core.results import Segmentation

# A nucleus of which more than this share is covered by one that suits the other scale is a part of that one.
COVERED = 0.5
# Nuclei that differ from the diameter of a scale by more than this factor are looked for at another one.
WRONG_SCALE = 1.7

LookAt = Callable[[float], Segmentation]


def differ(diameter: float, other: float) -> bool:
    """Tell whether two diameters are too far from each other for one scale."""
    return max(diameter / other, other / diameter) > WRONG_SCALE


def at_other_scales(
    found: Segmentation, diameters: Sequence[float], config: SegmentConfig, look: LookAt
) -> Segmentation:
    """Add the nuclei of very different size that are seen at scales of their own.

    Parameters
    ----------
    found : Segmentation
        At the scale of the typical nucleus.
    diameters : sequence of float
        Of the others, in pixels.
    config : SegmentConfig
        Its `several_scales` counts, and its `micronuclei`: where they are wanted, they get a look of their own.
    look : callable
        Finds the nuclei of the same image at the scale of a diameter in pixels.

    Returns
    -------
    Segmentation
    """
    for diameter in diameters if config.several_scales else ():
        has_own_look = config.micronuclei == ALL_OF_THEM and diameter < found.diameter
        if differ(diameter, found.diameter) and not has_own_look:
            found = combine(found, look(diameter))
    return found


def combine(typical: Segmentation, other: Segmentation) -> Segmentation:
    """Put together what was found at the scale of the typical nucleus and at that of much larger or smaller ones.

    Of what was found at the other scale, only nuclei count whose size is closer to that scale's than to the typical
    one. They replace the nuclei of the typical scale that they mostly cover, which are their parts or their cluster.

    Parameters
    ----------
    typical, other : Segmentation
        Of the same image; `diameter` is the one whose scale they were found at.

    Returns
    -------
    Segmentation
        With the diameter and the probability of `typical`; inside the added nuclei the probability is that of `other`.
    """
    smaller = other.diameter < typical.diameter
    border = float(np.sqrt(typical.diameter * other.diameter))
    sizes, before = other.regions.diameters, typical.regions.areas
    suits = sizes < border if smaller else sizes > border
    if not suits.any():
        return typical
    added = _numbers(suits, before.size)
    kept = _numbers(_covered(typical.labels, typical.count, other.labels, added) <= COVERED * before)
    # Added nuclei that are smaller lie over what stays, larger ones under it.
    labels = _laid_over(typical.labels, other.labels, kept, added, smaller)
    counted = areas(labels, before.size + sizes.size)
    origin = np.flatnonzero(counted)
    return Segmentation(
        renumbered(labels, gapless(counted > 0)),
        np.concatenate([typical.scores, other.scores])[origin],
        _probability(typical, other, labels),
        typical.diameter,
        _joined(typical.agreement, other.agreement, origin),
    )


def _numbers(chosen: Mask, offset: int = 0) -> NDArray[np.int32]:
    """Return the number plus `offset` of each nucleus that is chosen, 0 of others and the background; (N + 1,)."""
    numbers = np.where(chosen, np.arange(1, chosen.size + 1) + offset, 0)
    return np.append(0, numbers).astype(np.int32)


def _covered(labels: Labels, count: int, others: Labels, added: NDArray[np.int32]) -> NDArray[np.int64]:
    """Count the pixels of each nucleus (N,) that those of `others` with a number in `added` cover."""
    counts = np.zeros(count + 1, np.int64)
    for below, above in strips(labels, others):
        counts += np.bincount(below[added[above] > 0], minlength=counts.size)
    return counts[1:]


def _laid_over(
    labels: Labels, others: Labels, kept: NDArray[np.int32], added: NDArray[np.int32], hiding: bool
) -> Labels:
    """Join two label images under new numbers; where both have a nucleus, the other one is seen if it is `hiding`."""
    joined: Labels = zeros(labels.shape, np.int32)
    for below, above, both in strips(labels, others, joined):
        lower, upper = kept[below], added[above]
        both[:] = np.where((upper > 0) & (hiding | (lower == 0)), upper, lower)
    return joined


def _probability(typical: Segmentation, other: Segmentation, labels: Labels) -> Optional[Floats]:
    """Join the probabilities as `labels`, in which the numbers above those of `typical` stand for `other`, say."""
    if typical.probability is None or other.probability is None:
        return None
    joined: Floats = zeros(labels.shape, np.float32)
    for number, below, above, both in strips(labels, typical.probability, other.probability, joined):
        both[:] = np.where(number > typical.count, above, below)
    return joined


def _joined(first: Optional[Floats], second: Optional[Floats], chosen: NDArray[np.intp]) -> Optional[Floats]:
    if first is None or second is None:
        return None
    joined: Floats = np.concatenate([first, second])[chosen]
    return joined
