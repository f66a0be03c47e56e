"""Reading images strictly, writing results completely.

A file is read only where it is whole and holds exactly one image that can be used; everything else is an
`ImageError` that names the file. A file is written next to its place and moved there when it is complete, so that
an interrupted run leaves either the whole file or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import stat
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Optional, Union

import numpy as np

from nucdl_core import pictures
from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError, NucDLError
from nucdl_core.labels import as_labels, highest
from nucdl_core.large import is_large, let_go
from nucdl_core.pictures import Limits, Picture, grey

if TYPE_CHECKING:
    import pandas as pd

PathLike = Union[str, "os.PathLike[str]"]

LABEL_SUFFIX = "_labels.tif"
# Side of the tiles of a large label image, in pixels.
TILE = 512
IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".gif")
MAX_PIXELS = 1_000_000_000
_IMAGE_LIMITS = Limits(pixels=MAX_PIXELS)
# A label image with few nuclei shrinks a thousandfold, which would be suspicious for a photograph.
_LABEL_LIMITS = Limits(pixels=MAX_PIXELS, expansion=math.inf)


def read_image(path: PathLike, page: Optional[int] = None) -> AnyArray:
    """Read one two-dimensional grey image.

    The content of the file, not its name, tells the format: TIFF and BigTIFF (uncompressed, Deflate, LZW,
    PackBits), PNG, JPEG, BMP or GIF.

    Parameters
    ----------
    path : str or path
    page : int, optional
        Which page of a TIFF file to read, from 0. Without it the file must hold exactly one.

    Returns
    -------
    uint8, uint16, uint32 or float32 array (H, W)
        The numbers as stored, so that 12 bits in 16 go up to 4095 and 1-bit images hold 0 and 1. Signed integers
        become unsigned and 64-bit numbers 32-bit ones. Images with a palette take its colours. Of RGB images,
        equal channels give that channel, others the mean of the three as float32; transparency is ignored.

    Raises
    ------
    ImageError
        Naming the file and what to do, if it is missing, not readable, empty, cut off, damaged, no image, larger
        than `MAX_PIXELS`, holds several pages or channels, or NaN, infinite or negative numbers.
    """
    try:
        return as_grey_numbers(grey(read_picture(Path(path), page, _IMAGE_LIMITS)))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def read_labels(path: PathLike) -> Labels:
    """Read a label image: 0 is background, each nucleus has one number.

    Parameters
    ----------
    path : str or path
        An image file with whole numbers, usually a TIFF file of 16 or 32 bits.

    Returns
    -------
    int32 array (H, W)
        The numbers as stored, gaps included. A palette is ignored: the index is the label.

    Raises
    ------
    ImageError
        As `read_image`, or if the file holds RGB, floats or numbers above 2,147,483,647.
    """
    try:
        samples = read_picture(Path(path), None, _LABEL_LIMITS).samples
        if samples.ndim != 2:
            raise ImageError("labels are one number per pixel, this is an RGB image; save a 16-bit label image")
        return as_labels(samples)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def read_picture(path: Path, page: Optional[int], limits: Limits) -> Picture:
    """Read one image as it is stored, whatever it means; see `read_image` and `read_labels`.

    Parameters
    ----------
    path : Path
    page : int, optional
        Which page of a TIFF file to read, from 0. Without it the file must hold exactly one.
    limits : Limits

    Returns
    -------
    Picture

    Raises
    ------
    ImageError
        As `read_image`, but without the name of the file, and numbers are not looked at.
    """
    try:
        # Opening a pipe would wait for ever, so the kind of file is looked at first.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ImageError("this is a folder or a device, not a file; name an image file")
        with path.open("rb") as stream:
            start = stream.read(16)
            stream.seek(0)
            if not start:
                raise ImageError("the file is empty; copy or export it again")
            if start.startswith(pictures.TIFF_SIGNATURES):
                return pictures.read_tiff(stream, page, limits)
            if not start.startswith(tuple(pictures.RASTER_PLUGINS)):
                raise ImageError("this is no image that can be read; export it as TIFF or PNG")
            if page:
                raise ImageError(f"there is no page {page}; only TIFF files hold several pages")
            return pictures.read_raster(stream, limits)
    except FileNotFoundError:
        raise ImageError("there is no such file; check the name") from None
    except PermissionError:
        raise ImageError("the file must not be read; change its permissions") from None
    except OSError as error:
        raise ImageError(f"the file cannot be read ({error.strerror}); check the disk and the name") from error
    except MemoryError:
        raise ImageError("the image does not fit into memory; cut it into parts") from None


def as_grey_numbers(array: AnyArray) -> AnyArray:
    """Check the numbers of a grey image and bring them to a type with at most 32 bits.

    Parameters
    ----------
    array : integer or float array (H, W)

    Returns
    -------
    uint8, uint16, uint32 or float32 array (H, W)

    Raises
    ------
    ImageError
        If it holds NaN, infinite, negative or too large numbers.
    """
    if array.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(np.float32, copy=False)
            # One pass in the usual case: a sum is finite only where all numbers are.
            finite = np.isfinite(array.sum(dtype=np.float64))
        if not finite:
            nans, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
            raise ImageError(f"{nans} pixels are NaN and {infinite} infinite; replace them by numbers")
    lowest = array.min() if array.dtype.kind in "fi" else 0
    if lowest < 0:
        raise ImageError(f"the lowest pixel is {lowest}; add a constant so that no pixel is negative")
    if array.dtype.kind == "f":
        return array
    if array.dtype.itemsize == 8 and array.max() > np.iinfo(np.uint32).max:
        raise ImageError(f"the highest pixel is {array.max()}; save the image with at most 32 bits")
    return array.astype(f"u{min(array.dtype.itemsize, 4)}", copy=False)


def image_stem(path: PathLike) -> str:
    """Return what an image and its label image have in common in their names.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    str
        The name without its last suffix and without ``_labels``.
    """
    stem = Path(path).stem
    ending = Path(LABEL_SUFFIX).stem
    return stem[: -len(ending)] if stem.endswith(ending) else stem


def image_files(paths: Iterable[PathLike]) -> List[Path]:
    """List the images that files and folders stand for.

    Parameters
    ----------
    paths : iterable of str or path
        A file stands for itself, whether it exists or not, so that reading it can report what is wrong. A folder
        stands for the images directly in it by suffix (`IMAGE_SUFFIXES`, capital letters included), without
        hidden and temporary files and without label images (`LABEL_SUFFIX`).

    Returns
    -------
    list of Path
        In the order of `paths`, sorted by name within a folder, each file once.

    Raises
    ------
    ImageError
        If a folder cannot be read or has no images.
    """
    files: List[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [file for file in list_folder(path) if not file.stem.endswith(Path(LABEL_SUFFIX).stem)]
            if not inside:
                raise ImageError(f"{path}: the folder has no images ({', '.join(IMAGE_SUFFIXES)}); name another one")
            files.extend(inside)
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def list_folder(folder: PathLike) -> List[Path]:
    """List the image files in a folder, label images included.

    Parameters
    ----------
    folder : str or path

    Returns
    -------
    list of Path
        Sorted by name, without hidden (``.name``) and temporary (``~name``, ``name~``) files and subfolders.

    Raises
    ------
    ImageError
        If the folder is missing or cannot be read.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ImageError(f"{folder}: the folder cannot be read ({error.strerror}); check the name") from error
    files = [Path(folder, name) for name in names if not name.startswith((".", "~"))]
    return [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and not file.is_dir()]


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
    import tifffile

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
