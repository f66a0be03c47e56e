"""A data base of the shapes of real nuclei, and nuclei of these shapes at any size and angle."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, List

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import convex_hull_image

from nucdl_core.arrays import AnyArray, Floats, Labels, Mask
from nucdl_core.ellipses import ellipses_of
from nucdl_core.regions import regions_of, touches_edge

SHAPE_SIDE, SHAPE_DIAMETER = 40, 20.0
"""Pixels of the square that holds a shape, and equivalent diameter of the shape in it."""
SMALLEST_SHAPE = 150
"""Pixels; the outlines of smaller nuclei are stairs."""
LOWEST_SOLIDITY = 0.88
"""Share of its convex hull that a nucleus fills; what fills less is often two nuclei, or was drawn carelessly."""
FITTING = 30
"""Of so many shapes of the elongation that is wanted, chance takes one."""
# Standard deviation in pixels of the blur that makes curves of stairs.
_SMOOTHING = 0.9
SHAPES_FILE = Path(__file__).with_name("nucleus_shapes.safetensors")


@dataclass(frozen=True)
class NucleusShapes:
    """Shapes of nuclei, all of the same area, their long axis along the columns.

    Attributes
    ----------
    masks : bool array (N, SHAPE_SIDE, SHAPE_SIDE)
    elongation : float64 array (N,)
        Ratio of long to short axis.
    """

    masks: Mask
    elongation: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.masks)

    def choose(self, elongation: float, rng: np.random.Generator) -> Mask:
        """Take one of the shapes that come nearest to an elongation, bool array (SHAPE_SIDE, SHAPE_SIDE)."""
        apart = np.abs(np.log(self.elongation) - np.log(elongation))
        nearest = np.argsort(apart, kind="stable")[:FITTING]
        chosen: Mask = self.masks[nearest[rng.integers(len(nearest))]]
        return chosen


def collect_shapes(labels: Labels) -> List[Mask]:
    """Take the shapes of all nuclei of a label image that are large enough and wholly inside.

    Parameters
    ----------
    labels : int32 array (H, W)
        1..N without gaps.

    Returns
    -------
    list of bool arrays (SHAPE_SIDE, SHAPE_SIDE)
        Nuclei that are so long that they would not fit, or not `LOWEST_SOLIDITY`, are left out.
    """
    regions, ellipses = regions_of(labels), ellipses_of(labels)
    wanted = ~touches_edge(regions, labels.shape) & (regions.areas >= SMALLEST_SHAPE)
    shapes = []
    for number in np.flatnonzero(wanted):
        top, left, bottom, right = regions.boxes[number]
        mask = labels[top:bottom, left:right] == number + 1
        scale = regions.diameters[number] / SHAPE_DIAMETER
        shape = drawn(mask, scale, ellipses.angle[number], SHAPE_SIDE)
        cut = shape[[0, -1]].any() or shape[:, [0, -1]].any()
        if not cut and mask.sum() >= LOWEST_SOLIDITY * convex_hull_image(mask).sum():
            shapes.append(shape)
    return shapes


def drawn(mask: Mask, scale: float, angle: float, side: int) -> Mask:
    """Draw a shape turned and rescaled in the middle of a square.

    Parameters
    ----------
    mask : bool array (h, w)
    scale : float
        Pixels of `mask` for each pixel of what is drawn.
    angle : float
        By how many radians it is turned back: a shape along `angle` comes to lie along the columns.
    side : int
        Pixels of the square.

    Returns
    -------
    bool array (side, side)
    """
    smooth: Floats = ndimage.gaussian_filter(np.pad(mask, 3).astype(np.float32), max(_SMOOTHING, scale / 3))
    middle = np.array(ndimage.center_of_mass(smooth))
    axis = (np.arange(side) - (side - 1) / 2) * scale
    down, right = axis[:, None], axis[None, :]
    rows = down * np.cos(angle) + right * np.sin(angle) + middle[0]
    cols = right * np.cos(angle) - down * np.sin(angle) + middle[1]
    return np.asarray(ndimage.map_coordinates(smooth, [rows, cols], order=1) > 0.5)


def shapes_from(masks: Iterable[Mask]) -> NucleusShapes:
    """Put shapes into a data base.

    Parameters
    ----------
    masks : iterable of bool arrays (SHAPE_SIDE, SHAPE_SIDE)
        At least one; each with a nucleus in one piece.
    """
    stack = np.stack(list(masks))
    elongation = [float(ellipses_of(mask.astype(np.int32)).elongation[0]) for mask in stack]
    return NucleusShapes(stack, np.array(elongation))


def packed(shapes: NucleusShapes) -> AnyArray:
    """Return the shapes as bits, uint8 array (N, SHAPE_SIDE * SHAPE_SIDE / 8), as their file holds them."""
    return np.packbits(shapes.masks.reshape(len(shapes), -1), axis=1)


@functools.lru_cache(maxsize=1)
def bundled_shapes() -> NucleusShapes:
    """Return the shapes that come with NucDL: nuclei of the 2018 Data Science Bowl (BBBC038, CC0 1.0)."""
    from nucdl_core.model.bundle import read_tensors

    bits = read_tensors(SHAPES_FILE)["shapes"]
    return shapes_from(np.unpackbits(bits, axis=1).reshape(-1, SHAPE_SIDE, SHAPE_SIDE).astype(bool))
