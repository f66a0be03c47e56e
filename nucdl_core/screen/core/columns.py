"""What the columns of LoadData's lists mean: which file is which image, which words describe it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import unquote

from nucdl_core.screen.core.plan import ScreenError

METADATA = "Metadata_"
_IMAGE_COLUMN = re.compile(r"(?:Image_)?(Objects)?(FileName|PathName|URL)_(.+)", re.DOTALL)
_PLANE_COLUMN = re.compile(r"(Objects)?(Frame|Series)_(.+)", re.DOTALL)
_HASH_COLUMN = re.compile(r"Metadata_(Objects)?(SHA256)_(.+)", re.DOTALL)
_PARTS = {
    "FileName": "file",
    "PathName": "path",
    "URL": "url",
    "Frame": "frame",
    "Series": "series",
    "SHA256": "sha256",
}
_UPWARDS = re.compile(r"(?:\A|[/\\])\.\.(?:[/\\]|\Z)")
# Also an absolute path, somebody's home, control characters.
_LEADS_ELSEWHERE = re.compile(_UPWARDS.pattern + r"|\A[/\\]|\A~[^/\\]*[/\\]|[\x00-\x1f]")
# One letter before a colon is a drive of Windows.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


@dataclass(frozen=True)
class ImageColumns:
    """The columns of one image (or, if `objects`, of one label image), by their names in the header.

    Attributes
    ----------
    name : str
        Such as "DNA".
    objects : bool
        Whether LoadData makes objects of it.
    file, path, url, frame, series, sha256 : str or None
        Names of columns; `file` or `url` is there. ``Metadata_SHA256_DNA`` says which sha256 the file of DNA has.
    """

    name: str
    objects: bool
    file: Optional[str] = None
    path: Optional[str] = None
    url: Optional[str] = None
    frame: Optional[str] = None
    series: Optional[str] = None
    sha256: Optional[str] = None

    @property
    def path_column(self) -> str:
        """Name of the column with the folder, also where it has to be added."""
        return self.path or f"Image_{'Objects' if self.objects else ''}PathName_{self.name}"


@dataclass(frozen=True)
class ImageFile:
    """One image of an image set.

    Attributes
    ----------
    name : str
        Such as "DNA".
    path : Path
    page : int or None
        Which page of the file, from 0; None for the only one.
    objects : bool
        Whether it is a label image.
    sha256 : str
        What the file must have, in small letters; empty where the list does not say it.
    """

    name: str
    path: Path
    page: Optional[int] = None
    objects: bool = False
    sha256: str = ""


def image_columns(header: Sequence[str]) -> Tuple[ImageColumns, ...]:
    """Find the images in the header of a list.

    Raises
    ------
    ScreenError
        If a column is there twice, an image has a folder but no file, or there is no image at all.
    """
    twice = sorted({name for name in header if list(header).count(name) > 1})
    if twice:
        raise ScreenError(f"the list has the column {twice[0]!r} more than once; take out one")
    found: Dict[Tuple[str, bool], Dict[str, str]] = {}
    for column in header:
        match = _IMAGE_COLUMN.fullmatch(column) or _PLANE_COLUMN.fullmatch(column) or _HASH_COLUMN.fullmatch(column)
        if match:
            objects, kind, name = match.groups()
            parts = found.setdefault((name, bool(objects)), {})
            key = _PARTS[kind]
            if key in parts:
                raise ScreenError(f"the columns {parts[key]!r} and {column!r} say the same; take out one")
            parts[key] = column
    for (name, _), parts in found.items():
        if "file" not in parts and "url" not in parts:
            raise ScreenError(
                f"the list has {', '.join(parts.values())}, but no Image_FileName_{name}; add this column"
            )
    if not any(not objects for _, objects in found):
        raise ScreenError(
            f"the list has no column Image_FileName_..., only {', '.join(header)[:300]}; "
            "add file and folder of each image: Image_FileName_DNA, Image_PathName_DNA"
        )
    return tuple(ImageColumns(name, objects, **parts) for (name, objects), parts in found.items())


def metadata_names(header: Sequence[str]) -> Tuple[str, ...]:
    """Names of the metadata in the header of a list, without ``Metadata_``."""
    return tuple(name[len(METADATA) :] for name in header if name.startswith(METADATA))


def files_of_image_set(
    row: Mapping[str, str], columns: Sequence[ImageColumns], base: Optional[Path] = None
) -> List[ImageFile]:
    """List the files of an image set.

    Parameters
    ----------
    row : mapping of str to str
        Values by column.
    columns : sequence of ImageColumns
    base : Path, optional
        What relative folders start from.

    Returns
    -------
    list of ImageFile

    Raises
    ------
    ScreenError
        If a name is empty, remote, or leads out of its folder, or a page is not a number.
    """
    return [
        ImageFile(
            image.name,
            _path(row, image, base),
            _page(row, image),
            image.objects,
            row[image.sha256].strip().lower() if image.sha256 else "",
        )
        for image in columns
    ]


def _path(row: Mapping[str, str], image: ImageColumns, base: Optional[Path]) -> Path:
    url = row[image.url] if image.url else ""
    folder = row[image.path] if image.path else ""
    file = row[image.file] if image.file else ""
    for text in (url, folder, file):
        scheme = _SCHEME.match(text)
        if scheme and scheme.group().lower() != "file:" and (text is not file or "://" in text):
            raise ScreenError(f"{text!r} is not on this machine; copy the images to a disk and list them there")
    if url or folder.lower().startswith("file:"):
        text = _local(url) if url else os.path.join(_local(folder), file)
    else:
        text = os.path.join(folder, file) if file else ""
    if not text:
        raise ScreenError(f"no file is named for the image {image.name}; complete the row or take it out")
    # The folder may lead anywhere, but modules build names of results from the name of the file.
    if "\0" in text or _UPWARDS.search(file):
        raise ScreenError(f"the file name {file or text!r} leads out of its folder; give the folder in PathName")
    return Path(os.path.normpath(os.path.join(base or "", text)))


def _local(url: str) -> str:
    """Turn a ``file:`` address into a path."""
    if not url.lower().startswith("file:"):
        return url
    rest = url[len("file:") :]
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise ScreenError(f"{url!r} is on the machine {host!r}, not on this one; copy the images to a disk here")
        rest = slash + rest
    return unquote(rest, errors="surrogateescape")


def _page(row: Mapping[str, str], image: ImageColumns) -> Optional[int]:
    series = row[image.series].strip() if image.series else ""
    frame = row[image.frame].strip() if image.frame else ""
    if series not in ("", "0"):
        raise ScreenError(f"series {series} of {image.name} was asked for; only the first can be checked, export it")
    if frame and not frame.isdecimal():
        raise ScreenError(f"frame {frame!r} of {image.name} is not a number; count the pages of the file from 0")
    return int(frame) if frame else None


def check_metadata(name: str, value: str) -> None:
    """Refuse metadata with which names of files would lead out of the folder of the results.

    Raises
    ------
    ScreenError
        If it is an absolute path, has a part ``..``, or holds control characters.
    """
    if _LEADS_ELSEWHERE.search(value):
        raise ScreenError(f"{name} is {value!r}, which as part of a file name would lead elsewhere; rename it")
