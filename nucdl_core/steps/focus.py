"""How sharp an image is."""

from __future__ import annotations

import numpy as np

from nucdl_core.arrays import AnyArray, Floats


def focus(image: AnyArray) -> float:
    """Measure how much of an image's contrast is between neighbouring pixels.

    Parameters
    ----------
    image : array (H, W)

    Returns
    -------
    float
        Variance of the four-neighbour Laplacian over the variance of the image; 0 for a uniform image and one with
        fewer than 3 x 3 pixels. Falls with blur and does not change with brightness or offset.
    """
    values = image.astype(np.float32)
    variance = _variance(values)
    if min(values.shape) < 3 or variance == 0:
        return 0.0
    laplacian = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:] - 4 * values[1:-1, 1:-1]
    return _variance(laplacian) / variance


def _variance(values: Floats) -> float:
    """Return the variance of float32 values, without the copies in float64 that numpy's own makes."""
    deviations = values - np.float32(values.mean(dtype=np.float64))
    return float(np.square(deviations, out=deviations).mean())
