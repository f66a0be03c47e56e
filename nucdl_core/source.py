"""Whether a file that another program has already read was whole.

Bio-Formats, with which CellProfiler reads, fills what is missing of a cut-off TIFF file with black and says nothing;
a field with 236 nuclei becomes one with 100. Looking up where the file's own directory places its pixels costs less
than a millisecond and tells.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from nucdl_core import tiff
from nucdl_core.errors import ImageError

_PLACES = ((tiff._STRIP_OFFSETS, tiff._STRIP_COUNTS), (tiff._TILE_OFFSETS, tiff._TILE_COUNTS))


def check_source(path: str) -> None:
    """Refuse an image file that is cut off.

    Parameters
    ----------
    path : str
        File that an image was read from. Only TIFF files are looked into, whatever their compression or number of
        pages; other formats are checked by their readers. Something that is no file, such as a URL, passes.

    Raises
    ------
    ImageError
        If the directory of the file, or pixels that it lists, lie beyond the end of the file.
    """
    if os.path.isfile(path):
        status = os.stat(path)
        _check(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _check(path: str, size: int, changed: int) -> None:
    """Check a file once for each state of it: all planes of a stack come from the same file."""
    with Path(path).open("rb") as stream:
        start = stream.read(4)
        if start not in tiff.SIGNATURES:
            return
        source = tiff._Source(stream, tiff._read_header(stream))
        for number, page in enumerate(tiff._pages(source), 1):
            _check_page(page, number, size)


def _check_page(page: tiff._Page, number: int, size: int) -> None:
    for offset_tag, count_tag in _PLACES:
        # A single strip may come without its size.
        places = zip(page.values(offset_tag), page.values(count_tag) or [0])
        end = max((offset + count for offset, count in places), default=0)
        if end > size:
            raise ImageError(
                f"the file is cut off: page {number} needs {end} bytes, there are {size}; copy or export it again"
            )
