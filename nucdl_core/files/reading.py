"""Reading images strictly.

A file is read only if it is complete and holds exactly one image that can be used. Everything else is an `ImageError`
that names the file.
"""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import Optional

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError
from nucdl_core.files import decoding
from nucdl_core.files.decoding import Limits, Picture, grey
from nucdl_core.files.folders import PathLike
from nucdl_core.labels import as_labels

MAX_PIXELS = 1_000_000_000
_IMAGE_LIMITS = Limits(pixels=MAX_PIXELS)
# A label image with few nuclei shrinks a thousandfold, which would be suspicious for a photograph.
_LABEL_LIMITS = Limits(pixels=MAX_PIXELS, expansion=math.inf)
MASK_VALUES = (255, 65535)
"""What stands for a nucleus in a mask; a label image with one nucleus has 1."""


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
        become unsigned, or float32 where some are negative, as after the background was subtracted; 64-bit numbers
        become 32-bit ones. Images with a palette take its colours. Of RGB images,
        equal channels give that channel, others the mean of the three as float32; transparency is ignored.

    Raises
    ------
    ImageError
        Naming the file and what to do, if it is missing, not readable, empty, cut off, damaged, no image, larger
        than `MAX_PIXELS`, holds several pages or channels, or NaN or infinite numbers.
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


def read_nuclei(path: PathLike) -> Labels:
    """Read a label image that is to be scored, in which each nucleus must have a number of its own.

    Parameters
    ----------
    path : str or path
        As `read_labels`.

    Returns
    -------
    int32 array (H, W)

    Raises
    ------
    ImageError
        As `read_labels`, or if one number stands for several separate nuclei, as in a mask of 0 and 255, or if the
        numbers are intensities.
    """
    labels = read_labels(path)
    numbers = np.unique(labels[labels > 0])
    if looks_like_intensities(labels, len(numbers)):
        raise ImageError(
            f"{path}: its numbers change from pixel to pixel, as in an image; give label images, in which all pixels "
            "of a nucleus have its number"
        )
    if len(numbers) == 1:
        parts = int(ndimage.label(labels, np.ones((3, 3)))[1])
        # A single nucleus may lie in two pieces.
        if parts > (1 if numbers[0] in MASK_VALUES else 2):
            raise ImageError(
                f"{path}: {numbers[0]} is the only number, in {parts} separate parts, as in a mask that tells nuclei "
                "from background but not from each other; number the nuclei: nucdl convert --from binary --to labels"
            )
    return labels


def looks_like_intensities(labels: Labels, count: int) -> bool:
    """Tell whether numbers are intensities: very many pixels have a number that none of their neighbours has.

    Parameters
    ----------
    labels : int32 array (H, W)
    count : int
        How many numbers above 0 it has; a nucleus of one pixel is no intensity.

    Returns
    -------
    bool
    """
    padded = np.pad(labels, 1)
    inner = padded[1:-1, 1:-1]
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    alone = inner > 0
    for neighbour in neighbours:
        alone = alone & (inner != neighbour)
    lonely = int(alone.sum())
    # Without any background an image of single pixels can be no label image either.
    return lonely > 100 + 2 * count or (lonely > labels.size / 2 and bool(labels.all()))


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
            if start.startswith(decoding.TIFF_SIGNATURES):
                return decoding.read_tiff(stream, page, limits)
            if not start.startswith(tuple(decoding.RASTER_PLUGINS)):
                raise ImageError("this is no image that can be read; export it as TIFF or PNG")
            if page:
                raise ImageError(f"there is no page {page}; only TIFF files hold several pages")
            return decoding.read_raster(stream, limits)
    except FileNotFoundError:
        raise ImageError("there is no such file; check the name") from None
    except PermissionError:
        raise ImageError("you have no permission to read the file; change its permissions") from None
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
        If it holds NaN, infinite or too large numbers.
    """
    if array.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(np.float32, copy=False)
            # One pass in the usual case: a sum is finite only where all numbers are.
            finite = np.isfinite(array.sum(dtype=np.float64))
        if not finite:
            nans, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
            raise ImageError(f"{nans} pixels are NaN and {infinite} infinite; replace them by numbers")
    if array.dtype.kind == "f":
        return array
    if array.min() < 0:
        return array.astype(np.float32)
    if array.dtype.itemsize == 8 and array.max() > np.iinfo(np.uint32).max:
        raise ImageError(f"the highest pixel is {array.max()}; save the image with at most 32 bits")
    return array.astype(f"u{min(array.dtype.itemsize, 4)}", copy=False)


def read_partner(path: Optional[Path], truth: Path, labels: Labels) -> Labels:
    """Read the prediction for a true label image.

    Parameters
    ----------
    path : Path or None
        The predicted label image; None for one that is missing and counts as empty.
    truth : Path
        File of the true label image.
    labels : int32 array (H, W)
        Its content.

    Returns
    -------
    int32 array (H, W)

    Raises
    ------
    ImageError
        Naming the files, if the prediction cannot be read or has another shape than the truth.
    """
    if path is None:
        return np.zeros_like(labels)
    prediction = read_nuclei(path)
    if prediction.shape != labels.shape:
        raise ImageError(
            f"{path} against {truth}: {prediction.shape} and {labels.shape} differ in shape (H, W); "
            "compare label images of the same field at the same scale"
        )
    return prediction
