"""Treatments of an image before nuclei are looked for in it, in the choice of OpSeF (Rasse, Hollandi, Horvath 2020).

Median, background, edges and the negative are those of CellProfiler's MedianFilter, GaussianFilter with ImageMath,
EnhanceEdges and ImageMath, at the border of the image too, so that a pipeline gives the same nuclei. CellProfiler has
no module that does what the others do. `binning` is the one treatment that changes the size of the image.
"""

from __future__ import annotations

from functools import partial
from typing import Callable, Dict, Sequence

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Floats
from nucdl_core.config import BINNING

BACKGROUND_SIGMA, BALL_RADIUS = 50.0, 50
"""Pixels: structures larger than these are background."""
_SOBEL = np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]]) / 4.0
BALL_LEVELS = 255
"""Brightness over which an image is stretched before the ball rolls, as in images of 8 bits."""


def _median(size: int, image: AnyArray) -> AnyArray:
    filtered: AnyArray = ndimage.median_filter(image, size, mode="constant")
    return filtered


def _mean(size: int, image: AnyArray) -> Floats:
    filtered: Floats = ndimage.uniform_filter(image.astype(np.float32), size)
    return filtered


def _without_background(image: AnyArray) -> Floats:
    """Subtract what is left when all that is small is blurred away; the background becomes about 0."""
    values = image.astype(np.float32)
    flat: Floats = values - ndimage.gaussian_filter(values, BACKGROUND_SIGMA, mode="nearest")
    return flat


def _above_rolling_ball(image: AnyArray) -> AnyArray:
    from skimage.restoration import rolling_ball

    # The ball is as high as wide: it means the same whatever the bits of the image.
    values = BALL_LEVELS * _unit(image)
    above: AnyArray = (values - rolling_ball(values, radius=BALL_RADIUS)) * (np.ptp(image) / BALL_LEVELS)
    return above


def _unit(image: AnyArray) -> Floats:
    """Stretch an image over 0 to 1."""
    values = image.astype(np.float32) - np.float32(image.min())
    scaled: Floats = values / max(float(values.max()), 1e-12)
    return scaled


def _equalized(image: AnyArray) -> Floats:
    from skimage.exposure import equalize_hist

    levels: Floats = equalize_hist(_unit(image), nbins=65536).astype(np.float32)
    return levels


def _equalized_in_parts(image: AnyArray) -> Floats:
    from skimage.exposure import equalize_adapthist

    levels: Floats = equalize_adapthist(_unit(image)).astype(np.float32)
    return levels


def _edges(image: AnyArray) -> AnyArray:
    """Sobel's steepness; at the border, where it is not known, 0."""
    values, steepness = image.astype(np.float32), np.zeros(image.shape, np.float32)
    down, right = (ndimage.convolve(values, kernel) for kernel in (_SOBEL, _SOBEL.T))
    steepness[1:-1, 1:-1] = np.sqrt(down**2 + right**2)[1:-1, 1:-1]
    return steepness


def _inverted(image: AnyArray) -> Floats:
    negative: Floats = 1 - image.astype(np.float32)
    return negative


_FUNCTIONS: Dict[str, Callable[[AnyArray], AnyArray]] = {
    "median3": partial(_median, 3),
    "median5": partial(_median, 5),
    "mean7": partial(_mean, 7),
    "mean9": partial(_mean, 9),
    "background": _without_background,
    "rolling_ball": _above_rolling_ball,
    "equalize": _equalized,
    "clahe": _equalized_in_parts,
    "edges": _edges,
    "invert": _inverted,
}


def on_unit_scale(image: AnyArray) -> AnyArray:
    """Bring 8 and 16 bits to 0 to 1, as CellProfiler does when it loads an image, so that both round alike.

    Parameters
    ----------
    image : array (H, W), any real dtype

    Returns
    -------
    array (H, W)
        float32 of uint8 and uint16; the image itself otherwise.
    """
    if image.dtype not in (np.uint8, np.uint16):
        return image
    highest = np.iinfo(image.dtype).max
    levels: Floats = (np.arange(highest + 1) / float(highest)).astype(np.float32)
    return levels[image]


def treat(image: AnyArray, names: Sequence[str]) -> AnyArray:
    """Treat an image in several ways, one after the other.

    Parameters
    ----------
    image : integer or float array (H, W)
        Finite values.
    names : sequence of str
        Of `config.TREATMENTS`, in their order; none leaves the image as it is. `config.BINNING` is not done here, see
        `binning.halved`.

    Returns
    -------
    array (H, W)
    """
    for name in names:
        if name != BINNING:
            image = _FUNCTIONS[name](image)
    return image
