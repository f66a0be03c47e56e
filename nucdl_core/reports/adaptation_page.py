"""One HTML file about an adaptation: whether to use the new model and why, and what it learnt from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence, Tuple

import numpy as np

from nucdl_core import __version__
from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.files.writing import write_atomically
from nucdl_core.reports.gallery import SIDE, picture_link
from nucdl_core.reports.overlay import overlay
from nucdl_core.reports.page import render_page, require_libraries

Outlined = Tuple[str, AnyArray, Labels]
"""A caption, an image and its nuclei."""


@dataclass(frozen=True)
class ClusterOnPage:
    """A cluster of images as the page shows it.

    Attributes
    ----------
    title, text : str
        What it is called, and what is known of it.
    real, synthetic : sequence of Outlined
        Some of its images, and some that were made to look like them.
    """

    title: str
    text: str
    real: Sequence[Outlined]
    synthetic: Sequence[Outlined]


@dataclass(frozen=True)
class AdaptationPage:
    """What the page of an adaptation says.

    Attributes
    ----------
    name : str
        Of the new model.
    sentence : str
        Whether to use it, and why.
    better : bool
        Whether the sentence recommends it.
    before : str
        Name of the model before.
    facts : mapping of str to str
        What was done, by a word or two.
    notes : sequence of str
        What a person must know.
    evidence : sequence of (str, str)
        What speaks for or against it, and by how much.
    clusters : sequence of ClusterOnPage
    changes : sequence of (Outlined, Outlined)
        Images with the nuclei found before and after, those that changed most first.
    """

    name: str
    sentence: str
    better: bool
    before: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    evidence: Sequence[Tuple[str, str]]
    clusters: Sequence[ClusterOnPage]
    changes: Sequence[Tuple[Outlined, Outlined]]


def write_adaptation_page(path: Path, page: AdaptationPage) -> None:
    """Write the page; its pictures are in it.

    Parameters
    ----------
    path : Path
        An HTML file; one that is there is replaced.
    page : AdaptationPage

    Raises
    ------
    ConfigError
        If a library of the page is missing.
    NucDLError
        If it cannot be written.
    """
    require_libraries()
    values = {
        "version": __version__,
        "page": page,
        "clusters": [
            {"title": each.title, "text": each.text, "real": _cells(each.real), "synthetic": _cells(each.synthetic)}
            for each in page.clusters
        ],
        "changes": [_cells(pair) for pair in page.changes],
    }
    text = render_page("adaptation.html", values)
    write_atomically(path, lambda stream: stream.write(text.encode("utf-8")))


def outlined_picture(image: AnyArray, labels: Labels) -> AnyArray:
    """Draw the outlines of nuclei into the middle of an image, enlarged where it is small; uint8 (h, w, 3)."""
    window = tuple(slice(max(0, (length - SIDE) // 2), max(0, (length - SIDE) // 2) + SIDE) for length in image.shape)
    shown, found = image[window], labels[window]
    factor = max(1, SIDE // max(shown.shape))
    shown, found = (np.repeat(np.repeat(array, factor, axis=0), factor, axis=1) for array in (shown, found))
    return overlay(shown, found)


def _cells(pictures: Sequence[Outlined]) -> Sequence[Mapping[str, str]]:
    return [{"caption": caption, "link": picture_link(outlined_picture(*shown))} for caption, *shown in pictures]
