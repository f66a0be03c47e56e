"""Images and maps at another scale, and with sides that a network can take."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nucdl_core.arrays import Floats


def pad_to_multiples(image: Floats, step: int) -> Floats:
    """Mirror an image at its lower and right border until its sides are multiples of `step`."""
    height, width = image.shape
    if height % step == width % step == 0:
        return image
    return np.pad(image, ((0, -height % step), (0, -width % step)), mode="symmetric")


def resize(image: Floats, shape: Tuple[int, int]) -> Floats:
    """Resize a map or an image, bilinearly and without aliasing.

    Parameters
    ----------
    image : float32 array (H, W)
    shape : (int, int)
        New height and width.

    Returns
    -------
    float32 array `shape`
        `image` itself where it has that shape already.
    """
    if image.shape == tuple(shape):
        return image
    tensor: Tensor = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(image))[None, None],
        size=tuple(shape),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    resized: Floats = tensor[0, 0].numpy()
    return resized
