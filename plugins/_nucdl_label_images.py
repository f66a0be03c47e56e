"""Label images that CellProfiler has loaded as images: their numbers come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import numpy as np
from _nucdl_engine import engine
from _nucdl_errors import ImageError

if TYPE_CHECKING:
    from nucdl_core.arrays import AnyArray, Labels

WHOLE = 0.01
"""A pixel of a label image may be this far from a whole number; 32-bit floats keep 65,535 labels within 0.004."""

HIGHEST_CONTACT_SHARE = 0.2
"""In no label image do more neighboring pixels than this share differ; in every intensity image they do."""


def numbers_of(pixels: AnyArray, scale: Optional[float]) -> Labels:
    """Undo what CellProfiler did to the numbers of a label image when it loaded it as an image.

    CellProfiler divides the integers of a file by the highest number that they could have, and keeps the result in 32
    bits: multiplying and rounding give the integers back. Images that a module has made of objects
    (ConvertObjectsToImage) hold integers.

    Parameters
    ----------
    pixels : array (H, W)
        The image's ``pixel_data``.
    scale : float or None
        The image's ``scale``, by which the file's numbers were divided: 65,535 for 16 bits unless the file says
        otherwise; None where they were not.

    Returns
    -------
    int32 array (H, W)
        The numbers as they stand in the file.

    Raises
    ------
    ImageError
        If the image is no label image, or was loaded in a way that loses its numbers.
    """
    if pixels.ndim != 2:
        raise ImageError("it is a color image, with several numbers per pixel; load a label image in grayscale")
    if pixels.dtype.kind in "ui":
        return engine().as_labels(pixels)
    if pixels.dtype.kind == "b":
        raise ImageError("it was loaded as a binary mask, which has no numbers; load it as objects or in grayscale")
    numbers = pixels.astype(np.float64) * (scale or 1)
    whole = np.rint(numbers)
    if not np.all(np.abs(numbers - whole) <= WHOLE):
        raise ImageError(
            "its pixels do not give whole numbers, as those of a label image do; load it with its intensities rescaled "
            "by the image's metadata, or as objects"
        )
    labels = engine().as_labels(whole.astype(np.int64))
    _refuse_other_images(labels)
    return labels


def _refuse_other_images(labels: Labels) -> None:
    """Raise an `ImageError` if the numbers are whole, but cannot be those of nuclei."""
    if labels.size and labels.min() > 0:
        # So it is with signed integers whose intensities are not rescaled: 0 becomes the middle of their range.
        raise ImageError(
            f"no pixel is background (0), the lowest number is {labels.min()}; load it with its intensities rescaled "
            "by the image's metadata, or as objects"
        )
    if engine().contact_share(labels) > HIGHEST_CONTACT_SHARE:
        raise ImageError(
            "most neighboring pixels differ, this seems to be an image of intensities; give a label image, in which "
            "all pixels of a nucleus have its number and the background is 0"
        )
