"""What a window shows of an image and its nuclei: which part, how large, in which colours. Arrays in, arrays out.

Only the pixels of the window are computed, so that an image of any size is shown at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import AnyArray, Labels, Mask
from nucdl_core.exchange.objects import PlacedMask

Rendered = NDArray[np.uint8]
"""Red, green and blue of each pixel of a window, (h, w, 3)."""
_Colour = Tuple[int, int, int]

LARGEST_ZOOM, SMALLEST_ZOOM = 64.0, 1 / 64
OUTSIDE: _Colour = (32, 34, 40)
SELECTED: _Colour = (255, 255, 255)
PENDING: _Colour = (0, 255, 255)
# Colours that are told apart on grey, also by most people with a weak sense of colour; white and cyan are taken.
PALETTE: Tuple[_Colour, ...] = (
    (255, 130, 30),
    (120, 220, 60),
    (255, 80, 130),
    (215, 110, 255),
    (80, 140, 255),
    (0, 190, 140),
    (160, 205, 255),
    (205, 133, 63),
    (255, 170, 190),
)
NO_CLASS: _Colour = (255, 225, 70)
# Outlines get thicker from this zoom on.
_THICK_FROM = 1.4
# A tenth of the colour tints the pixels of a nucleus that is selected or pending.
_TINT = 0.22
_PERCENTILES = (0.1, 99.8)


@dataclass(frozen=True)
class Viewport:
    """Which part of an image is shown, and how large.

    Attributes
    ----------
    row, col : float
        Position in the image of the window's upper left corner, in image pixels.
    zoom : float
        Window pixels for one image pixel.
    """

    row: float = 0.0
    col: float = 0.0
    zoom: float = 1.0

    @classmethod
    def whole(cls, shape: Tuple[int, int], size: Tuple[int, int], margin: float = 0.0) -> Viewport:
        """Show a whole image (height, width) in the middle of a window (height, width), with a share of it around."""
        fits = (side * (1 - 2 * margin) / max(length, 1) for side, length in zip(size, shape))
        zoom = min(LARGEST_ZOOM, *fits)
        row, col = ((length - side / zoom) / 2 for length, side in zip(shape, size))
        return cls(row, col, zoom)

    def to_image(self, y: float, x: float) -> Tuple[float, float]:
        """Return the (row, col) in the image of a place in the window, in window pixels."""
        return self.row + y / self.zoom, self.col + x / self.zoom

    def to_window(self, row: float, col: float) -> Tuple[float, float]:
        """Return the (y, x) in the window of a position in the image."""
        return (row - self.row) * self.zoom, (col - self.col) * self.zoom

    def zoomed(self, factor: float, y: float, x: float) -> Viewport:
        """Zoom so that what is at a place in the window stays there."""
        zoom = float(np.clip(self.zoom * factor, SMALLEST_ZOOM, LARGEST_ZOOM))
        row, col = self.to_image(y, x)
        return Viewport(row - y / zoom, col - x / zoom, zoom)

    def panned(self, y: float, x: float) -> Viewport:
        """Move the image by window pixels downwards and to the right."""
        return replace(self, row=self.row - y / self.zoom, col=self.col - x / self.zoom)

    def showing(self, row: float, col: float, size: Tuple[int, int], margin: float = 0.15) -> Viewport:
        """Move the image as little as needed so that a position lies inside a window (height, width)."""
        starts = []
        for start, position, side in zip((self.row, self.col), (row, col), size):
            length = side / self.zoom
            low, high = position - (1 - margin) * length, position - margin * length
            starts.append(float(min(max(start, low), high)))
        return replace(self, row=starts[0], col=starts[1])


class Overlay(NamedTuple):
    """What is drawn on an image.

    Attributes
    ----------
    labels : int32 array (H, W)
    colours : uint8 array (N + 1, 3)
        Of the outline of each nucleus.
    selection : tuple of int
        Nuclei that are shown as selected.
    pending : PlacedMask or None
        A contour that waits to be accepted.
    hidden : bool
        Whether only what is selected or pending has an outline.
    """

    labels: Labels
    colours: NDArray[np.uint8]
    selection: Tuple[int, ...] = ()
    pending: Optional[PlacedMask] = None
    hidden: bool = False


def intensity_limits(image: AnyArray) -> Tuple[float, float]:
    """Return the intensities that are shown as black and as white: nearly all lie between them."""
    step = max(1, int(np.sqrt(image.size / 1e6)))
    low, high = np.percentile(image[::step, ::step].astype(np.float64), _PERCENTILES) if image.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1)


def colours_of(count: int, places: Optional[NDArray[np.int64]] = None) -> NDArray[np.uint8]:
    """Choose a colour for each of N nuclei.

    Parameters
    ----------
    count : int
        N.
    places : int64 array (N,), optional
        The place of each one's class in the list of classes, from 1, and 0 for none; without it the colours of
        following nuclei differ.

    Returns
    -------
    uint8 array (N + 1, 3)
        Black for the background.
    """
    palette = np.array(PALETTE, np.uint8)
    if places is None:
        chosen = palette[np.arange(count) % len(palette)]
    else:
        chosen = np.where((places > 0)[:, None], palette[(places - 1) % len(palette)], np.array(NO_CLASS, np.uint8))
    return np.concatenate([np.zeros((1, 3), np.uint8), chosen.astype(np.uint8)])


def picture(
    image: AnyArray,
    limits: Tuple[float, float],
    overlay: Overlay,
    view: Viewport,
    size: Tuple[int, int],
    gamma: float = 1.0,
) -> Rendered:
    """Draw the part of an image that a window shows.

    Parameters
    ----------
    image : array (H, W), any real dtype
    limits : (float, float)
        Intensities shown as black and as white.
    overlay : Overlay
    view : Viewport
    size : (int, int)
        Height and width of the window in pixels.
    gamma : float
        Below 1, dim nuclei become brighter.

    Returns
    -------
    Rendered
    """
    rows, row_inside = _places(view.row, view.zoom, size[0], image.shape[0])
    cols, col_inside = _places(view.col, view.zoom, size[1], image.shape[1])
    inside = row_inside[:, None] & col_inside[None]
    grey = _as_grey(image[rows[:, None], cols[None]], limits, gamma)
    result = np.where(inside[..., None], grey[..., None], np.array(OUTSIDE, np.uint8)).astype(np.uint8)
    labels = np.where(inside, overlay.labels[rows[:, None], cols[None]], 0)
    thickness = 2 if view.zoom >= _THICK_FROM else 1
    if not overlay.hidden:
        marked = _rims(labels, thickness)
        result[marked] = overlay.colours[labels[marked]]
    selected = np.where(np.isin(labels, overlay.selection), labels, 0) if overlay.selection else None
    if selected is not None:
        _highlight(result, selected, SELECTED, thickness + 1)
    if overlay.pending is not None:
        pending = _sampled(overlay.pending, rows, cols) & inside
        _highlight(result, pending.astype(np.int32), PENDING, thickness + 1)
    return result


def _places(start: float, zoom: float, count: int, length: int) -> Tuple[NDArray[np.int64], Mask]:
    """Return the image row (or column) of each window row, and whether there is one."""
    places = np.floor(start + (np.arange(count) + 0.5) / zoom).astype(np.int64)
    return np.clip(places, 0, max(length - 1, 0)), (places >= 0) & (places < length)


def _as_grey(pixels: AnyArray, limits: Tuple[float, float], gamma: float) -> Rendered:
    low, high = limits
    scaled = np.clip((pixels.astype(np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(255 * scaled ** np.float32(gamma), np.uint8)


def _rims(labels: AnyArray, thickness: int) -> Mask:
    """Mark the inner rim of each nucleus, at least `thickness` window pixels wide; the window's border is no rim."""
    rim = np.zeros(labels.shape, bool)
    for step in range(1, thickness + 1):
        for axis in (0, 1):
            first = [slice(None), slice(None)]
            second = [slice(None), slice(None)]
            first[axis], second[axis] = slice(None, -step), slice(step, None)
            differs = labels[tuple(first)] != labels[tuple(second)]
            rim[tuple(first)] |= differs
            rim[tuple(second)] |= differs
    return rim & (labels > 0)


def _highlight(result: Rendered, labels: AnyArray, colour: _Colour, thickness: int) -> None:
    """Tint nuclei and draw thick rims, in place."""
    inside = labels > 0
    tinted = (1 - _TINT) * result[inside] + _TINT * np.array(colour, np.float32)
    result[inside] = tinted.astype(np.uint8)
    result[_rims(labels, thickness)] = colour


def _sampled(placed: PlacedMask, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Mask:
    """Return the pixels of a mask at rows and columns of the image."""
    mask, row, col = placed
    within = ((rows >= row) & (rows < row + mask.shape[0]))[:, None] & ((cols >= col) & (cols < col + mask.shape[1]))
    if not mask.size:
        return within
    near_rows = np.clip(rows - row, 0, mask.shape[0] - 1)
    near_cols = np.clip(cols - col, 0, mask.shape[1] - 1)
    return within & mask[near_rows[:, None], near_cols[None]]
