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


def tiles(shape: Tuple[int, int], side: int, halo: int) -> Iterator[Tile]:
    """Cut an image into tiles.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image in pixels.
    side : int
        Largest height and width of a core.
    halo : int
        Pixels around the core that are read as well, where the image has them.

    Yields
    ------
    Tile
        Row by row; cores of about equal size.
    """
    for rows in _spans(shape[0], side, halo):
        for cols in _spans(shape[1], side, halo):
            yield Tile((rows[0], cols[0]), (rows[1], cols[1]), (rows[2], cols[2]))


def _spans(length: int, side: int, halo: int) -> Iterator[Tuple[slice, slice, slice]]:
    parts = -(-length // side)
    edges = [length * part // parts for part in range(parts + 1)]
    for start, stop in zip(edges[:-1], edges[1:]):
        first, last = max(0, start - halo), min(length, stop + halo)
        yield slice(first, last), slice(start, stop), slice(start - first, stop - first)
