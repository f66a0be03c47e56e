"""Whether a file that another program has already read was whole.

Bio-Formats, with which CellProfiler reads, fills what is missing of a cut-off TIFF file with black and says nothing;
a field with 236 nuclei becomes one with 100. Looking up where the file's own directory places its pixels takes a
millisecond and tells.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from nucdl_core.errors import ImageError
from nucdl_core.files.decoding import TIFF_SIGNATURES, strictly, tiff_pages


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
        if stream.read(4) not in TIFF_SIGNATURES:
            return
        stream.seek(0)
        with strictly():
            for number, page in enumerate(tiff_pages(stream), 1):
                end = max(map(sum, zip(page.dataoffsets, page.databytecounts)), default=0)
                if end > size:
                    raise ImageError(
                        f"the file is cut off: page {number} needs {end} bytes, there are {size}; "
                        "copy or export it again"
                    )
