"""Packages that only some uses need: which extra of NucDL brings them, and the line that installs it."""

from __future__ import annotations

import importlib.util
from typing import Dict, List, Tuple

EXTRAS: Dict[str, Tuple[Tuple[str, ...], str]] = {
    "maskrcnn": (("torchvision",), "the Mask R-CNN and networks with a ResNet"),
    "report": (("jinja2", "matplotlib"), "pages of training, adaptation and comparison"),
    "screen": (("pyarrow", "jinja2", "matplotlib"), "Parquet tables and the page of a screen"),
    "zarr": (("zarr",), "OME-Zarr: images, and label images of the fast path"),
    "formats": (("imagecodecs",), "JPEG, JPEG 2000, ZSTD and LZMA in TIFF files, 16-bit colour PNG files"),
    "czi": (("pylibCZIrw",), "CZI files of ZEISS microscopes"),
    "nd2": (("nd2",), "ND2 files of Nikon microscopes"),
}
"""The packages that an extra brings, as they are imported, and what they are for."""


def lacking(extra: str) -> List[str]:
    """Name the packages of an extra that are not installed."""
    return [package for package in EXTRAS[extra][0] if importlib.util.find_spec(package) is None]


def install_line(extra: str) -> str:
    """Return the line that installs an extra beside NucDL, in the Python that NucDL runs in."""
    return f'pip install "nucdl[{extra}]"'
