"""What TTARefine alone translates between CellProfiler and the engine: the call, relations, the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Tuple

import numpy as np
from _nucdl_engine import engine
from _nucdl_figure import Rows, draw_nuclei
from _nucdl_images import GreyImage, naming_the_file
from _nucdl_measurements import F_AGREEMENT
from _nucdl_objects import LabelSets, labels_without_overlaps
from _nucdl_progress import tile_progress
from _nucdl_workers import share_cores
from cellprofiler_core.constants.measurement import FF_CHILDREN_COUNT, FF_PARENT
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cellprofiler.gui.figure import Figure
    from cellprofiler_core.object import Objects
    from cellprofiler_core.workspace import Workspace

    from nucdl_core.arrays import Floats, Labels
    from nucdl_core.refine import Refined

F_CONTOUR_SHIFT = "ContourShift"
F_PROBABILITY_MEAN = "ProbabilityMean"
FEATURES = (F_AGREEMENT, F_CONTOUR_SHIFT, F_PROBABILITY_MEAN)


def refine_objects(image: GreyImage, objects: Objects, config: Mapping[str, Any]) -> Refined:
    """Run the engine on CellProfiler's objects and their image.

    Parameters
    ----------
    image : GreyImage
    objects : Objects
        Of the same size in pixels, without overlaps.
    config : mapping of str to any
        Values of the engine's configuration.

    Returns
    -------
    Refined

    Raises
    ------
    ImageError
        If the image or the objects cannot be used; the error names the file that the image came from.
    BundleError, DeviceError, OutOfMemoryError
        If the model, the device or its memory cannot.
    """
    share_cores()
    with naming_the_file(image):
        given = labels_without_overlaps(objects, "the objects")
        progress = tile_progress("Refining nuclei")
        return engine().refine_objects(image.pixels, given, config, image.mask, progress=progress)


def label_sets(given: Objects, refined: Refined) -> LabelSets:
    """Return the three label images of refined nuclei: what was discarded beside the given objects stays discarded."""
    labels = refined.labels
    discarded = (given.unedited_segmented > 0) & (given.segmented == 0) & (labels == 0)
    others = engine().relabel(np.where(discarded, given.unedited_segmented, 0))
    unedited = np.where(discarded, refined.count + others, labels)
    small_removed = np.where((given.small_removed_segmented > 0) | (labels > 0), unedited, 0)
    return LabelSets(labels, unedited, small_removed)


def add_relations(workspace: Workspace, given_name: str, name: str, refined: Refined) -> None:
    """Write which of the given objects each refined nucleus stems from, and how many nuclei stem from each object.

    CellProfiler's own way to relate objects makes a table of all parents by all children: 13 GB for 40,000 of each.
    """
    given = workspace.object_set.get_objects(given_name)
    children = children_counts(refined, given.count)
    workspace.measurements.add_measurement(given_name, FF_CHILDREN_COUNT % name, children)
    workspace.measurements.add_measurement(name, FF_PARENT % given_name, refined.parents)


def children_counts(refined: Refined, given_count: int) -> NDArray[np.int64]:
    """Count the refined nuclei that stem from each of the given objects: int64 array (given_count,)."""
    return np.bincount(refined.parents, minlength=given_count + 1)[1:]


def measured(refined: Refined) -> Dict[str, Floats]:
    """Return what only the engine knows about each nucleus: a float32 array (N,) for each feature."""
    return dict(zip(FEATURES, (refined.agreement, refined.shift, refined.probability_mean)))


def set_figure(data: Any, image: GreyImage, given: Labels, refined: Refined) -> None:
    """Leave in a workspace's display data what `draw_figure` needs; `given` are the labels before, (H, W)."""
    data.image = image.pixels
    data.given = given
    data.labels = refined.labels
    data.statistics = statistics(int(given.max(initial=0)), refined)


def statistics(given_count: int, refined: Refined) -> Rows:
    """Sum up an image in the table of the figure."""
    children = children_counts(refined, given_count)
    rows = [
        ["# of input objects", f"{given_count}"],
        ["# of refined objects", f"{refined.count}"],
        ["# of objects split", f"{np.count_nonzero(children > 1)}"],
        ["# of objects merged or removed", f"{np.count_nonzero(children == 0)}"],
        ["# of nuclei added", f"{np.count_nonzero(refined.parents == 0)}"],
    ]
    for name, values, unit in (
        ("Median contour shift", refined.shift, " pixels"),
        ("Median agreement", refined.agreement, ""),
        ("Median probability", refined.probability_mean, ""),
    ):
        known = values[~np.isnan(values)]
        if known.size:
            rows.append([name, f"{np.median(known):.2f}{unit}"])
    return rows


def draw_figure(figure: Figure, data: Any, names: Tuple[str, str], cycle: int) -> None:
    """Draw what `set_figure` has left, about the given and the refined objects, in the image set number `cycle`."""
    given_name, name = names
    titles = (f"Input image, cycle #{cycle}", name, "Old and new outlines")
    draw_nuclei(figure, data, titles, [(name, data.labels), (given_name, data.given)])
