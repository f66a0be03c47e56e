"""What AnnotateNuclei alone translates between CellProfiler and the engine: names, the window's data, the figure.

Between `window_data` and `answered` lies the way from the worker, which has the image, to CellProfiler's window, which
has the mouse: only arrays, numbers and texts go along it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np
from _nucdl_engine import engine
from _nucdl_errors import AnnotationError, NucDLError
from _nucdl_figure import Rows, draw_nuclei
from _nucdl_images import GreyImage, naming_the_file, source_path
from _nucdl_objects import LabelSets, labels_without_overlaps
from _nucdl_progress import tile_progress
from _nucdl_workers import share_cores

if TYPE_CHECKING:
    from cellprofiler.gui.figure import Figure
    from cellprofiler_core.object import Objects
    from cellprofiler_core.workspace import Workspace

    from nucdl_core.annotate.folder import Saved
    from nucdl_core.arrays import Labels

F_CLASS = "Class"
F_FINISHED = "Finished"
FINISHED = "finished"
"""The engine's word for the state of an image that is finished."""
NO_WINDOW = (
    "The window of AnnotateNuclei follows the mouse, and for that needs NucDL in the Python that runs CellProfiler; "
    "here NucDL is in another one. Annotate with a CellProfiler and NucDL in one environment (docs/installing.md), or "
    "in another program whose annotations 'nucdl convert' reads. Without a window, this module takes what was saved."
)
"""Said where only the engine's answers can be had."""
MOST_CLASSES = 9
"""As many as there are digits to give them with."""

Plain = Dict[str, Any]
"""Arrays, numbers and texts by name."""


class Outcome(NamedTuple):
    """The annotation of one image, as the module hands it on.

    Attributes
    ----------
    labels : int32 array (H, W)
        1..N without gaps.
    classes : dict of int to str
        The class of each nucleus that has one.
    finished : bool
        Whether it has been saved as finished.
    """

    labels: Labels
    classes: Dict[int, str]
    finished: bool


def class_names(text: str) -> List[str]:
    """Take apart the list of classes that a person enters."""
    return [" ".join(name.split()) for name in text.split(",") if name.strip()]


def image_name(workspace: Workspace, image: GreyImage, pattern: str) -> str:
    """Return the name under which an image is saved.

    Parameters
    ----------
    workspace : Workspace
    image : GreyImage
    pattern : str
        With metadata tags; empty for the name of the image's file.

    Returns
    -------
    str
        Of an image without a file, its number.
    """
    number = workspace.measurements.image_set_number
    if pattern:
        return str(workspace.measurements.apply_metadata(pattern, number))
    file = os.path.basename(source_path(image.source))
    return os.path.splitext(file)[0] or f"image{number:05d}"


def load_saved(folder: str, names: Sequence[str], name: str, image: GreyImage) -> Optional[Saved]:
    """Load what has been saved of an image in a folder, with these classes; errors name its file."""
    with naming_the_file(image):
        return engine().saved_annotation(folder, names, name, stored(image))


def stored(image: GreyImage) -> Any:
    """Return an image as it is saved beside its annotation: with the whole numbers of its file where it has them."""
    return engine().stored_image(image.pixels, image.source.scale)


def window_data(
    image: GreyImage, name: str, start: Optional[Objects], saved: Optional[Saved], config: Optional[Plain]
) -> Plain:
    """Collect what the window needs to know about an image.

    Parameters
    ----------
    image : GreyImage
    name : str
        Under which it is saved.
    start : Objects or None
        The nuclei to begin with, where none have been saved.
    saved : Saved or None
    config : Plain or None
        How the model looks at the image; None without a model.

    Returns
    -------
    Plain

    Raises
    ------
    ImageError
        If the image or the objects cannot be used; the error names the file that the image came from.
    BundleError, DeviceError, OutOfMemoryError
        If the model, the device or its memory cannot.
    """
    labels, classes = _beginning(image, start, saved)
    data = {
        "name": name,
        "image": stored(image),
        "labels": labels,
        "class_numbers": list(classes),
        "class_names": list(classes.values()),
        "state": saved.state if saved else "",
    }
    return data if config is None else {**data, **_seen_by_model(image, config)}


def _beginning(image: GreyImage, start: Optional[Objects], saved: Optional[Saved]) -> Any:
    if saved is not None:
        return saved.annotated.labels, saved.annotated.classes
    if start is None:
        return np.zeros(image.pixels.shape, np.int32), {}
    with naming_the_file(image):
        return engine().relabel(labels_without_overlaps(start, "the objects to start with")), {}


def _seen_by_model(image: GreyImage, config: Plain) -> Plain:
    """Run the model once: its probability, its nuclei, and its threshold."""
    share_cores()
    with naming_the_file(image):
        seen = engine().look(image.pixels, config, image.mask, progress=tile_progress("Looking at the image"))
    return {"probability": seen.probability, "nuclei": seen.nuclei, "threshold": seen.threshold}


def no_annotation(folder: str, name: str, is_draft: bool) -> Exception:
    """Return the error of an image that is not finished, where no window can be opened."""
    found = "has only a draft" if is_draft else "has no annotation"
    error: Exception = AnnotationError(
        f"the image {name} {found} in {folder}, and without windows it cannot be annotated; finish it in "
        "CellProfiler's window, or leave it out"
    )
    return error


def answered(answer: Any) -> Outcome:
    """Take what the window has sent back.

    Parameters
    ----------
    answer : Plain
        The annotation as it was saved last, or as it was where nothing has been saved; see `_nucdl_annotate_window`.

    Returns
    -------
    Outcome

    Raises
    ------
    NucDLError
        If the window has failed: CellProfiler sends an empty text then.
    """
    if not isinstance(answer, Mapping):
        raise NucDLError("the window of AnnotateNuclei has failed; CellProfiler's log tells why")
    classes = dict(zip((int(number) for number in answer["class_numbers"]), answer["class_names"]))
    return Outcome(answer["labels"].astype(np.int32), classes, answer["state"] == FINISHED)


def measured(outcome: Outcome, names: Sequence[str]) -> Dict[str, Any]:
    """Return the class of each nucleus: its place in the list, from 1, and 0 for none; int32 array (N,)."""
    places = np.zeros(int(outcome.labels.max(initial=0)), np.int32)
    for number, name in outcome.classes.items():
        places[number - 1] = names.index(name) + 1
    return {F_CLASS: places}


def label_sets(labels: Labels) -> LabelSets:
    """Return the three label images of CellProfiler: a person discards nothing half-way."""
    return LabelSets(labels, labels, labels)


def set_figure(data: Any, image: GreyImage, outcome: Outcome, names: Sequence[str]) -> None:
    """Leave in a workspace's display data what `draw_figure` needs."""
    data.image = image.pixels
    data.labels = outcome.labels
    data.statistics = statistics(outcome, names)
    data.warnings = []


def statistics(outcome: Outcome, names: Sequence[str]) -> Rows:
    """Sum up an image in the table of the figure."""
    given, count = list(outcome.classes.values()), int(outcome.labels.max(initial=0))
    rows = [
        ["# of nuclei", f"{count}"],
        ["Finished", "yes" if outcome.finished else "no"],
        *([f"# of {name}", f"{given.count(name)}"] for name in names),
    ]
    return [*rows, ["# without a class", f"{count - len(given)}"]] if names else rows


def draw_figure(figure: Figure, data: Any, name: str, cycle: int) -> None:
    """Draw what `set_figure` has left, about the objects called `name`, in the image set number `cycle`."""
    draw_nuclei(figure, data, (f"Input image, cycle #{cycle}", name, f"{name} outlines"), [(name, data.labels)])
