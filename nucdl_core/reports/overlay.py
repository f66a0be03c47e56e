"""Pictures of a segmentation: the image in grey with coloured outlines."""

from __future__ import annotations

from typing import Mapping, Optional, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError
from nucdl_core.labels import outlines
from nucdl_core.overlap import overlap
from nucdl_core.scores.matching import matched_nuclei
from nucdl_core.scores.object_errors import COLOURS, ErrorClass, ObjectErrors

Colour = Tuple[int, int, int]

TRUTH_COLOURS = {**COLOURS, ErrorClass.MERGED: (255, 255, 255), ErrorClass.SPLIT: (255, 255, 255)}
"""Of the outlines of true nuclei beside predicted ones in `COLOURS`: no class has one colour for both."""
MATCHED_COLOUR: Colour = COLOURS[ErrorClass.MATCHED]
MISSED_COLOUR: Colour = COLOURS[ErrorClass.MISSED]
EXTRA_COLOUR: Colour = COLOURS[ErrorClass.EXTRA]
DARKEST_PERCENTILE, BRIGHTEST_PERCENTILE = 1.0, 99.8


def overlay(
    image: AnyArray,
    labels: Labels,
    colour: Colour = MATCHED_COLOUR,
    truth: Optional[Labels] = None,
    threshold: float = 0.5,
) -> AnyArray:
    """Draw the outlines of nuclei into an image.

    Parameters
    ----------
    image : integer, float or bool array (H, W)
        Shown in grey, from black at its 1st to white at its 99.8th percentile.
    labels : int32 array (H, W)
        Predicted nuclei, outlined on their innermost boundary pixels.
    colour : (int, int, int)
        Red, green and blue from 0 to 255 of the outlines; of those that match, where `truth` is given.
    truth : int32 array (H, W), optional
        True nuclei. Predictions without a match are then drawn in `EXTRA_COLOUR`, true nuclei without a match in
        `MISSED_COLOUR`.
    threshold : float
        Intersection over union above which a prediction matches, in [0.5, 1).

    Returns
    -------
    uint8 array (H, W, 3)
        Red, green and blue.

    Raises
    ------
    ImageError
        If the shapes differ.
    ValueError
        If the threshold is outside [0.5, 1).
    """
    if image.shape != labels.shape or image.ndim != 2:
        raise ImageError(f"image {image.shape} and labels {labels.shape} must have the same shape (H, W)")
    picture: AnyArray = np.repeat(grey_picture(image)[:, :, None], 3, axis=2)
    if truth is None:
        picture[outlines(labels)] = colour
        return picture
    truth_matched, matched = matched_nuclei(overlap(truth, labels), threshold)
    truth_lines = outlines(truth)
    missed = truth_lines & ~np.concatenate([[True], truth_matched])[truth]
    lines = outlines(labels)
    kind = np.concatenate([[False], matched])[labels]
    picture[missed] = MISSED_COLOUR
    picture[lines & ~kind] = EXTRA_COLOUR
    picture[lines & kind] = colour
    return picture


def error_overlay(
    image: AnyArray,
    truth: Labels,
    prediction: Labels,
    errors: Tuple[ObjectErrors, ObjectErrors],
    truth_colours: Mapping[ErrorClass, Colour] = COLOURS,
) -> AnyArray:
    """Draw the outlines of true and predicted nuclei in the colours of their error classes.

    All predicted nuclei are outlined, of the true ones only those without a match: a merged nucleus shows the lines
    that should divide it, a split one the outline that its pieces should have.

    Parameters
    ----------
    image : integer, float or bool array (H, W)
        Shown in grey, see `grey_picture`.
    truth, prediction : int32 arrays (H, W)
        Label images.
    errors : (ObjectErrors, ObjectErrors)
        What `object_errors.object_errors` says about the two.
    truth_colours : mapping of ErrorClass to (int, int, int)
        Of the true nuclei; `TRUTH_COLOURS` tells them apart from the predicted ones.

    Returns
    -------
    uint8 array (H, W, 3)
        Red, green and blue. Where two outlines meet, that of the true nucleus is seen.

    Raises
    ------
    ImageError
        If the shapes differ.
    """
    if not image.shape == truth.shape == prediction.shape or image.ndim != 2:
        shapes = f"image {image.shape}, truth {truth.shape} and prediction {prediction.shape}"
        raise ImageError(f"{shapes} must have the same shape (H, W)")
    picture: AnyArray = np.repeat(grey_picture(image)[:, :, None], 3, axis=2)
    unmatched = {kind: colour for kind, colour in truth_colours.items() if kind != ErrorClass.MATCHED}
    for labels, found, colours in ((prediction, errors[1], COLOURS), (truth, errors[0], unmatched)):
        kinds = np.concatenate([[ErrorClass.NONE], found.error])[np.where(outlines(labels), labels, 0)]
        for kind, colour in colours.items():
            picture[kinds == kind] = colour
    return picture


def error_map(labels: Labels, errors: ObjectErrors) -> AnyArray:
    """Fill nuclei with the colours of their error classes.

    Parameters
    ----------
    labels : int32 array (H, W)
        Label image.
    errors : ObjectErrors
        What `object_errors.object_errors` says about its nuclei.

    Returns
    -------
    uint8 array (H, W, 3)
        Red, green and blue; the background and the outlines are black.
    """
    table = np.zeros((len(ErrorClass), 3), np.uint8)
    for kind, colour in COLOURS.items():
        table[kind] = colour
    kinds = np.concatenate([[ErrorClass.NONE], errors.error])
    filled: AnyArray = table[kinds[np.where(outlines(labels), 0, labels)]]
    return filled


def grey_picture(image: AnyArray) -> AnyArray:
    """Stretch an image from its 1st to its 99.8th percentile over 0 to 255.

    Parameters
    ----------
    image : integer, float or bool array (H, W)

    Returns
    -------
    uint8 array (H, W)
        All 0 where the two percentiles are equal and no pixel is above them.
    """
    values = image.astype(np.float32)
    darkest, brightest = np.percentile(values, (DARKEST_PERCENTILE, BRIGHTEST_PERCENTILE))
    if brightest <= darkest:
        brightest = max(float(values.max()), darkest + 1)
    grey = np.clip((values - darkest) * (255 / (brightest - darkest)), 0, 255)
    return np.rint(grey).astype(np.uint8)
