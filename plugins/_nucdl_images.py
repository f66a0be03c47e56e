"""CellProfiler's images as the engine takes them, and errors that name the file of an image."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Iterator, NamedTuple, Optional

import numpy as np
from _nucdl_engine import engine
from _nucdl_errors import ImageError

if TYPE_CHECKING:
    from cellprofiler_core.image import Image
    from cellprofiler_core.workspace import Workspace

    from nucdl_core.arrays import Floats, Mask


class GreyImage(NamedTuple):
    """A grey image of the image set.

    Attributes
    ----------
    source : cellprofiler_core.image.Image
    pixels : float32 array (H, W)
        As CellProfiler scales them, usually 0 to 1.
    mask : bool array (H, W) or None
        True where the image is valid; None where it has no mask.
    """

    source: Image
    pixels: Floats
    mask: Optional[Mask]


def grey_image(workspace: Workspace, name: str) -> GreyImage:
    """Take a grey image from the image set; CellProfiler raises a ``ValueError`` for a color image."""
    source = workspace.image_set.get_image(name, must_be_grayscale=True)
    pixels = source.pixel_data.astype(np.float32, copy=False)
    return GreyImage(source, pixels, source.mask if source.has_mask else None)


@contextlib.contextmanager
def naming_the_file(image: GreyImage) -> Iterator[None]:
    """Refuse images that CellProfiler cannot serve, and name the file in all errors about the content of an image.

    Raises
    ------
    ImageError
        If the image's file is cut off, if the image is a single row or column of pixels, or if the engine raises one.
    """
    path = source_path(image.source)
    try:
        engine().check_source(path)
        if min(image.pixels.shape) < 2:
            # CellProfiler fails on such objects with an error that nobody understands.
            height, width = image.pixels.shape
            raise ImageError(
                f"the image has {height} x {width} pixels (height x width), and CellProfiler cannot store objects of "
                "a single row or column; leave this image out"
            )
        yield
    except ImageError as error:
        raise ImageError(f"{path}: {error}" if path else str(error)) from error


def source_path(image: Image) -> str:
    """Return the path of the file that an image was loaded or derived from, "" where there is none."""
    return os.path.join(image.path_name or "", image.file_name or "")
