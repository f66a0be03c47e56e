"""Changes of single nuclei: move an outline, split by a line, merge. Masks in, masks out."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from nucdl_core.annotate.drawing import as_path, on_line
from nucdl_core.arrays import Labels, Mask
from nucdl_core.errors import AnnotationError
from nucdl_core.exchange.objects import PlacedMask, joined, trimmed
from nucdl_core.labels import offset_outlines
from nucdl_core.steps.tiling import Window

# A cut-off piece with less than this share of a nucleus, or fewer pixels, is no nucleus: it stays with its neighbour.
_SMALLEST_SHARE, _SMALLEST_PIECE = 0.02, 4
# Nuclei that are farther apart, in pixels, are not parts of one.
_WIDEST_GAP = 6


def window_of(placed: PlacedMask) -> Window:
    """Return the rows and columns of the image that a mask covers."""
    mask, row, col = placed
    return slice(row, row + mask.shape[0]), slice(col, col + mask.shape[1])


def around(placed: PlacedMask, margin: int, shape: Tuple[int, int]) -> Window:
    """Return the rows and columns that a mask covers with a margin in pixels, inside of the image."""
    rows, cols = window_of(placed)
    return (
        slice(max(rows.start - margin, 0), min(rows.stop + margin, shape[0])),
        slice(max(cols.start - margin, 0), min(cols.stop + margin, shape[1])),
    )


def pasted(placed: PlacedMask, window: Window) -> Mask:
    """Return a mask on the pixels of a window that holds it whole; bool array."""
    mask, row, col = placed
    result = np.zeros(tuple(side.stop - side.start for side in window), bool)
    top, left = row - window[0].start, col - window[1].start
    result[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return result


def moved(placed: PlacedMask, offset: float, others: Labels) -> PlacedMask:
    """Move the outline of a nucleus; where it touches another one it stays.

    Parameters
    ----------
    placed : PlacedMask
    offset : float
        In pixels: positive makes it wider, negative tighter, see `labels.offset_outlines`.
    others : int32 array (H, W)
        Above 0 where other nuclei are.

    Returns
    -------
    PlacedMask
        One piece, the largest; of shape (0, 0) where a negative offset leaves nothing.
    """
    if offset == 0 or not placed.mask.size:
        return placed
    shape = (others.shape[0], others.shape[1])
    window = around(placed, int(abs(offset)) + 3, shape)
    scene = others[window].astype(np.int32)
    number = int(scene.max(initial=0)) + 1
    scene[pasted(placed, window) & (scene == 0)] = number
    # What touches the border of the window is no neighbour but the same nucleus going on, or background.
    widened = offset_outlines(scene, offset)
    mask = (widened == number) & ((scene == 0) | (scene == number))
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return trimmed(mask, window[0].start, window[1].start)


def split_by_line(placed: PlacedMask, line: ArrayLike) -> List[PlacedMask]:
    """Part a nucleus along a line.

    Parameters
    ----------
    placed : PlacedMask
    line : (N, 2) numbers
        (row, col) along the line, in the image.

    Returns
    -------
    list of PlacedMask
        Its parts, the largest first; the nucleus alone where the line does not part it. The pixels of the line go to
        the nearest part.
    """
    mask, row, col = placed
    cut = np.zeros(mask.shape, bool)
    cut[on_line(as_path(line) - (row, col), (mask.shape[0], mask.shape[1]))] = True
    # Pixels that touch at a corner only are parted: the line is no wider than that.
    pieces, count = ndimage.label(mask & ~cut)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    least = max(_SMALLEST_PIECE, _SMALLEST_SHARE * float(mask.sum()))
    large = 1 + np.flatnonzero(sizes >= least)
    if len(large) < 2:
        return [placed]
    seeds = np.where(np.isin(pieces, large), pieces, 0)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    owner = np.where(mask, seeds[tuple(nearest)], 0)
    order = large[np.argsort(-sizes[large - 1], kind="stable")]
    return [trimmed(owner == number, row, col) for number in order]


def merge(parts: Sequence[PlacedMask], others: Labels) -> PlacedMask:
    """Join nuclei into one; a narrow gap between them is filled.

    Parameters
    ----------
    parts : sequence of PlacedMask
    others : int32 array (H, W)
        Above 0 where other nuclei are, which are not covered.

    Returns
    -------
    PlacedMask

    Raises
    ------
    AnnotationError
        If there are fewer than two, or they lie too far apart.
    """
    if len(parts) < 2:
        raise AnnotationError("one nucleus cannot be merged; select two or more that lie side by side")
    shape = (others.shape[0], others.shape[1])
    whole = joined(parts)
    window = around(whole, _WIDEST_GAP, shape)
    mask, free = pasted(whole, window), others[window] == 0
    for radius in range(_WIDEST_GAP // 2 + 1):
        # A closing fills what no disk of this radius fits into.
        closed = mask | (_closed(mask, radius) & free)
        if ndimage.label(closed, np.ones((3, 3)))[1] == 1:
            filled = closed | (ndimage.binary_fill_holes(closed) & free)
            return trimmed(filled, window[0].start, window[1].start)
    raise AnnotationError(
        f"the selected nuclei lie more than {_WIDEST_GAP} pixels apart, or another one lies between them; merge "
        "neighbours only"
    )


def _closed(mask: Mask, radius: int) -> Mask:
    if not radius:
        return mask
    padded = np.pad(mask, radius + 1)
    near = ndimage.distance_transform_edt(~padded) <= radius
    deep = ndimage.distance_transform_edt(np.pad(near, 1))[1:-1, 1:-1] > radius
    return np.asarray(deep[radius + 1 : -radius - 1, radius + 1 : -radius - 1], bool)
