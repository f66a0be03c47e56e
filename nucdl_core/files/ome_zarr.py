"""OME-Zarr (NGFF 0.1 to 0.4): folders that hold an image, several, or a plate; the full resolution is read.

The descriptions are JSON and are read as such; only pixels need the package zarr.
"""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path, PurePosixPath
from typing import Any, Dict, List, Optional, Tuple

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.files.codecs import DAMAGED
from nucdl_core.files.decoding import Limits, strictly

ZARR_SUFFIX = ".zarr"
_LOGGER = logging.getLogger(__name__)
_ATTRIBUTES, _ARRAY, _NEWER = ".zattrs", ".zarray", "zarr.json"
_MOST_JSON = 2**26
_OLD_AXES = "tczyx"


def is_ome_zarr(path: Path) -> bool:
    """Tell whether a folder is an OME-Zarr, or a part of one."""
    return path.is_dir() and (
        path.suffix.lower() == ZARR_SUFFIX or any((path / name).is_file() for name in (_ATTRIBUTES, _NEWER))
    )


def fields_of(path: Path) -> Dict[str, Path]:
    """List the fields of a plate or well by name, such as ``A01_f0``; none where the folder is neither.

    Raises
    ------
    ImageError
        If a description is missing or cannot be understood.
    """
    attributes = _attributes(path)
    with strictly():
        if "plate" in attributes:
            wells = [str(well["path"]) for well in attributes["plate"]["wells"]]
            found: Dict[str, Path] = {}
            for well in wells:
                row, _, column = well.partition("/")
                inside = _fields_of_well(_inside(path, well))
                found.update({f"{row}{column.zfill(2)}_f{name}": field for name, field in inside.items()})
            return found
        if "well" in attributes:
            return {f"f{name}": field for name, field in _fields_of_well(path).items()}
    return {}


def _fields_of_well(path: Path) -> Dict[str, Path]:
    names = [str(image["path"]) for image in _attributes(path)["well"]["images"]]
    return {name: _inside(path, name) for name in names}


def zarr_sizes(path: Path) -> List[Tuple[int, int, int]]:
    """Return the numbers of time points, channels and planes of each image in a folder that is no plate.

    Raises
    ------
    ImageError
        If a description is missing or cannot be understood.
    """
    with strictly():
        return [_sizes(*_axes_and_shape(image)) for image in _images(path)]


def zarr_plane(path: Path, series: int, time: int, channel: int, plane: int) -> AnyArray:
    """Read a plane; everything is counted from 0, see `zarr_sizes`.

    Returns
    -------
    array (H, W)

    Raises
    ------
    ImageError
        If it is damaged, too large, no part of it is stored, or its numbers cannot be used.
    """
    import zarr

    with strictly():
        image = _images(path)[series]
        axes, shape = _axes_and_shape(image)
        folder = _full_resolution(image)
        array = zarr.open_array(str(folder), mode="r")
        if array.dtype.kind not in "uif":
            raise ImageError(f"the numbers are {array.dtype}; save whole numbers or floats")
        height, width = shape[-2:]
        Limits().check(height, width, array.dtype.itemsize)
        place = _place(axes, shape, time, channel, plane)
        _look_for_chunks(folder, place, array)
        pixels: AnyArray = array[place]
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _images(path: Path) -> List[Path]:
    """Return the folders of the images in a folder, in order."""
    attributes = _attributes(path)
    if "multiscales" in attributes:
        return [path]
    if "bioformats2raw.layout" in attributes:
        numbered = sorted((each for each in path.iterdir() if each.name.isdecimal()), key=lambda each: int(each.name))
        return [each for each in numbered if each.is_dir() and "multiscales" in _attributes(each)]
    raise ImageError("the folder does not say that it is an image (multiscales), or a plate; export it as OME-Zarr 0.4")


def _attributes(path: Path) -> Dict[str, Any]:
    if (path / _NEWER).is_file():
        raise ImageError("this is OME-Zarr 0.5 or later (zarr.json), which is not read; write version 0.4")
    found = _json(path / _ATTRIBUTES)
    if found is None:
        raise ImageError(f"there is no {_ATTRIBUTES} in {path}; name an OME-Zarr folder that is whole")
    return found


def _json(path: Path) -> Optional[Dict[str, Any]]:
    """Read a description; None if there is none."""
    try:
        if path.stat().st_size > _MOST_JSON:
            raise ImageError(f"{path.name} is larger than any description; {DAMAGED}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{path} cannot be read ({error}): {DAMAGED}") from error
    if not isinstance(content, dict):
        raise ImageError(f"{path} holds no description: {DAMAGED}")
    return content


def _inside(folder: Path, name: str) -> Path:
    """Return a folder in a folder; a name that leads out of it is refused."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        raise ImageError(f"the name {name!r} leads out of the OME-Zarr; this is no image to be trusted")
    return folder.joinpath(*parts)


def _full_resolution(image: Path) -> Path:
    return _inside(image, str(_attributes(image)["multiscales"][0]["datasets"][0]["path"]))


def _axes_and_shape(image: Path) -> Tuple[str, Tuple[int, ...]]:
    """Return a letter for each axis, and their lengths."""
    described = _json(_full_resolution(image) / _ARRAY)
    if described is None:
        raise ImageError(f"the pixels of the full resolution are missing: {DAMAGED}")
    shape = tuple(int(length) for length in described["shape"])
    listed = _attributes(image)["multiscales"][0].get("axes", list(_OLD_AXES))
    axes = "".join(str(axis["name"] if isinstance(axis, dict) else axis)[:1].lower() for axis in listed)
    if len(axes) != len(shape) or axes[-2:] != "yx" or len(set(axes)) != len(axes):
        raise ImageError(f"the axes are {axes} for an array of {shape}; t, c and z, then y and x are expected")
    return axes, shape


def _sizes(axes: str, shape: Tuple[int, ...]) -> Tuple[int, int, int]:
    lengths = dict(zip(axes, shape))
    strange = [axis for axis in axes[:-2] if axis not in "tcz" and lengths[axis] > 1]
    if strange:
        raise ImageError(f"the axis {strange[0]} is none of t, c and z; export one of its images")
    return lengths.get("t", 1), lengths.get("c", 1), lengths.get("z", 1)


def _place(axes: str, shape: Tuple[int, ...], time: int, channel: int, plane: int) -> Tuple[Any, ...]:
    chosen = {"t": time, "c": channel, "z": plane}
    return (*(chosen.get(axis, 0) for axis in axes[:-2]), slice(0, shape[-2]), slice(0, shape[-1]))


def _look_for_chunks(folder: Path, place: Tuple[Any, ...], array: Any) -> None:
    """Refuse a plane of which nothing is stored; what lacks in part is filled, as the format says, and told."""
    leading = [number // size for number, size in zip(place[:-2], array.chunks)]
    counts = [range(-(-length // size)) for length, size in zip(array.shape[-2:], array.chunks[-2:])]
    separator = (_json(folder / _ARRAY) or {}).get("dimension_separator", ".")
    chunks = [separator.join(map(str, (*leading, *chunk))) for chunk in itertools.product(*counts)]
    missing = sum(not (folder / chunk).is_file() for chunk in chunks)
    if missing == len(chunks):
        raise ImageError(f"no pixel of this plane is stored; {DAMAGED}")
    if missing:
        told = "%s: %d of %d parts are not stored and taken for %s, as OME-Zarr says; check that the copy is whole"
        _LOGGER.warning(told, folder, missing, len(chunks), array.fill_value)
