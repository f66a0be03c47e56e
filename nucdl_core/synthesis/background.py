"""An empty image that has the background of a real one."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError

DILATION = 15
"""Pixels around nuclei whose light is taken for theirs (Kromp et al.)."""
FEWEST_PIXELS = 100


def background_pixels(image: AnyArray, labels: Labels, dilation: int = DILATION) -> AnyArray:
    """Return the grey values of an image far from its nuclei.

    Parameters
    ----------
    image : array (H, W), any real dtype
    labels : int32 array (H, W)
    dilation : int
        Radius in pixels of the disk by which nuclei are dilated. It is halved where that leaves fewer than
        `FEWEST_PIXELS`, as in crowded images.

    Returns
    -------
    array (K,)

    Raises
    ------
    ImageError
        If nuclei cover the whole image.
    """
    away = ndimage.distance_transform_edt(labels == 0) if labels.any() else np.full(labels.shape, np.inf)
    while dilation > 0 and np.count_nonzero(away > dilation) < FEWEST_PIXELS:
        dilation //= 2
    free = image[away > dilation]
    if free.size < min(FEWEST_PIXELS, image.size):
        raise ImageError(
            f"only {free.size} of {image.size} pixels belong to no nucleus, too few to know the background; take an "
            "image with fewer nuclei"
        )
    return free


def resampled_background(pixels: AnyArray, shape: Tuple[int, int], rng: np.random.Generator) -> AnyArray:
    """Fill an empty image with background pixels taken at random (Kromp et al.).

    Parameters
    ----------
    pixels : array (K,)
        As `background_pixels` returns them.
    shape : (int, int)
        Height and width.
    rng : numpy.random.Generator

    Returns
    -------
    array (H, W)
    """
    return pixels[rng.integers(0, pixels.size, shape)]
