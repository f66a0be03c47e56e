"""Images at half their size, and nuclei that were found there on the image's own pixels again.

Both are done as CellProfiler's Resize and ResizeObjects do it, so that a pipeline gives the same nuclei.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Tuple

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Floats, Mask
from nucdl_core.labels import resize_nearest
from nucdl_core.results import Segmentation


def half_shape(shape: Tuple[int, int]) -> Tuple[int, int]:
    """Return height and width at half the size, at least one pixel each; halves are rounded to even numbers."""
    rows, cols = (max(1, int(np.round(side * 0.5))) for side in shape)
    return rows, cols


def halved(image: AnyArray) -> Floats:
    """Reduce an image to half its size.

    Parameters
    ----------
    image : array (H, W), any real dtype

    Returns
    -------
    float32 array (h, w)
        Each pixel is the mean of four, with a little of those around them.
    """
    from skimage.transform import resize

    small: Floats = resize(
        image.astype(np.float32),
        half_shape((image.shape[0], image.shape[1])),
        order=1,
        mode="symmetric",
        anti_aliasing=True,
        preserve_range=True,
    )
    return small.astype(np.float32, copy=False)


def halved_mask(mask: Mask) -> Mask:
    """Reduce a mask (H, W) to half its size; each pixel takes the value at its centre."""
    small: Mask = resize_nearest(mask.astype(np.int32), half_shape((mask.shape[0], mask.shape[1]))) > 0
    return small


def enlarged(found: Segmentation, shape: Tuple[int, int]) -> Segmentation:
    """Bring nuclei that were found at half the size onto the image's own pixels.

    Parameters
    ----------
    found : Segmentation
    shape : (int, int)
        Height and width of the image in pixels.

    Returns
    -------
    Segmentation
        Outlines run in steps of two pixels; the diameter is in pixels of the image.
    """
    return replace(
        found,
        labels=_onto(found.labels, shape),
        probability=None if found.probability is None else _onto(found.probability, shape),
        diameter=found.diameter * 2,
        measured=None,
    )


def _onto(values: AnyArray, shape: Tuple[int, int]) -> AnyArray:
    large: AnyArray = ndimage.zoom(values, np.divide(shape, values.shape), order=0, mode="nearest")
    return large
