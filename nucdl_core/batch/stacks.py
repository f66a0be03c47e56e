"""Images of several channels, planes, time points or series in one file: which there are, and the chosen ones.

TIFF files and those of `files.containers` look the same here: series of numbered pages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucdl_core.arrays import AnyArray
from nucdl_core.batch.plane_choice import FIRST_ALONE, PlaneChoice
from nucdl_core.errors import ImageError
from nucdl_core.files.containers import Container, container_of
from nucdl_core.files.decoding import TIFF_SIGNATURES, strictly
from nucdl_core.files.ome_zarr import ZARR_SUFFIX, fields_of, is_ome_zarr
from nucdl_core.files.reading import as_grey_numbers, read_image
from nucdl_core.steps.focus import focus

CHANNEL, PLANE, TIME = "channel", "plane", "time"
_MEANINGS = {"C": CHANNEL, "T": TIME}
"""What the letters of axes mean; all others that are not those of an image count as planes."""
_OF_AN_IMAGE = "YXS"


@dataclass(frozen=True)
class Series:
    """The images of one series of a file.

    Attributes
    ----------
    pages : int64 array (T, C, Z)
        Page of the file for each time point, channel and plane, all from 0; counted through all series.
    """

    pages: NDArray[np.int64]

    def told(self) -> str:
        """Say what there is to choose from."""
        times, channels, planes = self.pages.shape
        parts = [f"{channels} channels: --channel 1 to {channels}"] if channels > 1 else []
        if planes > 1:
            parts.append(f"{planes} planes: --plane 1 to {planes}, max, sum, median or focus")
        if times > 1:
            parts.append(f"{times} time points, each an image of its own")
        return "; ".join(parts)


def images_in(path: Path, choice: PlaneChoice = FIRST_ALONE) -> List[Tuple[Path, Callable[[], AnyArray]]]:
    """List the images of a file.

    Parameters
    ----------
    path : Path
    choice : PlaneChoice

    Returns
    -------
    list of (Path, callable)
        A name for each, that of the file itself where it holds a single image or time point, and what reads it: an
        array (H, W), see `reading.read_image`. Each field of an OME-Zarr plate is an image of its own.
    """
    try:
        fields = fields_of(path) if is_ome_zarr(path) else {}
        series = series_of(path) if not fields else []
    except ImageError as error:
        if container_of(path) is not None:
            return [(path, _raising(path, error))]
        # Without a choice whoever reads the file hears what is wrong with it, or gets its only page.
        return [(path, (lambda: read_image(path)) if choice == FIRST_ALONE else _raising(path, error))]
    if fields:
        stem = path.name.removesuffix(ZARR_SUFFIX).removesuffix(".ome")
        return [
            # A field's own name is a number, which time points add to.
            (path.with_name(f"{stem}_{name}{image.name.removeprefix(field.name)}{ZARR_SUFFIX}"), read)
            for name, field in fields.items()
            for image, read in images_in(field, choice)
        ]
    if sum(each.pages.size for each in series) <= 1 and choice == FIRST_ALONE and container_of(path) is None:
        return [(path, lambda: read_image(path))]
    try:
        pages = chosen_pages(series, choice)
    except ImageError as error:
        return [(path, _raising(path, error))]
    if len(pages) == 1:
        return [(path, lambda: projected(path, pages[0], choice.plane))]
    digits = len(str(len(pages)))
    return [
        (path.with_name(f"{path.stem}_t{number:0{digits}}{path.suffix}"), _reader(path, part, choice.plane))
        for number, part in enumerate(pages, start=1)
    ]


def _raising(path: Path, reason: ImageError) -> Callable[[], AnyArray]:
    named = ImageError(f"{path}: {reason}")

    def refuse() -> AnyArray:
        raise named

    return refuse


def _reader(path: Path, pages: Sequence[int], plane: Optional[str]) -> Callable[[], AnyArray]:
    return lambda: projected(path, pages, plane)


def series_of(path: Path) -> List[Series]:
    """Find out what a file holds; one that is neither a TIFF file nor a container holds one image.

    Raises
    ------
    ImageError
        Without the name of the file, if it cannot be found out, as where a package is missing.
    """
    container = container_of(path)
    if container is not None:
        container.require()
        begin, found = 0, []
        for times, channels, planes in container.sizes(path):
            count = times * channels * planes
            found.append(Series(np.arange(begin, begin + count).reshape(times, channels, planes)))
            begin += count
        return found
    try:
        with path.open("rb") as stream:
            if not stream.read(4).startswith(TIFF_SIGNATURES):
                return [Series(np.zeros((1, 1, 1), np.int64))]
            stream.seek(0)
            # An OME-TIFF may describe pages of other files: page numbers are those of this one alone.
            with strictly(), tifffile.TiffFile(stream, _multifile=False) as file:
                whole = [page.index for page in file.pages if not getattr(page, "subfiletype", 0) & 5]
                return [_series(each, whole) for each in file.series]
    except OSError as error:
        raise ImageError(f"the file cannot be read ({error.strerror})") from error


def _series(series: Any, whole: Sequence[int]) -> Series:
    """Bring the pages of a series into the order of time, channel and plane."""
    leading = [(axis, size) for axis, size in zip(series.axes, series.shape) if axis not in _OF_AN_IMAGE]
    numbers = np.array([whole.index(page.index) for page in series.pages if page is not None], np.int64)
    if len(numbers) != math.prod(size for _, size in leading):
        described = math.prod(size for _, size in leading)
        raise ImageError(
            f"the file describes {described} planes and holds {len(numbers)} pages, as where planes are stored in one "
            "piece or lie in several files; export them as one TIFF file with a page for each"
        )
    sizes = [size for _, size in leading]
    kinds = [_MEANINGS.get(axis, PLANE) for axis, _ in leading]
    order = sorted(range(len(kinds)), key=lambda place: (TIME, CHANNEL, PLANE).index(kinds[place]))
    counts: Dict[str, int] = dict.fromkeys((TIME, CHANNEL, PLANE), 1)
    for kind, size in zip(kinds, sizes):
        counts[kind] *= size
    return Series(numbers.reshape(sizes).transpose(order).reshape(tuple(counts.values())))


def chosen_pages(series: Sequence[Series], choice: PlaneChoice) -> List[List[int]]:
    """Return the pages of each image: one page, or those that become one.

    Raises
    ------
    ImageError
        Saying what there is to choose from, if the choice is missing or is not there.
    """
    if choice.series is None and len(series) > 1:
        raise ImageError(f"the file holds {len(series)} series of images; choose one: --series 1 to {len(series)}")
    number = choice.series or 1
    if number > len(series):
        raise ImageError(f"there is no series {number}; the file holds {len(series)}")
    chosen = series[number - 1]
    _, channels, planes = chosen.pages.shape
    if (channels > 1 and choice.channel is None) or (planes > 1 and choice.plane is None):
        raise ImageError(f"the file holds {chosen.told()}; choose")
    channel = choice.channel or 1
    if channel > channels:
        raise ImageError(f"there is no channel {channel}; the file holds {channels}")
    plane = int(choice.plane) if choice.plane is not None and choice.plane.isdecimal() else None
    if plane is not None and plane > planes:
        raise ImageError(f"there is no plane {plane}; the file holds {planes}")
    pages = chosen.pages[:, channel - 1, :] if plane is None else chosen.pages[:, channel - 1, plane - 1 : plane]
    return [[int(page) for page in each] for each in pages]


def projected(path: Path, pages: Sequence[int], plane: Optional[str]) -> AnyArray:
    """Read planes and make one image of them.

    Parameters
    ----------
    path : Path
    pages : sequence of int
        Of the file, at least one.
    plane : str or None
        How several become one, of `plane_choice.PROJECTIONS`.

    Returns
    -------
    array (H, W)
        Of the type in the file; sum and median as float32.

    Raises
    ------
    ImageError
        If one cannot be read or they differ in size.
    """
    container = container_of(path)
    images = [read_image(path, page) if container is None else _page_of(container, path, page) for page in pages]
    if len(images) == 1:
        return images[0]
    if len({image.shape for image in images}) > 1:
        raise ImageError(f"{path}: its planes differ in size; export them as one stack of equal planes")
    if plane == "focus":
        return max(images, key=focus)
    if plane == "max":
        highest: AnyArray = np.maximum.reduce(images)
        return highest
    stack = np.stack(images).astype(np.float32)
    made: AnyArray = stack.sum(axis=0) if plane == "sum" else np.median(stack, axis=0)
    return made


def _page_of(container: Container, path: Path, page: int) -> AnyArray:
    """Read a page of a container by its number, see `Series`."""
    try:
        for number, sizes in enumerate(container.sizes(path)):
            if page < math.prod(sizes):
                time, channel, plane = (int(place) for place in np.unravel_index(page, sizes))
                return as_grey_numbers(container.plane(path, number, time, channel, plane))
            page -= math.prod(sizes)
        raise ImageError("the file has changed since it was looked at; try again")
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
