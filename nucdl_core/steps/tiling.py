"""Cutting a large image into tiles with a halo, so that memory does not grow with the image."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Tuple

Window = Tuple[slice, slice]


class Tile(NamedTuple):
    """One tile of an image.

    Attributes
    ----------
    outer : (slice, slice)
        What is read: the tile with its halo, in the image.
    core : (slice, slice)
        What is kept, in the image; the cores of all tiles cover the image once.
    inner : (slice, slice)
        The core, in the outer window.
    """

    outer: Window
    core: Window
    inner: Window


def tiles(shape: Tuple[int, int], side: int, halo: int, step: int = 1) -> Iterator[Tile]:
    """Cut an image into tiles.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image in pixels.
    side : int
        Height and width of a core that are aimed at; up to `step` more.
    halo : int
        Pixels around the core that are read as well, where the image has them; a multiple of `step`.
    step : int
        Cores begin at multiples of it. A network that pools sees the same pixels in the same groups only then.

    Yields
    ------
    Tile
        Row by row; cores of about equal size.
    """
    for rows in _spans(shape[0], side, halo, step):
        for cols in _spans(shape[1], side, halo, step):
            yield Tile((rows[0], cols[0]), (rows[1], cols[1]), (rows[2], cols[2]))


def _spans(length: int, side: int, halo: int, step: int) -> Iterator[Tuple[slice, slice, slice]]:
    parts = -(-length // side)
    edges = [length * part // parts // step * step for part in range(parts)] + [length]
    for start, stop in zip(edges[:-1], edges[1:]):
        first, last = max(0, start - halo), min(length, stop + halo)
        yield slice(first, last), slice(start, stop), slice(start - first, stop - first)
