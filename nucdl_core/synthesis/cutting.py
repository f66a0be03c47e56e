"""Nuclei cut out of an image, and the same ones turned, deformed, and brighter or dimmer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Floats, Labels, Mask
from nucdl_core.regions import regions_of, touches_edge
from nucdl_core.synthesis.covering import HALO

# Points along each side of the coarse grid that deforms a nucleus.
_COARSE = 4


@dataclass(frozen=True)
class Cutting:
    """A nucleus cut out of an image.

    Attributes
    ----------
    light : float32 array (h, w)
        Grey values above the background; some of the surroundings of the nucleus belong to it.
    inside : bool array (h, w)
        The nucleus.
    """

    light: Floats
    inside: Mask


@dataclass(frozen=True)
class Variation:
    """By how much cut nuclei are changed.

    Attributes
    ----------
    turned : bool
        Whether they are turned by any angle and mirrored.
    deformation : float
        Standard deviation of the elastic deformation, as a share of the nucleus's diameter.
    brightness : float
        Standard deviation of the logarithm of the factor that their light is multiplied with.
    """

    turned: bool = True
    deformation: float = 0.04
    brightness: float = 0.25


def cut_nuclei(image: AnyArray, labels: Labels, background: float) -> List[Cutting]:
    """Cut all nuclei that the image border does not cut out of an image.

    Parameters
    ----------
    image : array (H, W), any real dtype
    labels : int32 array (H, W)
        1..N without gaps.
    background : float
        Grey value without nuclei.

    Returns
    -------
    list of Cutting
        In the order of their numbers, with as much of their surroundings as `HALO` says, where other nuclei are dark.
    """
    regions = regions_of(labels)
    margins = np.ceil(2 * HALO * regions.diameters + 1).astype(np.int64)
    cuttings = []
    for number in np.flatnonzero(~touches_edge(regions, labels.shape) & (regions.areas > 0)):
        top, left, bottom, right = regions.boxes[number]
        margin = margins[number]
        part = slice(max(top - margin, 0), bottom + margin), slice(max(left - margin, 0), right + margin)
        here = labels[part]
        light = image[part].astype(np.float32) - np.float32(background)
        cuttings.append(Cutting(np.where((here == 0) | (here == number + 1), light, 0), here == number + 1))
    return cuttings


def varied(cutting: Cutting, variation: Variation, rng: np.random.Generator) -> Cutting:
    """Turn, mirror and deform a cut nucleus, and make it brighter or dimmer.

    Parameters
    ----------
    cutting : Cutting
    variation : Variation
    rng : numpy.random.Generator

    Returns
    -------
    Cutting
        In a square window that holds it whatever its angle.
    """
    height, width = cutting.inside.shape
    diameter = 2 * np.sqrt(cutting.inside.sum() / np.pi)
    strength = variation.deformation * diameter
    side = int(np.ceil(np.hypot(height, width) + 4 * strength))
    angle = rng.uniform(0, 2 * np.pi) if variation.turned else 0.0
    mirror = rng.choice([-1.0, 1.0]) if variation.turned else 1.0
    axis = np.arange(side) - (side - 1) / 2
    row, col = axis[:, None], axis[None, :] * mirror
    shift = strength * smooth_shifts(side, rng)
    rows = row * np.cos(angle) - col * np.sin(angle) + (height - 1) / 2 + shift[0]
    cols = row * np.sin(angle) + col * np.cos(angle) + (width - 1) / 2 + shift[1]
    gain = np.exp(variation.brightness * rng.standard_normal())
    light = ndimage.map_coordinates(cutting.light, [rows, cols], order=1, output=np.float32)
    inside = ndimage.map_coordinates(cutting.inside.astype(np.float32), [rows, cols], order=1) > 0.5
    return Cutting(np.asarray(light * np.float32(gain)), inside)


def smooth_shifts(side: int, rng: np.random.Generator) -> Floats:
    """Draw by how much each pixel of a square moves in an elastic deformation.

    Parameters
    ----------
    side : int
        Pixels.
    rng : numpy.random.Generator

    Returns
    -------
    float32 array (2, side, side)
        Along rows and columns, smooth, with a standard deviation of about 1.
    """
    coarse = rng.standard_normal((2, _COARSE, _COARSE))
    where = np.linspace(0, _COARSE - 1, side)
    rows, cols = np.meshgrid(where, where, indexing="ij")
    return np.stack(
        [ndimage.map_coordinates(each, [rows, cols], order=3, mode="nearest", output=np.float32) for each in coarse]
    )
