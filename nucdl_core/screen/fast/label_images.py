"""Label images of the fast path: TIFF files, or OME-Zarr."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nucdl_core.arrays import Labels
from nucdl_core.errors import NucDLError
from nucdl_core.extras import install_line, lacking
from nucdl_core.files.folders import LABEL_SUFFIX
from nucdl_core.files.writing import write_labels
from nucdl_core.screen.core.plan import ScreenError

TIFF, ZARR, NONE = "tiff", "zarr", "none"
LABEL_FORMATS = (TIFF, ZARR, NONE)
_ENDINGS = {TIFF: LABEL_SUFFIX, ZARR: ".zarr", NONE: ""}
NGFF = "0.4"
CHUNK_SIDE = 1024
LONGEST_STEM = 150
"""Bytes of an image's name that the name of its label image takes over: a name has at most 255."""


def require_format(kind: str) -> None:
    """Refuse a kind of label images for which a package is missing.

    Raises
    ------
    ScreenError
    """
    if kind == ZARR and lacking("zarr"):
        raise ScreenError(f"OME-Zarr needs the package zarr; install it by: {install_line('zarr')}")


def label_name(image_number: int, image: Path, kind: str) -> str:
    """Name a label image, or begin the names of what lies beside it; the number parts images of one name."""
    stem = os.fsencode(image.stem)[:LONGEST_STEM].decode("utf-8", "ignore")
    return f"{image_number:06d}_{stem}{_ENDINGS[kind]}"


def write_label_image(path: Path, labels: Labels) -> None:
    """Write a label image as OME-Zarr where the name ends so, otherwise as TIFF.

    Parameters
    ----------
    path : Path
        In an existing folder.
    labels : int32 array (H, W)

    Raises
    ------
    NucDLError
        If it cannot be written.
    """
    if path.suffix == ".zarr":
        try:
            write_zarr(path, labels)
        except (OSError, KeyError) as error:
            # The library hides an error of the disk behind a key.
            reason = error.__cause__ or error
            raise NucDLError(f"{path}: cannot be written ({reason}); check the folder and the disk") from error
    else:
        write_labels(path, labels)


def write_zarr(path: Path, labels: Labels) -> None:
    """Write a label image as OME-Zarr (NGFF 0.4): ``PATH/labels/nuclei``, beside which the image itself may be put.

    Raises
    ------
    OSError, KeyError
        If it cannot be written.
    """
    import numcodecs
    import zarr

    container = zarr.open_group(str(path), mode="w").create_group("labels")
    container.attrs["labels"] = ["nuclei"]
    nuclei = container.create_group("nuclei")
    nuclei.create_dataset(
        "0",
        data=labels.astype("<u2" if labels.max(initial=0) < 2**16 else "<u4"),
        chunks=tuple(min(CHUNK_SIDE, side) for side in labels.shape),
        compressor=numcodecs.Zlib(1),
        dimension_separator="/",
    )
    nuclei.attrs.update(zarr_attributes())


def zarr_attributes() -> Any:
    """Describe a label image as NGFF wants it."""
    scale = {"type": "scale", "scale": [1.0, 1.0]}
    return {
        "image-label": {"version": NGFF, "source": {"image": "../../"}},
        "multiscales": [
            {
                "version": NGFF,
                "name": "nuclei",
                "axes": [{"name": axis, "type": "space"} for axis in "yx"],
                "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
            }
        ],
    }
