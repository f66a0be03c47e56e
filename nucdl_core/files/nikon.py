"""ND2 files of Nikon microscopes, by the package nd2."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.files.codecs import DAMAGED
from nucdl_core.files.decoding import Limits, Picture, grey, strictly

_POSITION, _OF_A_FRAME = "P", "CYXS"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import nd2

    with strictly(), nd2.ND2File(str(path)) as file:
        yield file


def _sizes(file: Any) -> Dict[str, int]:
    """Return the length of each axis."""
    sizes = {str(axis): int(length) for axis, length in file.sizes.items()}
    for axis, length in sizes.items():
        if axis not in ("T", "Z", _POSITION, *_OF_A_FRAME) and length > 1:
            raise ImageError(f"the axis {axis} has {length} images; export one of them")
    if file.is_rgb and sizes.get("C", 1) > 1:
        raise ImageError("the file has several channels in colour; export one of them")
    return sizes


def nd2_sizes(path: Path) -> List[Tuple[int, int, int]]:
    """Return the numbers of time points, channels and planes of each position.

    Raises
    ------
    ImageError
        If the file is damaged or has other axes.
    """
    with _opened(path) as file:
        sizes = _sizes(file)
        times, channels, planes = (sizes.get(axis, 1) for axis in "TCZ")
        return [(times, channels, planes)] * sizes.get(_POSITION, 1)


def nd2_plane(path: Path, series: int, time: int, channel: int, plane: int) -> AnyArray:
    """Read a plane of a position; everything is counted from 0, see `nd2_sizes`.

    Returns
    -------
    array (H, W)
        Grey as `decoding.grey` makes it.

    Raises
    ------
    ImageError
        If the file is damaged, the plane too large or not stored: the library gives 0 for what is not there.
    """
    with _opened(path) as file:
        sizes = _sizes(file)
        Limits().check(sizes["Y"], sizes["X"], np.dtype(file.dtype).itemsize * sizes.get("S", 1))
        wanted = {_POSITION: series, "T": time, "Z": plane}
        frame = np.asarray(file.read_frame(_frame_number(file.loop_indices, wanted)))
        pixels = frame if file.is_rgb or frame.ndim == 2 else frame[channel]
        if not pixels.any():
            raise ImageError(f"no pixel of this plane is stored; {DAMAGED}")
        # What the library gives may lie in the file, which is closed now.
        return np.array(grey(Picture(pixels)))


def _frame_number(frames: Any, wanted: Dict[str, int]) -> int:
    """Find a frame among all by its place on each axis; a file of one frame names no axis."""
    for number, places in enumerate(frames):
        if all(wanted.get(axis, 0) == place for axis, place in places.items()):
            return number
    raise ImageError(f"no pixel of this plane is stored; {DAMAGED}")
