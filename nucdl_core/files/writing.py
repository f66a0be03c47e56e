"""Writing results completely: a file appears beside its place and is moved there once it is whole and on the disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, Iterator

import numpy as np

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError, NucDLError
from nucdl_core.files.folders import PathLike
from nucdl_core.large import is_large, let_go

if TYPE_CHECKING:
    import pandas as pd

# Side of the tiles of a large label image, in pixels.
TILE = 512


def file_sha256(path: PathLike) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits, in bounded memory.

    Raises
    ------
    NucDLError
        If the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    except OSError as error:
        raise NucDLError(f"{path}: cannot be read ({error.strerror}); check the name and the disk") from error
    return digest.hexdigest()


def make_folder(folder: PathLike) -> None:
    """Make a folder for results where it does not exist.

    Parameters
    ----------
    folder : str or path

    Raises
    ------
    NucDLError
        If it cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NucDLError(f"{folder}: the folder cannot be made ({error.strerror}); name another one") from error


def write_labels(path: PathLike, labels: Labels) -> None:
    """Write a label image as a Deflate-compressed TIFF file.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    labels : int32 array (H, W)
        Written as uint16, or as uint32 where a number is above 65,535; a large one in tiles.

    Raises
    ------
    ImageError
        If the array is no label image or has no pixels.
    NucDLError
        If the file cannot be written.
    """
    # Late, so that a process that only watches others stays small.
    import tifffile

    from nucdl_core.labels import as_labels, highest

    checked = as_labels(labels)
    if checked.size == 0:
        raise ImageError(f"{path}: a label image of shape {checked.shape} has no pixels and cannot be written")
    kind = "<u2" if highest(checked) <= np.iinfo(np.uint16).max else "<u4"
    options: Dict[str, Any] = {"byteorder": "<", "photometric": "minisblack", "compression": "zlib", "metadata": None}
    stored: Any
    if is_large(checked.nbytes):
        stored = _tiles(checked, kind)
        options.update(shape=checked.shape, dtype=kind, tile=(TILE, TILE))
    else:
        stored = checked.astype(kind)
    write_atomically(path, lambda stream: tifffile.imwrite(stream, stored, **options))


def _tiles(labels: Labels, kind: str) -> Iterator[AnyArray]:
    """Cut a large label image into the tiles of a TIFF file, so that no copy of the whole is in memory."""
    height, width = labels.shape
    for row in range(0, height, TILE):
        for col in range(0, width, TILE):
            part = labels[row : row + TILE, col : col + TILE]
            tile = np.zeros((TILE, TILE), kind)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile
        let_go(labels)


def write_png(path: PathLike, rgb: AnyArray) -> None:
    """Write a picture as a PNG file.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    rgb : uint8 array (H, W, 3) or (H, W)
        Red, green and blue, or grey.

    Raises
    ------
    ImageError
        If the array has another type or shape.
    NucDLError
        If the file cannot be written.
    """
    from PIL import Image

    if rgb.dtype != np.uint8 or rgb.size == 0 or not (rgb.ndim == 2 or (rgb.ndim == 3 and rgb.shape[2] == 3)):
        raise ImageError(f"{path}: a PNG picture is uint8 (H, W, 3) or (H, W), not {rgb.dtype} {rgb.shape}")
    write_atomically(path, lambda stream: Image.fromarray(np.ascontiguousarray(rgb)).save(stream, "PNG"))


def write_json(path: PathLike, content: Any) -> None:
    """Write an object as a JSON file.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    content : dict, list, str, number, bool, None, path, numpy number or array
        Numbers that JSON does not know (NaN, infinity) become null.

    Raises
    ------
    TypeError
        If the object holds something else.
    NucDLError
        If the file cannot be written.
    """
    text = json.dumps(_plain(content), indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda stream: stream.write(text.encode("ascii")))


def _plain(content: Any) -> Any:
    """Replace what the json module does not know."""
    if isinstance(content, dict):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_plain(value) for value in content]
    if isinstance(content, (np.ndarray, np.generic)):
        return _plain(content.tolist())
    if isinstance(content, os.PathLike):
        return os.fspath(content)
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def write_table(path: PathLike, table: pd.DataFrame) -> None:
    """Write a table as a CSV file in UTF-8 with a header line and without row names.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    table : pandas.DataFrame

    Raises
    ------
    NucDLError
        If the file cannot be written.
    """
    # File names that are not UTF-8 keep their bytes.
    text = table.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogateescape")
    write_atomically(path, lambda stream: stream.write(text))


def write_atomically(path: PathLike, fill: Callable[[IO[bytes]], object]) -> None:
    """Let `fill` write a new file beside `path` and move it there once it is complete and on the disk.

    Parameters
    ----------
    path : str or path
        In an existing folder; an existing file is replaced.
    fill : callable
        Called with the binary stream to write to.

    Raises
    ------
    NucDLError
        If the file cannot be written; `path` is as it was then.
    """
    target = Path(path)
    # A short name of its own: the target's name may already be as long as names can be.
    temporary = target.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise NucDLError(f"{path}: cannot be written ({error.strerror}); check the folder and the disk") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
