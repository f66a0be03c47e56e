"""Intensity normalization: any grey image becomes float32 with background near 0 and nuclei near 1."""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray, Floats, Mask

LOW_PERCENTILE = 1.0
HIGH_PERCENTILE = 99.8
# Percentiles of this many pixels, taken on a regular grid, are as good as those of all.
SAMPLED_PIXELS = 250_000


def intensity_range(image: AnyArray, mask: Optional[Mask] = None) -> Tuple[float, float]:
    """Measure the intensities that stand for background and for bright nuclei.

    Parameters
    ----------
    image : array (H, W), any real dtype
        Finite values.
    mask : bool array (H, W), optional
        Only pixels where it is true count.

    Returns
    -------
    low, high : float
        1st and 99.8th percentile; both 0 where no pixel counts.
    """
    values = image[mask] if mask is not None else image
    step = max(1, int(np.sqrt(values.size / SAMPLED_PIXELS)))
    values = values[(slice(None, None, step),) * values.ndim]
    if values.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(values, (LOW_PERCENTILE, HIGH_PERCENTILE))
    return float(low), float(high)


def stretch(image: AnyArray, low: float, high: float) -> Floats:
    """Map `low` to 0 and `high` to 1 linearly, and compress what is brighter logarithmically.

    A few very bright spots (dead cells, debris) thus stay bounded, and dim nuclei keep their contrast.

    Parameters
    ----------
    image : array (H, W), any real dtype
    low, high : float
        As `intensity_range` returns them. Where they are equal the image is flat and becomes 0.

    Returns
    -------
    float32 array (H, W)
    """
    if high <= low:
        return np.zeros(image.shape, np.float32)
    scaled = (image.astype(np.float32) - np.float32(low)) * np.float32(1.0 / (high - low))
    bright = scaled > 1
    scaled[bright] = 1 + np.log(scaled[bright])
    return scaled


def normalize(image: AnyArray, mask: Optional[Mask] = None) -> Floats:
    """Stretch an image between its own background and bright-nucleus intensities.

    Parameters
    ----------
    image : array (H, W), any real dtype
        Finite values.
    mask : bool array (H, W), optional
        Only pixels where it is true are measured.

    Returns
    -------
    float32 array (H, W)
        About 0 for background, about 1 for bright nuclei. All 0 for a flat image.
    """
    return stretch(image, *intensity_range(image, mask))
