"""What a person draws with the mouse: rough outlines, boxes and cutting lines, as pixels.

Positions are (row, col) in pixels with fractions, (0, 0) at the outer corner of the first pixel, so that the pixel of a
position is its whole part.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from nucdl_core.errors import AnnotationError
from nucdl_core.exchange.objects import PlacedMask, trimmed
from nucdl_core.exchange.polygons import fill

Path2D = NDArray[np.float64]
"""Positions along a drawn line: (row, col), (N, 2)."""

# Steps along a line, in pixels, at which its pixels are looked for: none that it crosses visibly is missed.
_STEP = 0.2


def as_path(points: ArrayLike) -> Path2D:
    """Take drawn positions as an array.

    Parameters
    ----------
    points : (N, 2) numbers
        (row, col) of each.

    Returns
    -------
    float64 array (N, 2)

    Raises
    ------
    AnnotationError
        If they are no finite pairs.
    """
    path = np.asarray(points, np.float64)
    if path.ndim != 2 or path.shape[1] != 2 or not np.isfinite(path).all():
        raise AnnotationError(f"a line is a list of (row, col), an array of shape {path.shape} came; draw it again")
    return path


def inside_line(points: ArrayLike, shape: Tuple[int, int]) -> PlacedMask:
    """Return the pixels inside a rough line, whose ends are joined.

    Parameters
    ----------
    points : (N, 2) numbers
        (row, col) along the line.
    shape : (int, int)
        Height and width of the image in pixels.

    Returns
    -------
    PlacedMask
        Without holes, cut at the border of the image; of shape (0, 0) where the line encloses no pixel.
    """
    path = as_path(points)
    mask, row, col = fill([path[:, ::-1].copy()], shape).placed
    return trimmed(ndimage.binary_fill_holes(mask), row, col) if mask.size else trimmed(mask)


def inside_box(first: ArrayLike, second: ArrayLike, shape: Tuple[int, int]) -> PlacedMask:
    """Return the pixels that a box touches, given two opposite corners (row, col); see `inside_line`."""
    corners = as_path(np.stack([np.asarray(first), np.asarray(second)]))
    low = np.clip(np.floor(corners.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)), 0, shape).astype(int)
    return trimmed(np.ones(np.maximum(high - low, 0), bool), int(low[0]), int(low[1]))


def on_line(points: ArrayLike, shape: Tuple[int, int]) -> Tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List the pixels that a line runs through.

    Parameters
    ----------
    points : (N, 2) numbers
        (row, col) along the line.
    shape : (int, int)
        Height and width of the area in pixels; what lies outside is left out.

    Returns
    -------
    rows, cols : int64 arrays (P,)
        Along the line, a pixel possibly several times; those that follow each other touch at least at a corner.
    """
    path = as_path(points)
    if not len(path):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    along = np.linspace(0, lengths[-1], int(lengths[-1] / _STEP) + 2)
    places = np.floor([np.interp(along, lengths, path[:, axis]) for axis in (0, 1)]).astype(np.int64)
    within = np.all((places >= 0) & (places < np.array(shape)[:, None]), axis=0)
    return places[0, within], places[1, within]
