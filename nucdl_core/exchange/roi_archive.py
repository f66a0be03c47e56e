"""The archive of an ImageJ ROI set, read and written in memory.

This is the one place of the engine that opens archives, and only these: members are read into memory within limits,
their names are never used as paths, and nothing is unpacked.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import IO, Iterable, List, Tuple

from nucdl_core.errors import ImageError
from nucdl_core.exchange.texts import MAX_BYTES, read_bytes

MAX_MEMBERS = 1_000_000
MAX_MEMBER_BYTES = 2**26
_ENDING = ".roi"
# What macOS adds to archives, and folders.
_NO_MEMBERS = ("__MACOSX/", ".DS_Store")


def read_members(path: Path) -> List[Tuple[str, bytes]]:
    """Read the ROIs of a set, or a single one.

    Parameters
    ----------
    path : Path
        ``NAME.zip`` or ``NAME.roi``.

    Returns
    -------
    list of (str, bytes)
        Name without ``.roi`` and content of each, in the order of the archive.

    Raises
    ------
    ImageError
        If the file cannot be read, is no archive, is cut off, encrypted, over a limit, or holds anything but ROIs.
    """
    content = read_bytes(path)
    if content.startswith(b"Iout"):
        return [(path.stem, content)]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _members(archive)
    # A member that is encrypted is a RuntimeError, one of an unknown compression a NotImplementedError.
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, LookupError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"this is no ImageJ ROI and no whole archive of them ({error}); save the set again") from error


def _members(archive: zipfile.ZipFile) -> List[Tuple[str, bytes]]:
    listed = [each for each in archive.infolist() if not each.is_dir() and not _is_extra(each.filename)]
    if len(listed) > MAX_MEMBERS:
        raise ImageError(f"the archive lists {len(listed)} files, the limit is {MAX_MEMBERS}; save fewer ROIs a set")
    found: List[Tuple[str, bytes]] = []
    total = 0
    for each in listed:
        if not each.filename.lower().endswith(_ENDING):
            raise ImageError(f"the archive holds {each.filename!r}, which is no ROI; save the set from the ROI Manager")
        with archive.open(each) as stream:
            # What the archive says about sizes need not be true, so it is not asked.
            content = stream.read(MAX_MEMBER_BYTES + 1)
        total += len(content)
        if len(content) > MAX_MEMBER_BYTES or total > MAX_BYTES:
            raise ImageError(
                f"{each.filename!r} unpacks to more than a ROI can have, which looks like a decompression bomb; "
                "save the set again"
            )
        found.append((each.filename[: -len(_ENDING)], content))
    return found


def _is_extra(name: str) -> bool:
    return name.startswith(_NO_MEMBERS) or name.endswith(_NO_MEMBERS[1])


def write_members(stream: IO[bytes], members: Iterable[Tuple[str, bytes]]) -> None:
    """Write ROIs into an archive; the same ROIs give the same bytes.

    Parameters
    ----------
    stream : binary file
    members : iterable of (str, bytes)
        Name without ``.roi`` and content of each.
    """
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name + _ENDING), content, zipfile.ZIP_DEFLATED)
