"""What IdentifyNucleiDL alone translates between CellProfiler and the engine: the call, measurements, the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping

import numpy as np
from _nucdl_engine import engine
from _nucdl_figure import Rows, draw_nuclei
from _nucdl_images import GreyImage, naming_the_file
from _nucdl_measurements import F_AGREEMENT
from _nucdl_objects import LabelSets, only
from _nucdl_progress import tile_progress
from _nucdl_workers import share_cores
from cellprofiler_core.image import Image

if TYPE_CHECKING:
    from cellprofiler.gui.figure import Figure
    from cellprofiler_core.workspace import Workspace

    from nucdl_core.model.doubt import Doubt
    from nucdl_core.steps.filters import FilteredNuclei

PRESETS = {"Fast": "fast", "Balanced": "balanced", "Best": "best"}
"""What is offered for speed or accuracy, with the engine's word for each."""

CUSTOM = "Custom"
"""The choice beside the presets: the settings that a preset stands for are shown."""

F_CONFIDENCE = "Confidence"
F_MICRONUCLEUS = "Micronucleus"
F_DIAMETER = "Diameter"
F_DOUBT = "Doubt"
F_DOUBT_REASON = "DoubtReason"


def find_nuclei(image: GreyImage, config: Mapping[str, Any]) -> FilteredNuclei:
    """Run the engine on an image.

    Parameters
    ----------
    image : GreyImage
    config : mapping of str to any
        Values of the engine's configuration.

    Returns
    -------
    FilteredNuclei
        The nuclei that were kept, and which were discarded for what reason.

    Raises
    ------
    ImageError
        If the image cannot be used; the error names the file that it came from.
    BundleError, DeviceError, OutOfMemoryError
        If the model, the device or its memory cannot.
    """
    share_cores()
    with naming_the_file(image):
        return engine().find_nuclei(image.pixels, config, image.mask, progress=tile_progress("Finding nuclei"))


def label_sets(nuclei: FilteredNuclei) -> LabelSets:
    """Return the three label images that IdentifyPrimaryObjects stores."""
    return LabelSets(nuclei.segmentation.labels, nuclei.unedited, nuclei.small_removed)


def measured(nuclei: FilteredNuclei) -> Dict[str, Any]:
    """Return what only the engine knows about each nucleus: an array (N,) for each feature.

    The agreement is None where there was one view; it is not among the features of the module then.
    """
    found = nuclei.segmentation
    flags = found.micronuclei.astype(np.int32)
    return {F_CONFIDENCE: found.scores, F_AGREEMENT: found.agreement, F_MICRONUCLEUS: flags}


def measured_of_image(diameter: float, doubt: Doubt) -> Dict[str, Any]:
    """Return what only the engine knows about the image: a number or text for each feature."""
    return {F_DIAMETER: diameter, F_DOUBT: doubt.value, F_DOUBT_REASON: doubt.reason}


def add_probability_image(workspace: Workspace, name: str, source: Image, nuclei: FilteredNuclei) -> None:
    """Store the probability map as an image that inherits the mask and the cropping of its parent `source`."""
    workspace.image_set.add(name, Image(nuclei.segmentation.probability, parent_image=source, convert=False))


def set_figure(data: Any, image: GreyImage, nuclei: FilteredNuclei) -> None:
    """Leave in a workspace's display data what `draw_figure` needs."""
    data.image = image.pixels
    data.labels = nuclei.segmentation.labels
    data.inside_excluded = only(nuclei.unedited, nuclei.discarded_inside)
    data.border_excluded = only(nuclei.unedited, nuclei.at_border)
    data.statistics = statistics(nuclei)


def statistics(nuclei: FilteredNuclei) -> Rows:
    """Sum up an image in the table of the figure."""
    found = nuclei.segmentation
    of_wrong_size = (nuclei.too_small | nuclei.too_large) & ~nuclei.at_border
    rows = [
        ["# of accepted nuclei", f"{found.count}"],
        ["# discarded at the border", f"{np.count_nonzero(nuclei.at_border)}"],
        ["# discarded for their size", f"{np.count_nonzero(of_wrong_size)}"],
    ]
    if nuclei.doubtful.any():
        rows.append(["# discarded as doubtful", f"{np.count_nonzero(nuclei.doubtful & ~nuclei.at_border)}"])
    if not np.isnan(found.diameter):
        rows.append(["Typical diameter", f"{found.diameter:.1f} pixels"])
    if found.count:
        low, median, high = np.percentile(engine().equivalent_diameters(found.labels), (10, 50, 90))
        rows += [
            ["10th pctile diameter", f"{low:.1f} pixels"],
            ["Median diameter", f"{median:.1f} pixels"],
            ["90th pctile diameter", f"{high:.1f} pixels"],
            ["Area covered by nuclei", f"{100 * np.count_nonzero(found.labels) / found.labels.size:.1f} %"],
            ["Mean confidence", f"{found.scores.mean():.2f}"],
        ]
    return rows


def draw_figure(figure: Figure, data: Any, name: str, cycle: int) -> None:
    """Draw what `set_figure` has left, about the objects called `name`, in the image set number `cycle`."""
    outlines = [
        (name, data.labels),
        ("Nuclei filtered out by size or confidence", data.inside_excluded),
        ("Nuclei touching border", data.border_excluded),
    ]
    draw_nuclei(figure, data, (f"Input image, cycle #{cycle}", name, f"{name} outlines"), outlines)
