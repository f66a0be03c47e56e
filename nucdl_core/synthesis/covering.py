"""Nuclei laid over others: how far their light reaches, and what is left to be seen of those below."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nucdl_core.arrays import Floats, Labels, Mask
from nucdl_core.labels import areas

# A covered nucleus is still to be found if at least this share of it can be seen.
SMALLEST_VISIBLE_SHARE = 0.35
# The light around a laid-over nucleus reaches this far beyond its outline, in nucleus diameters.
HALO = 0.06


def soft_cover(mask: Mask, reach: float) -> Floats:
    """Return how much a nucleus covers of each pixel.

    Parameters
    ----------
    mask : bool array (H, W)
    reach : float
        Pixels.

    Returns
    -------
    float32 array (H, W)
        1 in the mask, falling to 0 within about twice `reach` pixels around it.
    """
    outside = ndimage.distance_transform_edt(~mask) if mask.any() else np.full(mask.shape, np.inf)
    return np.asarray(np.clip(1 - (outside - 1) / max(2 * reach, 1), 0, 1), np.float32)


def mostly_covered(labels: Labels, drawn: NDArray[np.int64]) -> Mask:
    """Tell of which nuclei less than `SMALLEST_VISIBLE_SHARE` can be seen.

    Parameters
    ----------
    labels : int32 array (H, W)
        What can be seen.
    drawn : int64 array (N,)
        Pixels of each nucleus before others were laid over it.

    Returns
    -------
    bool array (N,)
    """
    return np.asarray(areas(labels, len(drawn)) < SMALLEST_VISIBLE_SHARE * drawn)
