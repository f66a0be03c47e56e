"""Pictures of single images with the outlines that methods found, coloured by error class."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping

import numpy as np

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.files.folders import PairOfFiles
from nucdl_core.files.reading import read_image, read_labels, read_partner
from nucdl_core.labels import relabel
from nucdl_core.overlap import overlap
from nucdl_core.reports.methods import Evaluation
from nucdl_core.reports.overlay import TRUTH_COLOURS, error_overlay
from nucdl_core.scores.object_errors import COLOURS, ErrorClass, object_errors

# Larger images are cut, smaller ones enlarged by a whole number, so that outlines are one pixel of the picture wide.
SIDE = 520
_QUALITY = 88


@dataclass(frozen=True)
class Pictures:
    """Files by which a page shows the nuclei that each method found.

    Attributes
    ----------
    images : mapping of str to Path
        Images by name.
    files : mapping of str to mapping of str to (Path, Path or None)
        True and predicted label image by method and image, see `methods.pair_methods`.
    """

    images: Mapping[str, Path]
    files: Mapping[str, Mapping[str, PairOfFiles]]

    def row(self, evaluation: Evaluation, image: str) -> Dict[str, Any]:
        """Draw an image as each method segmented it, with its scores, as the templates take it."""
        cells: List[Dict[str, Any]] = []
        for method in evaluation.methods:
            scores = evaluation.scores
            row = scores[(scores["method"] == method) & (scores["image"] == image)].iloc[0]
            picture = gallery_picture(self.images[image], self.files[method][image])
            cells.append(
                {
                    "method": method,
                    "link": picture_link(picture),
                    "mean_f1": f"{row['mean_f1']:.3f}",
                    "f1": f"{row['f1_0.70']:.3f}",
                    "missing": bool(row["missing"]),
                }
            )
        return {"image": image, "nuclei": int(row["n_truth"]), "cells": cells}


def legend() -> Dict[str, str]:
    """Return the colour of each error class as pages write it."""
    named = {kind.name.lower(): colour for kind, colour in COLOURS.items()}
    named["missed (true outline)"] = named.pop("missed")
    named["true outline of merged and split"] = TRUTH_COLOURS[ErrorClass.MERGED]
    return {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in named.items()}


def gallery_picture(image_file: Path, files: PairOfFiles) -> AnyArray:
    """Draw the outlines of a method into an image, in the colours of their error classes.

    Parameters
    ----------
    image_file : Path
    files : (Path, Path or None)
        True and predicted label image, see `folders.pair_label_images`.

    Returns
    -------
    uint8 array (h, w, 3)
        The image enlarged by a whole number, or its middle where it is larger than `SIDE` pixels.

    Raises
    ------
    ImageError
        Naming the file, if one cannot be read or has another shape than the others.
    """
    image, truth = read_image(image_file), relabel(read_labels(files[0]))
    if image.shape != truth.shape:
        raise ImageError(
            f"{image_file} against {files[0]}: {image.shape} and {truth.shape} differ in shape (H, W); give the images "
            "that the label images belong to"
        )
    prediction = relabel(read_partner(files[1], files[0], truth))
    errors = object_errors(overlap(truth, prediction))
    window = tuple(_middle(length) for length in truth.shape)
    factor = max(1, SIDE // max(image[window].shape))
    shown, true, found = (_enlarge(array[window], factor) for array in (image, truth, prediction))
    return error_overlay(shown, true, found, errors, TRUTH_COLOURS)


def _middle(length: int) -> slice:
    start = max(0, (length - SIDE) // 2)
    return slice(start, min(length, start + SIDE))


def _enlarge(array: AnyArray, factor: int) -> AnyArray:
    return np.repeat(np.repeat(array, factor, axis=0), factor, axis=1)


def picture_link(picture: AnyArray) -> str:
    """Give a picture as a link that holds the picture itself.

    Parameters
    ----------
    picture : uint8 array (h, w, 3)

    Returns
    -------
    str
        A ``data:`` link of a JPEG file in full colour resolution, so that thin outlines keep their colours.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
    return data_link(buffer.getvalue(), "image/jpeg")


def data_link(content: bytes, kind: str) -> str:
    """Give the content of a file as a ``data:`` link, so that a page needs no other file.

    Parameters
    ----------
    content : bytes
    kind : str
        Media type, such as ``image/png``.

    Returns
    -------
    str
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
