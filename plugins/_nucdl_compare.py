"""What CompareNuclei alone translates between CellProfiler and the engine: both sides, measurements, the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Tuple

import numpy as np
from _nucdl_engine import engine
from _nucdl_errors import ImageError
from _nucdl_figure import Rows, draw_table
from _nucdl_images import source_path
from _nucdl_label_images import numbers_of
from _nucdl_objects import labels_without_overlaps
from cellprofiler_core.constants.measurement import COLTYPE_FLOAT, COLTYPE_INTEGER

if TYPE_CHECKING:
    from cellprofiler.gui.figure import Figure
    from cellprofiler_core.image import Image
    from cellprofiler_core.workspace import Workspace

    from nucdl_core.arrays import AnyArray, Labels
    from nucdl_core.scores.compare import Comparison
    from nucdl_core.scores.object_errors import ObjectErrors

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


class Side(NamedTuple):
    """One of the two sets that are compared.

    Attributes
    ----------
    name : str
        Of the objects or of the label image.
    labels : int32 array (H, W)
        Gaps in the numbers are allowed.
    image : Image or None
        The image that the objects were found in, if it is known.
    """

    name: str
    labels: Labels
    image: Image


def side_of_objects(workspace: Workspace, name: str) -> Side:
    """Take one side from CellProfiler's objects; raises `ImageError` if they overlap."""
    objects = workspace.object_set.get_objects(name)
    return Side(name, labels_without_overlaps(objects, f"the objects {name}"), objects.parent_image)


def side_of_label_image(workspace: Workspace, name: str) -> Side:
    """Take one side from a label image that CellProfiler has loaded as an image; raises `ImageError` if it is none."""
    image = workspace.image_set.get_image(name)
    try:
        return Side(name, numbers_of(image.pixel_data, image.scale), None)
    except ImageError as error:
        raise ImageError(f"{source_path(image) or name}: {error}") from error


def compare_sides(first: Side, second: Side, threshold: float) -> Comparison:
    """Compare two sides with the engine.

    Parameters
    ----------
    first, second : Side
        The first one stands for the truth.
    threshold : float
        IoU above which two nuclei match, in [0.5, 1).

    Returns
    -------
    Comparison

    Raises
    ------
    ImageError
        If the sides differ in size.
    """
    if first.labels.shape != second.labels.shape:
        sizes = " and ".join(f"{side.name} has {' x '.join(map(str, side.labels.shape))}" for side in (first, second))
        raise ImageError(f"{sizes} pixels (height x width); compare nuclei of one image, cropped in the same way")
    return engine().compare(first.labels, second.labels, threshold)


def image_features(against_truth: bool) -> Dict[str, str]:
    """List the measurements of an image, with CellProfiler's type of each column."""
    return {**dict.fromkeys(INTEGER_SCORES, COLTYPE_INTEGER), **dict.fromkeys(_floats(against_truth), COLTYPE_FLOAT)}


def image_values(scores: Dict[str, Any], against_truth: bool) -> Dict[str, Any]:
    """Return the value of each measurement of an image, from the scores of a `Comparison`."""
    return {feature: scores[key] for feature, key in {**INTEGER_SCORES, **_floats(against_truth)}.items()}


def _floats(against_truth: bool) -> Dict[str, str]:
    return {**FLOAT_SCORES, **TRUTH_SCORES} if against_truth else FLOAT_SCORES


def object_features(position: int) -> Dict[str, str]:
    """List the measurements of each object of the first (0) or second (1) set, with CellProfiler's types."""
    integers = ("Partner", "ErrorClass", "Matched", UNMATCHED[position], "Merged", "Split")
    return {**dict.fromkeys(integers, COLTYPE_INTEGER), F_IOU: COLTYPE_FLOAT}


def object_values(position: int, errors: ObjectErrors) -> Dict[str, AnyArray]:
    """Return the values of each measurement of the first (0) or second (1) set: arrays (N,), int32 but for the IoU."""
    integers: Dict[str, AnyArray] = {
        "Partner": errors.partner,
        "ErrorClass": errors.error,
        "Matched": errors.matched,
        UNMATCHED[position]: errors.unmatched,
        "Merged": errors.merged,
        "Split": errors.split,
    }
    return {**{feature: values.astype(np.int32) for feature, values in integers.items()}, F_IOU: errors.iou}


def set_figure(data: Any, sides: Tuple[Side, Side], comparison: Comparison, threshold: float) -> None:
    """Leave in a workspace's display data what `draw_figure` needs."""
    first, second = sides
    drawn = engine().error_pictures(background(first, second), first.labels, second.labels, comparison)
    data.outlines, data.first, data.second = drawn.outlines, drawn.first, drawn.second
    data.colours = engine().error_colours()
    data.statistics = statistics((first.name, second.name), comparison, threshold)


def background(first: Side, second: Side) -> AnyArray:
    """Return the grey image (H, W) that one of the sides was found in, or a black one."""
    for side in (second, first):
        if side.image is not None and side.image.pixel_data.shape == first.labels.shape:
            return side.image.pixel_data
    return np.zeros(first.labels.shape, bool)


def statistics(names: Tuple[str, str], comparison: Comparison, threshold: float) -> Rows:
    """Sum up an image in the table of the figure."""
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


def draw_figure(figure: Figure, data: Any, names: Tuple[str, str], cycle: int) -> None:
    """Draw the outlines, both sets filled, all in the colors of the error classes, and the table.

    Parameters
    ----------
    figure : cellprofiler.gui.figure.Figure
    data : workspace's display data
        As `set_figure` has left it.
    names : (str, str)
        Of both sets.
    cycle : int
        Number of the image set.
    """
    from matplotlib.patches import Patch

    figure.set_subplots((2, 2))
    # CellProfiler takes every number above 1 for white.
    outlines, first, second = (picture / np.float32(255) for picture in (data.outlines, data.first, data.second))
    axes = figure.subplot_imshow_color(0, 0, outlines, f"Outlines, cycle #{cycle}")
    figure.subplot_imshow_color(1, 0, first, f"{names[0]} (A)", sharexy=axes)
    figure.subplot_imshow_color(0, 1, second, f"{names[1]} (B)", sharexy=axes)
    legend = [Patch(color=np.divide(colour, 255), label=name) for name, colour in data.colours]
    axes.legend(handles=legend, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=3, fontsize="small")
    draw_table(figure, data.statistics)
