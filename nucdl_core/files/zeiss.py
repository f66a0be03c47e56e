"""CZI files of ZEISS microscopes, by ZEISS's own library pylibCZIrw; the parts of a mosaic are put together by it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.files.codecs import DAMAGED
from nucdl_core.files.decoding import Limits, Picture, grey, strictly

_KNOWN = "TCZXYB"
_MOST_BYTES = 6
"""Of a pixel: three colours of 16 bits."""


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from pylibCZIrw import czi

    with strictly(), czi.open_czi(str(path)) as file:
        yield file


def _box(file: Any) -> Dict[str, Tuple[int, int]]:
    """Return begin and end of each axis."""
    box: Dict[str, Tuple[int, int]] = dict(file.total_bounding_box)
    for axis, (begin, end) in box.items():
        if axis not in _KNOWN and end - begin > 1:
            raise ImageError(f"the axis {axis} has {end - begin} images; export one of them")
    return box


def _scenes(file: Any) -> List[Optional[int]]:
    return [*sorted(file.scenes_bounding_rectangle)] or [None]


def czi_sizes(path: Path) -> List[Tuple[int, int, int]]:
    """Return the numbers of time points, channels and planes of each scene.

    Raises
    ------
    ImageError
        If the file is damaged or has other axes.
    """
    with _opened(path) as file:
        box = _box(file)
        times, channels, planes = (end - begin for begin, end in (box.get(axis, (0, 1)) for axis in "TCZ"))
        return [(times, channels, planes)] * len(_scenes(file))


def czi_plane(path: Path, series: int, time: int, channel: int, plane: int) -> AnyArray:
    """Read a plane of a scene; everything is counted from 0, see `czi_sizes`.

    Returns
    -------
    array (H, W)
        Grey as `decoding.grey` makes it. Where a mosaic has no tile it is 0.

    Raises
    ------
    ImageError
        If the file is damaged, the plane too large or not stored.
    """
    with _opened(path) as file:
        box, scene = _box(file), _scenes(file)[series]
        place = {axis: box[axis][0] + number for axis, number in zip("TCZ", (time, channel, plane)) if axis in box}
        rectangles = file.scenes_bounding_rectangle
        extent = file.total_bounding_rectangle if scene is None else rectangles[scene]
        Limits().check(extent.h, extent.w, _MOST_BYTES)
        pixels = np.asarray(file.read(plane=place, scene=scene))
        if not pixels.any():
            raise ImageError(f"no pixel of this plane is stored; {DAMAGED}")
        return grey(Picture(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))
