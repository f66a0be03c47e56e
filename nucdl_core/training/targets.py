"""What the U-Net's four maps should say, drawn from a label image."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from nucdl_core.arrays import Floats, Labels


def normalized_distance(labels: Labels) -> Floats:
    """Distance of each nucleus pixel to the rim of its nucleus, 1 at its innermost pixel.

    Parameters
    ----------
    labels : int32 array (H, W)

    Returns
    -------
    float32 array (H, W)
        0 in the background, in (0, 1] inside. Touching nuclei have a rim between them. The image border is no rim, so
        an image that lies wholly inside a nucleus is 1 everywhere. After Zaki et al. (Cytometry A 2020).
    """
    inner = labels > 0
    inner[1:] &= labels[1:] == labels[:-1]
    inner[:-1] &= labels[:-1] == labels[1:]
    inner[:, 1:] &= labels[:, 1:] == labels[:, :-1]
    inner[:, :-1] &= labels[:, :-1] == labels[:, 1:]
    if inner.all():
        return np.ones(labels.shape, np.float32)
    distance = ndimage.distance_transform_edt(inner).astype(np.float32) + 0.5
    distance[labels == 0] = 0
    peak = np.ones(int(labels.max(initial=0)) + 1, np.float32)
    np.maximum.at(peak, labels.ravel(), distance.ravel())
    peak[0] = 1
    return np.asarray(distance / peak[labels], np.float32)


def label_extremes(labels: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Largest and smallest nucleus number within `radius` px of each pixel, background left out.

    Parameters
    ----------
    labels : float tensor (H, W)

    Returns
    -------
    largest, smallest : float tensors (H, W)
        0 and infinity where no nucleus is near.
    """
    side = 2 * radius + 1
    largest = functional.max_pool2d(labels[None, None], side, stride=1, padding=radius)[0, 0]
    without_background = torch.where(labels > 0, -labels, torch.full_like(labels, -torch.inf))
    smallest = -functional.max_pool2d(without_background[None, None], side, stride=1, padding=radius)[0, 0]
    return largest, smallest


def boundary_map(labels: Tensor) -> Tensor:
    """Mark the pixels on both sides of every nucleus outline.

    Parameters
    ----------
    labels : float tensor (H, W)

    Returns
    -------
    bool tensor (H, W)
    """
    largest, smallest = label_extremes(labels, 1)
    background_near = functional.max_pool2d((labels == 0).float()[None, None], 3, stride=1, padding=1)[0, 0] > 0
    return (largest > 0) & ((largest != smallest) | background_near)


def gap_map(labels: Tensor) -> Tensor:
    """Mark the pixels where two nuclei lie within 3 px: there a mistake merges them.

    Parameters
    ----------
    labels : float tensor (H, W)

    Returns
    -------
    bool tensor (H, W)
    """
    largest, smallest = label_extremes(labels, 3)
    return (largest > 0) & (largest != smallest)
