"""Arrays for images too large for the memory: worked on strip by strip, and kept in temporary files.

The label image of 20,000 x 20,000 pixels takes 1.6 GB, more than everything else that is needed to make it. So large
label images and maps are kept in a temporary file, of which only the part in use takes up memory. The file has no
name: the system removes it when the array is no longer used, or when the process ends, however it ends.
"""

from __future__ import annotations

import logging
import math
import mmap
import os
import tempfile
from typing import Any, Iterator, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray

_LOGGER = logging.getLogger(__name__)
# Counting takes several times the memory of the pixels that are counted, so it is done in parts of this size.
STRIP_PIXELS = 8_000_000
# Arrays with more bytes than this are kept in a file.
FILE_BYTES = 2**27


class _Mapping(mmap.mmap):
    """The bytes of a temporary file made by `zeros`; `let_go` frees the memory of no others."""


def is_large(size: int) -> bool:
    """Tell whether an array of this many bytes is too large to be held in memory as a whole."""
    return size > FILE_BYTES


def zeros(shape: Tuple[int, ...], dtype: Any) -> AnyArray:
    """Make an array of zeros, in a temporary file if it has more than `FILE_BYTES`.

    Parameters
    ----------
    shape : (int, ...)
    dtype : numpy type

    Returns
    -------
    array `shape`
        Where there is no room for the file the array is in memory, and a line in the log says so.

    Notes
    -----
    The file lies where Python keeps temporary files: in the folder that ``TMPDIR`` names, or else usually in ``/tmp``.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not is_large(size):
        return np.zeros(shape, dtype)
    try:
        with tempfile.TemporaryFile() as file:
            reserve(file.fileno(), size)
            mapping = _Mapping(file.fileno(), size)
    except OSError as error:
        _LOGGER.warning(
            "%.1f GB do not fit into the temporary folder %s (%s) and are kept in memory; set TMPDIR to a "
            "folder with more room",
            size / 1e9,
            tempfile.gettempdir(),
            error.strerror,
        )
        return np.zeros(shape, dtype)
    return np.ndarray(shape, dtype, buffer=mapping)


def reserve(descriptor: int, size: int) -> None:
    """Set the size of an open, empty file in bytes, and reserve room for it on the disk where the system can do that.

    Raises
    ------
    OSError
        If there is too little room.
    """
    # Otherwise a disk that becomes full later would end the process without a message.
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.truncate(descriptor, size)


def let_go(array: AnyArray) -> None:
    """Free the memory of an array that `zeros` keeps in a file; the file keeps its numbers. Others are left alone."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    # A system that offers no such call frees the memory by itself when it becomes short.
    if isinstance(base, _Mapping) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def strips(*arrays: AnyArray) -> Iterator[Tuple[AnyArray, ...]]:
    """Go through arrays of one shape in parts, so that work on them needs little memory.

    Parameters
    ----------
    *arrays : arrays (H, W)

    Yields
    ------
    tuple of arrays (h, W)
        The same rows of each array, from top to bottom, about `STRIP_PIXELS` pixels at a time. They are views: to be
        read or filled, but not kept.
    """
    height, width = arrays[0].shape
    rows = max(1, STRIP_PIXELS // max(1, width))
    for first in range(0, height, rows):
        yield tuple(array[first : first + rows] for array in arrays)
        for array in arrays:
            let_go(array)
