"""One HTML file that shows what many ways to find nuclei found in some images, the best first."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nucdl_core import __version__
from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.files.writing import write_atomically
from nucdl_core.overlap import overlap
from nucdl_core.reports.gallery import data_link, legend, picture_link
from nucdl_core.reports.overlay import error_overlay, grey_picture, overlay
from nucdl_core.reports.page import render_page, require_libraries
from nucdl_core.scores.object_errors import object_errors

SMALLEST_PICTURE = 256
"""Smaller crops are enlarged by a whole number, so that outlines can be seen."""


@dataclass(frozen=True)
class CropOnPage:
    """A part of an image as a variant segmented it.

    Attributes
    ----------
    labels : int32 array (h, w)
    caption : str
    """

    labels: Labels
    caption: str


@dataclass(frozen=True)
class ImageOnPage:
    """A part of a sample image.

    Attributes
    ----------
    name : str
    crop : array (h, w)
    truth : int32 array (h, w) or None
    """

    name: str
    crop: AnyArray
    truth: Optional[Labels] = None


@dataclass(frozen=True)
class VariantOnPage:
    """What the page says of a variant.

    Attributes
    ----------
    name : str
    score : str
        By which it is sorted.
    bar : float
        The same from 0 to 1.
    facts : mapping of str to str
        Numbers by a word or two.
    flags, same : sequence of str
        What to look at; variants that found the same nuclei.
    command : str
        By which it is used; "" for another tool.
    pipeline : str or None
        Content of the pipeline file.
    no_pipeline : str
        Why there is none.
    file_name : str
        Of the pipeline.
    crops : sequence of CropOnPage
        One for each image of the page; none where it is not shown.
    """

    name: str
    score: str
    bar: float
    facts: Mapping[str, str]
    flags: Sequence[str] = ()
    same: Sequence[str] = ()
    command: str = ""
    pipeline: Optional[str] = None
    no_pipeline: str = ""
    file_name: str = ""
    crops: Sequence[CropOnPage] = ()


@dataclass(frozen=True)
class TryPage:
    """What the page says.

    Attributes
    ----------
    sentence : str
        Which variant is put first, and how clearly.
    score_name : str
        What the variants are sorted by.
    track_record : str
        How far that can be trusted.
    facts : mapping of str to str
        What was tried, by a word or two.
    notes : sequence of str
        What a person must know.
    images : sequence of ImageOnPage
    variants : sequence of VariantOnPage
        The best first.
    has_truth : bool
    """

    sentence: str
    score_name: str
    track_record: str
    facts: Mapping[str, str]
    images: Sequence[ImageOnPage]
    variants: Sequence[VariantOnPage]
    has_truth: bool = False
    notes: Sequence[str] = field(default_factory=tuple)


def write_try_page(path: Path, page: TryPage) -> None:
    """Write the page; it needs no other file and no network.

    Parameters
    ----------
    path : Path
    page : TryPage

    Raises
    ------
    ConfigError
        If a library of the page is missing.
    NucDLError
        If it cannot be written.
    """
    require_libraries()
    values: Dict[str, Any] = {
        "page": page,
        "version": __version__,
        "plain": [{"name": each.name, "link": picture_link(_plain(each.crop))} for each in page.images],
        "variants": [_shown(each, page.images) for each in page.variants],
        "colours": legend(),
    }
    text = render_page("try.html", values)
    write_atomically(path, lambda stream: stream.write(text.encode("utf-8")))


def _shown(variant: VariantOnPage, images: Sequence[ImageOnPage]) -> Dict[str, Any]:
    """Return a variant as the template takes it."""
    pictures: List[Tuple[str, str]] = [
        (picture_link(_outlined(image, crop.labels)), crop.caption) for image, crop in zip(images, variant.crops)
    ]
    pipeline = None if variant.pipeline is None else data_link(variant.pipeline.encode("utf-8"), "text/plain")
    return {"about": variant, "pictures": pictures, "pipeline": pipeline, "width": round(100 * variant.bar)}


def _outlined(image: ImageOnPage, labels: Labels) -> AnyArray:
    """Draw outlines into a crop, in the colours of the errors where the truth is known; uint8 (h, w, 3)."""
    factor = _factor(image.crop)
    shown, found = (_enlarge(array, factor) for array in (image.crop, labels))
    if image.truth is None:
        return overlay(shown, found)
    truth = _enlarge(image.truth, factor)
    return error_overlay(shown, truth, found, object_errors(overlap(truth, found)))


def _plain(crop: AnyArray) -> AnyArray:
    grey = grey_picture(_enlarge(crop, _factor(crop)))
    picture: AnyArray = np.repeat(grey[:, :, None], 3, axis=2)
    return picture


def _factor(crop: AnyArray) -> int:
    return max(1, -(-SMALLEST_PICTURE // max(crop.shape)))


def _enlarge(array: AnyArray, factor: int) -> AnyArray:
    return np.repeat(np.repeat(array, factor, axis=0), factor, axis=1)
