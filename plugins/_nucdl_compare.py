"""What CompareNuclei alone translates between CellProfiler and the engine: label images, columns, the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Tuple

import _nucdl_cellprofiler as nucdl
import numpy as np
from cellprofiler_core.constants.measurement import COLTYPE_FLOAT, COLTYPE_INTEGER, IMAGE

if TYPE_CHECKING:
    from nucdl_core.arrays import AnyArray, Labels
    from nucdl_core.scores.compare import Comparison
    from nucdl_core.scores.object_errors import ObjectErrors

C_COMPARE = "NucDLCompare"

INTEGER_SCORES = {
    "CountA": "n_truth",
    "CountB": "n_prediction",
    "Matched": "matched",
    "Missed": "missed",
    "Extra": "extra",
    "Merges": "merges",
    "Splits": "splits",
}
"""Measurements of the image, with the engine's name of each."""

FLOAT_SCORES = {
    "MeanF1": "mean_f1",
    **{f"F1_{percent}": f"f1_{percent / 100:.2f}" for percent in range(50, 100, 5)},
    "DSBScore": "dsb_score",
}

TRUTH_SCORES = {"Precision": "precision", "Recall": "recall"}
"""Those that make sense only where one side is the truth."""

F_IOU = "IoU"
UNMATCHED = ("Missed", "Extra")
"""What an object without a match is called: in the first set and in the second."""

LONGEST_NAME = 64
"""MySQL cuts the names of columns here."""

WHOLE = 0.01
"""So far may a pixel of a label image be from a whole number; 32-bit floats keep 65,535 labels within 0.004."""

HIGHEST_CONTACT_SHARE = 0.2
"""More neighbouring pixels with different numbers than that has no label image, but every intensity image."""


class Side(NamedTuple):
    """One of the two sets that are compared: its name, its labels, and the image it was found in, if known."""

    name: str
    labels: Labels
    image: Any


def side_of_objects(workspace: Any, name: str) -> Side:
    """Take one side from CellProfiler's objects."""
    objects = workspace.object_set.get_objects(name)
    return Side(name, nucdl.labels_without_overlaps(objects, f"the objects {name}"), objects.parent_image)


def side_of_label_image(workspace: Any, name: str) -> Side:
    """Take one side from a label image that CellProfiler has loaded as an image."""
    from nucdl_core.errors import ImageError

    image = workspace.image_set.get_image(name)
    try:
        return Side(name, numbers_of(image.pixel_data, image.scale), None)
    except ImageError as error:
        raise ImageError(f"{nucdl.source_path(image) or name}: {error}") from error


def numbers_of(pixels: AnyArray, scale: Any) -> Labels:
    """Undo what CellProfiler did to the numbers of a label image when it loaded it as an image.

    CellProfiler divides the integers of a file by the highest number that they could have (the image's `scale`, 65,535
    for 16 bits unless the file says otherwise), and keeps the result in 32 bits, so that multiplying and rounding
    gives the integers back. Images that a module has made of objects (ConvertObjectsToImage) hold integers.
    """
    from nucdl_core.errors import ImageError
    from nucdl_core.labels import as_labels, contact_share

    if pixels.ndim != 2:
        raise ImageError("it is a color image, with several numbers per pixel; load a label image in grayscale")
    if pixels.dtype.kind in "ui":
        return as_labels(pixels)
    if pixels.dtype.kind == "b":
        raise ImageError("it was loaded as a binary mask, which has no numbers; load it as objects or in grayscale")
    numbers = pixels.astype(np.float64) * (scale or 1)
    whole = np.rint(numbers)
    if not np.all(np.abs(numbers - whole) <= WHOLE):
        raise ImageError(
            "its pixels do not give whole numbers, as those of a label image do; load it with its intensities rescaled "
            "by the image's metadata, or as objects"
        )
    labels = as_labels(whole.astype(np.int64))
    if labels.size and labels.min() > 0:
        # So it is with signed integers whose intensities are not rescaled: 0 becomes the middle of their range.
        raise ImageError(
            f"no pixel is background (0), the lowest number is {labels.min()}; load it with its intensities rescaled "
            "by the image's metadata, or as objects"
        )
    if contact_share(labels) > HIGHEST_CONTACT_SHARE:
        raise ImageError(
            "most neighbouring pixels differ, this seems to be an image of intensities; give a label image, in which "
            "all pixels of a nucleus have its number and the background is 0"
        )
    return labels


def compare_sides(first: Side, second: Side, threshold: float) -> Comparison:
    """Compare two sides with the engine; different sizes are refused with the names of both."""
    from nucdl_core.errors import ImageError
    from nucdl_core.scores.compare import compare

    if first.labels.shape != second.labels.shape:
        sizes = " and ".join(f"{side.name} has {' x '.join(map(str, side.labels.shape))}" for side in (first, second))
        raise ImageError(f"{sizes} pixels (height x width); compare nuclei of one image, cropped in the same way")
    return compare(first.labels, second.labels, threshold)


def image_features(against_truth: bool) -> Dict[str, Tuple[str, str]]:
    """List the measurements of an image: the engine's name and CellProfiler's type of each."""
    floats = {**FLOAT_SCORES, **TRUTH_SCORES} if against_truth else FLOAT_SCORES
    features = {name: (key, COLTYPE_INTEGER) for name, key in INTEGER_SCORES.items()}
    return {**features, **{name: (key, COLTYPE_FLOAT) for name, key in floats.items()}}


def object_features(position: int) -> Dict[str, str]:
    """List the measurements of each object of the first (0) or second (1) set with CellProfiler's type of each."""
    integers = ("Partner", "ErrorClass", "Matched", UNMATCHED[position], "Merged", "Split")
    return {**dict.fromkeys(integers, COLTYPE_INTEGER), F_IOU: COLTYPE_FLOAT}


def add_image_measurements(workspace: Any, pair: str, scores: Dict[str, Any], against_truth: bool) -> None:
    """Write the scores of an image under names that end with the names of both sets."""
    for feature, (key, _) in image_features(against_truth).items():
        workspace.measurements.add_measurement(IMAGE, f"{C_COMPARE}_{feature}_{pair}", scores[key])


def add_object_measurements(workspace: Any, names: Tuple[str, str], position: int, errors: ObjectErrors) -> None:
    """Write what became of each object of the first (0) or second (1) of two sets."""
    from nucdl_core.scores.object_errors import ErrorClass

    matched = errors.error == ErrorClass.MATCHED
    values = {
        "Partner": errors.partner,
        "ErrorClass": errors.error,
        "Matched": matched,
        UNMATCHED[position]: ~matched & (errors.error != ErrorClass.NONE),
        "Merged": errors.merged,
        "Split": errors.split,
    }
    columns = {F_IOU: errors.iou, **{feature: value.astype(np.int32) for feature, value in values.items()}}
    for feature, value in columns.items():
        name = f"{C_COMPARE}_{feature}_{names[1 - position]}"
        workspace.measurements.add_measurement(names[position], name, value)


def set_figure_data(data: Any, first: Side, second: Side, comparison: Comparison, threshold: float) -> None:
    """Hand `draw` what it needs, as arrays and text: in the window they travel from a worker process as JSON."""
    from nucdl_core.reports.overlay import error_map, error_overlay

    errors = comparison.truth, comparison.prediction
    data.outlines = error_overlay(background(first, second), first.labels, second.labels, errors)
    data.first = error_map(first.labels, comparison.truth)
    data.second = error_map(second.labels, comparison.prediction)
    data.statistics = statistics((first.name, second.name), comparison, threshold)


def background(first: Side, second: Side) -> AnyArray:
    """Give the grey image that one of the sides was found in, or a black one."""
    for side in (second, first):
        if side.image is not None and side.image.pixel_data.shape == first.labels.shape:
            return side.image.pixel_data
    return np.zeros(first.labels.shape, bool)


def statistics(names: Tuple[str, str], comparison: Comparison, threshold: float) -> List[List[str]]:
    """Sum up an image as rows of the small table beside the figure: a name and a value as text."""
    scores = comparison.scores
    return [
        [f"# of {names[0]} (A)", f"{scores['n_truth']}"],
        [f"# of {names[1]} (B)", f"{scores['n_prediction']}"],
        ["Mean F1", f"{scores['mean_f1']:.3f}"],
        *([f"F1 at IoU {at}", f"{scores[f'f1_{at}0']:.3f}"] for at in ("0.5", "0.7", "0.9")),
        ["DSB score", f"{scores['dsb_score']:.3f}"],
        [f"# matched (IoU > {threshold:g})", f"{scores['matched']}"],
        ["# of A without a match (missed)", f"{scores['missed']}"],
        ["# of B without a match (extra)", f"{scores['extra']}"],
        ["# of merges in B", f"{scores['merges']}"],
        ["# of splits in B", f"{scores['splits']}"],
    ]


def draw(figure: Any, data: Any, names: Tuple[str, str], image_number: int) -> None:
    """Draw the outlines, both sets filled, all in the colours of the error classes, and the table."""
    from matplotlib.patches import Patch

    from nucdl_core.scores.object_errors import COLOURS

    figure.set_subplots((2, 2))
    # CellProfiler takes every number above 1 for white.
    outlines, first, second = (picture / np.float32(255) for picture in (data.outlines, data.first, data.second))
    axes = figure.subplot_imshow_color(0, 0, outlines, f"Outlines, cycle #{image_number}")
    figure.subplot_imshow_color(1, 0, first, f"{names[0]} (A)", sharexy=axes)
    figure.subplot_imshow_color(0, 1, second, f"{names[1]} (B)", sharexy=axes)
    legend = [Patch(color=np.divide(colour, 255), label=kind.name.lower()) for kind, colour in COLOURS.items()]
    axes.legend(handles=legend, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=3, fontsize="small")
    values = [[value] for _, value in data.statistics]
    figure.subplot_table(1, 1, values, row_labels=[label for label, _ in data.statistics])
