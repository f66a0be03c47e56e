"""Treatments of an image before nuclei are looked for in it, in the choice of OpSeF (Rasse, Hollandi, Horvath 2020)."""

from __future__ import annotations

from functools import partial
from typing import Callable, Dict, Sequence

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Floats

BACKGROUND_SIGMA, BALL_RADIUS = 50.0, 50
"""Pixels: structures larger than these are background."""


def _median(size: int, image: AnyArray) -> AnyArray:
    filtered: AnyArray = ndimage.median_filter(image, size)
    return filtered


def _mean(size: int, image: AnyArray) -> Floats:
    filtered: Floats = ndimage.uniform_filter(image.astype(np.float32), size)
    return filtered


def _without_background(image: AnyArray) -> Floats:
    """Subtract what is left when all that is small is blurred away; the darkest pixel becomes 0."""
    values = image.astype(np.float32)
    flat: Floats = values - ndimage.gaussian_filter(values, BACKGROUND_SIGMA)
    return flat - flat.min()


def _above_rolling_ball(image: AnyArray) -> AnyArray:
    from skimage.restoration import rolling_ball

    values = image.astype(np.float32)
    above: AnyArray = values - rolling_ball(values, radius=BALL_RADIUS)
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
    from skimage.filters import sobel

    steepness: AnyArray = sobel(_unit(image)).astype(np.float32)
    return steepness


def _inverted(image: AnyArray) -> Floats:
    values = image.astype(np.float32)
    negative: Floats = values.max() - values
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


def treat(image: AnyArray, names: Sequence[str]) -> AnyArray:
    """Treat an image in several ways, one after the other.

    Parameters
    ----------
    image : integer or float array (H, W)
        Finite values.
    names : sequence of str
        Of `config.TREATMENTS`, in their order; none leaves the image as it is.

    Returns
    -------
    array (H, W)
    """
    for name in names:
        image = _FUNCTIONS[name](image)
    return image
