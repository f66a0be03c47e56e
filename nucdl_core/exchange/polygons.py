"""Outlines of masks as polygons and back.

Coordinates are those of ImageJ, QuPath and COCO: x to the right and y down, in pixels, (0, 0) at the outer corner of
the first pixel, so that its centre is (0.5, 0.5) and a nucleus of one pixel is a square of side 1. A pixel belongs to
a polygon if its centre does; a centre on the line belongs to it on the right and the upper side only, as in ImageJ
(PolygonFiller, since version 1.52u). Outlines that are made here run along the edges of pixels, which makes them exact.
"""

from __future__ import annotations

import math
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.exchange.objects import ObjectCollector, PlacedMask, trimmed

Ring = NDArray[np.float64]
"""A closed outline: (x, y) of its corners, (N, 2); the last one is joined to the first one."""

# Far beyond any image; above this, sums of coordinates are no longer exact.
_FARTHEST = 1e9
# ImageJ's filler moves lines by this to the right, so that rounding does not decide for centres on them.
_ON_THE_LINE = 1e-8
# Filling takes several times the memory of the pixels that an object spans.
MAX_OBJECT_PIXELS = 2**27
# East, south, west, north; (row, col) of a step along an edge that has the nucleus on its right.
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


class Polygon(NamedTuple):
    """One piece of a nucleus.

    Attributes
    ----------
    shell : Ring
        Its outer outline.
    holes : list of Ring
        Outlines of what is not part of it.
    """

    shell: Ring
    holes: List[Ring]


class Filled(NamedTuple):
    """The pixels inside outlines.

    Attributes
    ----------
    placed : PlacedMask
        Those inside the image.
    outside : bool
        Whether the outlines have pixels beyond the border of the image.
    crossing : bool
        Whether an outline runs around pixels twice, or in both directions: it crosses itself.
    """

    placed: PlacedMask
    outside: bool
    crossing: bool


def polygons_of(placed: PlacedMask) -> List[Polygon]:
    """Draw the outlines of a mask along the edges of its pixels.

    Parameters
    ----------
    placed : PlacedMask

    Returns
    -------
    list of Polygon
        One for each piece, where pixels that touch at a corner only are two pieces. Rings are simple: none passes a
        point twice. Coordinates are whole numbers, of the image.
    """
    mask, row, col = placed
    if mask.all():
        bottom, right = row + mask.shape[0], col + mask.shape[1]
        return [Polygon(np.array([[col, row], [right, row], [right, bottom], [col, bottom]], np.float64), [])]
    pieces, count = ndimage.label(mask)
    found = [Polygon(np.zeros((0, 2)), []) for _ in range(count)]
    for piece, ring in _rings(pieces):
        placed_ring = ring + (col, row)
        if _turns_right(ring):
            found[piece - 1] = Polygon(placed_ring, found[piece - 1].holes)
        else:
            found[piece - 1].holes.append(placed_ring)
    return found


def _turns_right(ring: Ring) -> bool:
    """Tell an outer outline, which has the nucleus on its right, from that of a hole."""
    x, y = ring.T
    return bool(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)) > 0)


def _rings(pieces: AnyArray) -> List[Tuple[int, Ring]]:
    """Follow the edges between pieces and background; each simple ring with the number of its piece."""
    inside = np.pad(pieces > 0, 1)
    here, above = inside[1:, 1:], inside[:-1, 1:]
    left, above_left = inside[1:, :-1], inside[:-1, :-1]
    starts = (here & ~above, left & ~here, above_left & ~left, above & ~above_left)
    open_edges: Dict[Tuple[int, int, int], int] = {}
    for direction, grid in enumerate(starts):
        for row, col in np.argwhere(grid).tolist():
            open_edges[row, col, direction] = 1
    # The pixel on the right of an edge that starts at a corner, by direction.
    beside = ((0, 0), (0, -1), (-1, -1), (-1, 0))
    found: List[Tuple[int, Ring]] = []
    while open_edges:
        row, col, direction = next(iter(open_edges))
        piece = int(pieces[row + beside[direction][0], col + beside[direction][1]])
        found.extend((piece, ring) for ring in _simple(_walk(open_edges, row, col, direction)))
    return found


def _walk(open_edges: Dict[Tuple[int, int, int], int], row: int, col: int, direction: int) -> List[Tuple[int, int]]:
    """Take one closed walk out of the edges, turning right where there is a choice; its corners as (x, y)."""
    corners: List[Tuple[int, int]] = []
    start = (row, col, direction)
    while (row, col, direction) in open_edges:
        del open_edges[row, col, direction]
        row, col = row + _STEPS[direction][0], col + _STEPS[direction][1]
        for turn in (1, 0, 3):
            following = (direction + turn) % 4
            if (row, col, following) in open_edges or (row, col, following) == start:
                break
        if turn:
            corners.append((col, row))
        direction = following
    return corners


def _simple(corners: List[Tuple[int, int]]) -> List[Ring]:
    """Part a walk that passes a corner twice into rings that do not."""
    rings: List[Ring] = []
    path: List[Tuple[int, int]] = []
    places: Dict[Tuple[int, int], int] = {}
    for corner in corners:
        if corner in places:
            begin = places[corner]
            rings.append(np.array(path[begin:], np.float64))
            for passed in path[begin + 1 :]:
                del places[passed]
            del path[begin + 1 :]
        else:
            places[corner] = len(path)
            path.append(corner)
    rings.append(np.array(path, np.float64))
    return rings


def as_ring(points: object, name: str) -> Ring:
    """Check the corners of an outline; see `as_points`.

    A last point that repeats the first one is left out. Fewer than 3 corners enclose nothing and are allowed.
    """
    ring = as_points(points, name)
    return ring[:-1] if len(ring) > 1 and np.array_equal(ring[0], ring[-1]) else ring


def as_points(points: object, name: str) -> Ring:
    """Check a list of points.

    Parameters
    ----------
    points : sequence of pairs of numbers
        Where there are more than two numbers a point, the first two count.
    name : str
        Of the object, for errors.

    Returns
    -------
    float64 array (N, 2)
        x and y in pixels.

    Raises
    ------
    ImageError
        If these are no pairs of numbers, or one is not finite or far beyond any image.
    """
    try:
        found = np.array(points, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ImageError(f"the outline of object {name} is no list of pairs of numbers x, y ({error})") from error
    if found.size == 0:
        return np.zeros((0, 2))
    if found.ndim != 2 or found.shape[1] < 2:
        raise ImageError(
            f"the outline of object {name} has the shape {found.shape}; it must be N pairs of numbers x, y"
        )
    found = found[:, :2]
    if not np.isfinite(found).all() or np.abs(found).max() > _FARTHEST:
        raise ImageError(f"the outline of object {name} holds a number that is not finite or above {_FARTHEST:.0e}")
    return found


def fill(rings: Sequence[Ring], shape: Tuple[int, int], together: bool = True) -> Filled:
    """Fill outlines by the rule of pixel centres.

    Parameters
    ----------
    rings : sequence of Ring
    shape : (int, int)
        Height and width of the image in pixels.
    together : bool
        Whether what two rings have in common is outside (even-odd rule, which makes holes), or inside (union).

    Returns
    -------
    Filled

    Raises
    ------
    ImageError
        If the outlines span more than `MAX_OBJECT_PIXELS`.
    """
    boxes = [_pixel_box(ring) for ring in rings if len(ring)]
    boxes = [box for box in boxes if box[0] < box[2] and box[1] < box[3]]
    if not boxes:
        return Filled(trimmed(np.zeros((0, 0), bool)), False, False)
    top, left = (min(box[side] for box in boxes) for side in (0, 1))
    bottom, right = (max(box[side] for box in boxes) for side in (2, 3))
    outside = top < 0 or left < 0 or bottom > shape[0] or right > shape[1]
    top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, shape[0]), min(right, shape[1])
    if top >= bottom or left >= right:
        return Filled(trimmed(np.zeros((0, 0), bool)), True, False)
    if (bottom - top) * (right - left) > MAX_OBJECT_PIXELS:
        raise ImageError(
            f"one object is {bottom - top} x {right - left} pixels large, the limit is {MAX_OBJECT_PIXELS} pixels; "
            "check the file"
        )
    if len(rings) == 1 and _is_rectangle(rings[0]):
        return Filled(PlacedMask(np.ones((bottom - top, right - left), bool), top, left), outside, False)
    inside, crossing = np.zeros((bottom - top, right - left), bool), False
    for ring in rings:
        if len(ring) < 3:
            continue
        turns = _turns_around(ring, (top, left, bottom, right))
        crossing |= bool(turns.max() > 1 or turns.min() < -1 or (turns.max() > 0 > turns.min()))
        odd = turns % 2 == 1
        inside = inside ^ odd if together else inside | odd
    return Filled(trimmed(inside, top, left), outside, crossing)


def _is_rectangle(ring: Ring) -> bool:
    """Tell whether a ring has four corners and upright sides, which saves most of the work."""
    if len(ring) != 4:
        return False
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = ring.tolist()
    flat_first = y0 == y1 and x1 == x2 and y2 == y3 and x3 == x0
    steep_first = x0 == x1 and y1 == y2 and x2 == x3 and y3 == y0
    return bool(flat_first or steep_first)


def _pixel_box(ring: Ring) -> Tuple[int, int, int, int]:
    """First row and column, and those after the last, of the pixels whose centres lie between a ring's extremes."""
    (low_x, low_y), (high_x, high_y) = ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
    top, bottom = math.ceil(low_y - 0.5), math.ceil(high_y - 0.5)
    left, right = (math.floor(value + 0.5 + _ON_THE_LINE) for value in (low_x, high_x))
    return top, left, bottom, right


def _turns_around(ring: Ring, box: Tuple[int, int, int, int]) -> NDArray[np.int64]:
    """Count how often a ring runs around the centre of each pixel of a box, backwards negative; (h, w)."""
    top, left, bottom, right = box
    height, width = bottom - top, right - left
    x, y = ring.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    first = np.clip(np.ceil(np.minimum(y, next_y) - 0.5), top, bottom).astype(np.int64)
    stop = np.clip(np.ceil(np.maximum(y, next_y) - 0.5), top, bottom).astype(np.int64)
    counts = stop - first
    edge = np.repeat(np.arange(len(ring)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)
    share = (rows + 0.5 - y[edge]) / (next_y - y)[edge]
    crossing_x = x[edge] + share * (next_x - x)[edge]
    cols = np.clip(np.floor(crossing_x + 0.5 + _ON_THE_LINE) - left, 0, width).astype(np.int64)
    places = (rows - top) * (width + 1) + cols
    sign = np.where(next_y > y, 1.0, -1.0)[edge]
    steps = np.bincount(places, sign, height * (width + 1)).reshape(height, width + 1)
    return np.cumsum(steps, axis=1)[:, :-1].astype(np.int64)


def fill_ellipse(box: Tuple[float, float, float, float], shape: Tuple[int, int]) -> Filled:
    """Fill an ellipse by the rule of pixel centres.

    Parameters
    ----------
    box : (float, float, float, float)
        Left, top, width and height of the rectangle around it, in pixels.
    shape : (int, int)
        Height and width of the image in pixels.

    Returns
    -------
    Filled
    """
    left, top, wide, high = box
    frame = fill([np.array([[left, top], [left + wide, top], [left + wide, top + high], [left, top + high]])], shape)
    mask, row, col = frame.placed
    if not mask.size:
        return frame
    y = (np.arange(row, row + mask.shape[0]) + 0.5 - top) / high * 2 - 1
    x = (np.arange(col, col + mask.shape[1]) + 0.5 - left) / wide * 2 - 1
    return Filled(trimmed((y**2)[:, None] + (x**2)[None] <= 1, row, col), frame.outside, False)


def note_filled(collector: ObjectCollector, filled: Filled, name: str) -> None:
    """Note that an outline reaches out of the image or crosses itself."""
    if filled.outside and filled.placed.mask.size:
        collector.notes.add("objects reach out of the image and are cut at its border", name)
    elif filled.outside:
        collector.notes.add("objects lie outside the image and are left out", name)
    if filled.crossing:
        collector.notes.add("outlines cross themselves; what they run around twice is outside", name)
