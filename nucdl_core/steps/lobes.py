"""The lobes of one nucleus, as of neutrophils and some leukaemia cells, which a network finds one by one: joined.

Lobes hang together by strands, so that the gap between them stays bright; between two nuclei that lie side by side it
may be bright as well. What tells them apart is their size: lobes are joined only as long as the whole stays within the
size of a lobed nucleus, which a person has to say.
"""

from __future__ import annotations

import math
from typing import Tuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nucdl_core.arrays import Floats, Labels, Mask
from nucdl_core.labels import centroids, mean_inside
from nucdl_core.results import Found

# The gap between two lobes may be so wide, as a share of the diameter of the largest lobed nucleus, and has to be at
# least so bright, as a share of the dimmer lobe.
GAP_WIDTH, GAP_LIGHT = 0.2, 0.5
SMOOTHED = 0.7
"""Pixels by which noise is smoothed before a gap is looked at."""

Pairs = NDArray[np.int64]


def join_lobes(found: Found, image: Floats, largest: float) -> Found:
    """Join the lobes that belong to one nucleus.

    Parameters
    ----------
    found : Found
    image : float32 array (H, W)
        Normalized: background near 0.
    largest : float
        Diameter in pixels of a circle with the area of the largest lobed nucleus; 0 joins none.

    Returns
    -------
    Found
        Joined nuclei have the pixels of the bright gap as well, and the score of their first lobe where scores are the
        model's own.
    """
    if not largest or len(found.areas) < 2:
        return found
    # Late: it loads slowly.
    from skimage.segmentation import expand_labels

    light = ndimage.gaussian_filter(image, SMOOTHED)
    reach = max(1.0, GAP_WIDTH * largest / 2)
    near: Labels = expand_labels(found.labels, reach)
    pairs, saddles = gap_light(near, light)
    dimmer = mean_inside(light, found.labels, found.areas)[pairs - 1].min(axis=1)
    centres = centroids(found.labels, found.areas)[pairs - 1]
    close = np.hypot(*(centres[:, 0] - centres[:, 1]).T) < largest
    belongs = close & (saddles > GAP_LIGHT * dimmer)
    order = np.flatnonzero(belongs)[np.argsort(-(saddles / dimmer)[belongs], kind="stable")]
    first = first_lobes(pairs[order], found.areas, math.pi / 4 * largest**2)
    labels = first[found.labels]
    bright = light > GAP_LIGHT * _dimmest_lobe(first, mean_inside(light, found.labels, found.areas))[near]
    gap = _between_joined(near, first, math.ceil(reach)) & bright & (labels == 0)
    return found.redrawn(np.where(gap, first[near], labels).astype(np.int32, copy=False))


def gap_light(near: Labels, light: Floats) -> Tuple[Pairs, Floats]:
    """Find the neighbours among nuclei that were widened until they meet, and how bright it is between them.

    Parameters
    ----------
    near : int32 array (H, W)
    light : float32 array (H, W)

    Returns
    -------
    pairs : int64 array (P, 2)
        Numbers of two nuclei, the lower one first.
    brightest : float32 array (P,)
        The brightest place where they meet: that is where a strand crosses.
    """
    count = int(near.max(initial=0)) + 1
    keys, values = [], []
    for one, other in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        meets = (near[one] != near[other]) & (near[one] > 0) & (near[other] > 0)
        first, second = near[one][meets].astype(np.int64), near[other][meets].astype(np.int64)
        keys.append(np.minimum(first, second) * count + np.maximum(first, second))
        values.append(np.minimum(light[one][meets], light[other][meets]))
    found, place = np.unique(np.concatenate(keys), return_inverse=True)
    brightest = np.full(found.size, -np.inf, np.float32)
    np.maximum.at(brightest, place.ravel(), np.concatenate(values))
    return np.stack(np.divmod(found, count), axis=1), brightest


def first_lobes(pairs: Pairs, sizes: NDArray[np.int64], largest_area: float) -> NDArray[np.int32]:
    """Join pairs of lobes in their order, as long as what they become is not too large.

    Parameters
    ----------
    pairs : int64 array (P, 2)
        Numbers from 1.
    sizes : int64 array (N,)
        Pixels of each lobe.
    largest_area : float

    Returns
    -------
    int32 array (N + 1,)
        The lowest number among the lobes of the same nucleus; 0 of the background.
    """
    first, area = np.arange(len(sizes) + 1, dtype=np.int32), np.append(0, sizes).astype(np.float64)
    for pair in pairs:
        low, high = sorted((int(first[pair[0]]), int(first[pair[1]])))
        if low != high and area[low] + area[high] <= largest_area:
            first[first == high] = low
            area[low] += area[high]
    return first


def _dimmest_lobe(first: NDArray[np.int32], means: Floats) -> Floats:
    """Return for each number (N + 1,) how bright the dimmest lobe of its nucleus is; infinite for the background."""
    dimmest = np.full(first.size, np.inf, np.float32)
    np.minimum.at(dimmest, first[1:], means)
    every: Floats = dimmest[first]
    return every


def _between_joined(near: Labels, first: NDArray[np.int32], reach: int) -> Mask:
    """Return the pixels (H, W) that are near a place where two lobes of one nucleus meet."""
    meeting = np.zeros(near.shape, bool)
    whole = first[near]
    for one, other in (((slice(None), slice(1, None)), (slice(None), slice(-1))), ((slice(1, None),), (slice(-1),))):
        joined = (near[one] != near[other]) & (whole[one] == whole[other]) & (whole[one] > 0)
        meeting[one] |= joined
        meeting[other] |= joined
    between: Mask = ndimage.binary_dilation(meeting, iterations=reach)
    return between
