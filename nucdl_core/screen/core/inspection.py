"""Opening and decoding every image before CellProfiler sees it, which fills what is missing with black.

An image set is used only where each of its files is whole, holds one image of a reasonable size, and all of them have
the same size. What is found is recorded: an image that is merely odd gets a flag.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError, NucDLError
from nucdl_core.files.decoding import Limits, Picture, grey
from nucdl_core.files.reading import as_grey_numbers, read_picture
from nucdl_core.files.writing import file_sha256
from nucdl_core.screen.core.columns import ImageFile, files_of_image_set, image_columns
from nucdl_core.screen.core.plan import ScreenError, ScreenLimits
from nucdl_core.screen.core.process import read_too_long
from nucdl_core.steps.focus import focus

SATURATED_SHARE = 0.01
"""Share of pixels at the greatest value from which on an image counts as saturated."""
EMPTY, SATURATED, ABOVE_ONE, SIGNED, NEGATIVE = "empty", "saturated", "above_one", "signed", "negative"
NUMPY_SUFFIX = ".npy"
TWELVE_BITS = 4095


@dataclass(frozen=True)
class ImageFacts:
    """What was found in an image file.

    Attributes
    ----------
    name : str
        Of the image, such as "DNA".
    path : str
    sha256 : str
        Of the file.
    file_bytes : int
    changed_ns : int
        Time of the file's last change in nanoseconds: together with `file_bytes` it tells cheaply whether the file
        is still the one that was checked.
    height, width : int
        Pixels.
    number_type : str
        Such as "uint16", as stored.
    lowest, highest : float
        Range of the pixels, as stored.
    saturated_share : float
        Share of pixels with the greatest value of the number type (of 12 bits, where no pixel is above); 0 for
        floats.
    focus : float
        Variance of the Laplacian over variance of the image: falls with blur, does not depend on brightness; 0 for
        a uniform image.
    flags : tuple of str
        "empty" (all pixels equal), "saturated", "above_one" (floats above 1, which CellProfiler takes for brighter
        than white), "signed" (CellProfiler divides by another greatest value than the camera's).
    """

    name: str
    path: str
    sha256: str
    file_bytes: int
    changed_ns: int
    height: int
    width: int
    number_type: str
    lowest: float
    highest: float
    saturated_share: float
    focus: float
    flags: Tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageSetInspection:
    """What was found in the files of an image set.

    Attributes
    ----------
    images : tuple of ImageFacts
        Of the files that can be used, in the order of the list.
    reason : str or None
        Why the image set cannot be used, with the name of the file.
    flags : tuple of str
        What is odd, such as "DNA:saturated".
    """

    images: Tuple[ImageFacts, ...]
    reason: Optional[str] = None
    flags: Tuple[str, ...] = ()


def inspect_image_set(row: Mapping[str, str], limits: ScreenLimits) -> ImageSetInspection:
    """Open and decode all images of an image set.

    Parameters
    ----------
    row : mapping of str to str
        A row of LoadData's list by column, with absolute folders.
    limits : ScreenLimits

    Returns
    -------
    ImageSetInspection
        Nothing that is in a file raises an error; it becomes the reason.

    Raises
    ------
    ScreenError
        If the columns name no images.
    """
    columns, facts, reasons = image_columns(list(row)), [], []
    try:
        files = files_of_image_set(row, columns)
    except ScreenError as error:
        return ImageSetInspection((), str(error))
    for file in files:
        try:
            facts.append(inspect_file(file, limits))
        except ImageError as error:
            reasons.append(f"{file.name}: {error}")
    if not reasons:
        reasons += _different_sizes(facts)
    flags = tuple(f"{fact.name}:{flag}" for fact in facts for flag in fact.flags)
    return ImageSetInspection(tuple(facts), "; ".join(reasons) or None, flags)


def _different_sizes(facts: Sequence[ImageFacts]) -> List[str]:
    if len({(fact.height, fact.width) for fact in facts}) <= 1:
        return []
    sizes = ", ".join(f"{fact.name} ({fact.path}) {fact.height} x {fact.width}" for fact in facts)
    return [f"the images of the image set differ in size: {sizes}; they cannot show the same field"]


def inspect_file(file: ImageFile, limits: ScreenLimits) -> ImageFacts:
    """Open and decode one image within the limit of time, and tell what was found.

    Raises
    ------
    ImageError
        As `read_file`, or if it takes longer than `ScreenLimits.read_seconds`, see `time_limit`.
    """
    with time_limit(limits.read_seconds, read_too_long(str(file.path), limits.read_seconds)):
        return read_file(file, limits)[0]


def read_file(file: ImageFile, limits: ScreenLimits) -> Tuple[ImageFacts, AnyArray]:
    """Open and decode one image, however long that takes: whoever calls this sees to the time.

    Parameters
    ----------
    file : ImageFile
    limits : ScreenLimits

    Returns
    -------
    ImageFacts
    uint8, uint16, uint32 or float32 array (H, W)
        Its pixels, as `reading.as_grey_numbers` gives them.

    Raises
    ------
    ImageError
        Naming the file, if it is missing, damaged, over a limit, not a single 2-D image, in colour (unless
        `ScreenLimits.colour`), holds NaN, infinite or 64-bit numbers, changes meanwhile, or has another sha256 than
        the list says.
    """
    try:
        before = os.stat(file.path)
        numbers, stored = _decode(file, limits)
        facts = _describe(file, numbers, stored, before)
        after = os.stat(file.path)
    except ImageError as error:
        # read_picture leaves the name out.
        raise ImageError(f"{file.path}: {error}") from error
    except FileNotFoundError:
        raise ImageError(f"{file.path}: there is no such file; check the name") from None
    except (OSError, NucDLError) as error:
        raise ImageError(f"{file.path}: the file cannot be read ({error}); check the disk") from error
    except MemoryError:
        raise ImageError(f"{file.path}: the image does not fit into memory; lower the limit of pixels") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ImageError(f"{file.path}: the file changed while it was read; resume when it is complete")
    if file.sha256 not in ("", facts.sha256):
        raise ImageError(f"{file.path}: its sha256 is {facts.sha256}, the list says {file.sha256}; copy it again")
    return facts, numbers


def _decode(file: ImageFile, limits: ScreenLimits) -> Tuple[AnyArray, np.dtype[Any]]:
    """Return the numbers of an image (H, W), or the mean of colours where these are allowed, and the stored type."""
    allowed = Limits(pixels=limits.pixels, decoded_bytes=limits.decoded_bytes)
    if file.path.suffix.lower() == NUMPY_SUFFIX:
        array = _read_numpy(file.path, allowed)
        return as_grey_numbers(array), array.dtype
    picture = read_picture(file.path, file.page, allowed)
    samples, palette = picture.samples, picture.palette
    if samples.dtype.kind in "ui" and samples.dtype.itemsize == 8:
        # Tried: CellProfiler loads such a file as an empty image, without a word.
        raise ImageError(f"the numbers are {samples.dtype}, which CellProfiler cannot read; save 16 or 32 bits")
    if file.objects and samples.ndim == 2:
        if samples.min() < 0:
            raise ImageError(f"the lowest number is {samples.min()}; objects are numbered from 1, 0 is background")
        return as_grey_numbers(samples), samples.dtype
    array = grey(picture)
    if not limits.colour and _is_coloured(picture):
        raise ImageError("the image is in colour; export one channel as grey, or allow colour with --colour")
    return as_grey_numbers(array), (samples if palette is None else palette).dtype


def _is_coloured(picture: Picture) -> bool:
    colours = picture.samples
    if picture.palette is not None:
        colours = picture.palette[np.flatnonzero(np.bincount(colours.ravel()))]
    elif colours.ndim == 2:
        return False
    return bool((colours != colours[..., :1]).any())


def _read_numpy(path: Path, limits: Limits) -> AnyArray:
    """Read a plane of numbers that was saved by numpy, such as an illumination function; nothing is unpickled."""
    try:
        array: AnyArray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        raise ImageError(f"this is not an array that can be read ({error}); save it again with numpy.save") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "uif":
        shape, kind = getattr(array, "shape", "?"), getattr(array, "dtype", "?")
        raise ImageError(f"the array is {kind} {shape}; a plane of numbers (H, W) is needed")
    limits.check(array.shape[0], array.shape[1], array.dtype.itemsize)
    return array


def _describe(file: ImageFile, numbers: AnyArray, stored: np.dtype[Any], status: os.stat_result) -> ImageFacts:
    lowest, highest = float(numbers.min()), float(numbers.max())
    share = 0.0 if file.objects else _saturated_share(numbers, stored, highest)
    flags = {
        EMPTY: lowest == highest and share < SATURATED_SHARE,
        SATURATED: share >= SATURATED_SHARE,
        ABOVE_ONE: stored.kind == "f" and highest > 1 and file.path.suffix.lower() != NUMPY_SUFFIX,
        SIGNED: stored.kind == "i",
        NEGATIVE: lowest < 0,
    }
    return ImageFacts(
        name=file.name,
        path=str(file.path),
        sha256=file_sha256(file.path),
        file_bytes=status.st_size,
        changed_ns=status.st_mtime_ns,
        height=numbers.shape[0],
        width=numbers.shape[1],
        number_type=str(stored),
        lowest=lowest,
        highest=highest,
        saturated_share=share,
        focus=focus(numbers),
        flags=tuple(name for name, there in flags.items() if there),
    )


def _saturated_share(numbers: AnyArray, stored: np.dtype[Any], highest: float) -> float:
    """Return the share of pixels at the greatest value that the camera can give: 8, 12 or 16 bits and more."""
    if stored.kind == "f" or highest not in (TWELVE_BITS, np.iinfo(stored).max):
        return 0.0
    return float((numbers == numbers.dtype.type(highest)).mean())


class _TooLate(BaseException):
    """The time is over; no library that catches all errors may catch this one."""


@contextlib.contextmanager
def time_limit(seconds: float, reason: str) -> Iterator[None]:
    """Interrupt what takes too long.

    Works by a signal, which Python permits in the main thread only, and between two of its own steps: a single call
    into a library is not interrupted, but over after it. Where this does not suffice, the whole process is watched.

    Parameters
    ----------
    seconds : float
    reason : str
        What is said then.

    Raises
    ------
    ImageError
        With the reason.
    ValueError
        Outside the main thread.
    """

    def interrupt(number: int, frame: Optional[FrameType]) -> None:
        raise _TooLate

    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _TooLate:
        raise ImageError(reason) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
