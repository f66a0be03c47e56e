"""What NucDL's modules share: the translation between CellProfiler and the engine.

CellProfiler hides a module whose file cannot be imported. So nothing here needs the engine (or torch) to be
imported; `engine_problem` says in words what is missing, and the modules show it in their settings.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

import numpy as np
from cellprofiler_core.constants.measurement import COLTYPE_FLOAT, IMAGE
from cellprofiler_core.image import Image
from cellprofiler_core.object import Objects
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nucdl_core.arrays import Mask
    from nucdl_core.config import SegmentConfig
    from nucdl_core.filters import FilteredNuclei

C_NUCDL = "NucDL"
F_CONFIDENCE = "Confidence"
F_DIAMETER = "Diameter"
M_CONFIDENCE = f"{C_NUCDL}_{F_CONFIDENCE}"

FALLBACK_MODEL = "nuclei_unet"
"""The model that a module offers while the engine, which knows the bundled models, is missing."""


@functools.lru_cache(maxsize=1)
def engine_problem() -> Optional[str]:
    """Say why the engine cannot be used in this Python, or None when it can.

    Cheap enough for every key press: torch is looked for but not imported, and the answer is kept.
    """
    try:
        import nucdl_core.bundle
        import nucdl_core.config
        import nucdl_core.filters  # noqa: F401

        missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    except ImportError as error:
        return _install_hint(str(error))
    return _install_hint(f"No module named {missing[0]!r}") if missing else None


def _install_hint(problem: str) -> str:
    return (
        f"NucDL's engine does not work in the Python that runs CellProfiler ({problem}). Install it there with "
        f"'{sys.executable} -m pip install FOLDER_OF_NUCDL' and start CellProfiler again."
    )


def bundled_models() -> Tuple[str, ...]:
    """Name the bundled models, the default one first."""
    if engine_problem() is not None:
        return (FALLBACK_MODEL,)
    from nucdl_core.bundle import list_bundles
    from nucdl_core.config import DEFAULT_MODEL

    return (DEFAULT_MODEL,) + tuple(name for name in list_bundles() if name != DEFAULT_MODEL)


def check_model_and_device(config: SegmentConfig) -> None:
    """Check that the model is unaltered and the device is there, without loading the model.

    torch is imported only where a GPU is asked for.
    """
    from nucdl_core.bundle import find_bundle, read_bundle

    read_bundle(find_bundle(config.model))
    if config.device == "cuda":
        from nucdl_core.device import resolve_device

        resolve_device(config.device)


def is_first_of_its_kind(module: Any, pipeline: Any) -> bool:
    """Tell whether no module of the same kind stands before this one in the pipeline."""
    same = [other for other in pipeline.modules() if other.module_name == module.module_name]
    return all(other.module_num >= module.module_num for other in same)


def diameter_measurement(module: Any, pipeline: Any) -> str:
    """Name the measurement of the typical diameter: ``NucDL_Diameter``.

    Further modules of the same kind, which would overwrite it, add the name of their objects to it.
    """
    name = f"{C_NUCDL}_{F_DIAMETER}"
    return name if is_first_of_its_kind(module, pipeline) else f"{name}_{module.y_name.value}"


def measurement_columns(module: Any, pipeline: Any) -> List[Tuple[str, str, str]]:
    """List the columns that `add_measurements` writes."""
    return [
        (module.y_name.value, M_CONFIDENCE, COLTYPE_FLOAT),
        (IMAGE, diameter_measurement(module, pipeline), COLTYPE_FLOAT),
    ]


def input_image(workspace: Any, name: str) -> Tuple[Any, NDArray[np.float32], Optional[Mask]]:
    """Take a grey image from the image set.

    Returns
    -------
    image : cellprofiler_core.image.Image
    pixels : float32 array (H, W)
        As CellProfiler scales them, usually 0 to 1.
    mask : bool array (H, W) or None
        True where the image is valid; None where it has no mask.
    """
    image = workspace.image_set.get_image(name, must_be_grayscale=True)
    return image, image.pixel_data.astype(np.float32, copy=False), image.mask if image.has_mask else None


def find_nuclei(image: Any, pixels: NDArray[np.float32], mask: Optional[Mask], config: SegmentConfig) -> FilteredNuclei:
    """Run the engine on an image; an error about its content names the file it came from."""
    from nucdl_core.errors import ImageError
    from nucdl_core.filters import filter_nuclei
    from nucdl_core.segment import segment_unfiltered
    from nucdl_core.source import check_source

    path = source_path(image)
    try:
        check_source(path)
        if min(pixels.shape) < 2:
            # CellProfiler fails on such objects with an error that nobody understands.
            height, width = pixels.shape
            raise ImageError(f"CellProfiler keeps no objects of {height} x {width} pixels; leave this image out")
        return filter_nuclei(segment_unfiltered(pixels, config, mask), config, mask)
    except ImageError as error:
        raise ImageError(f"{path}: {error}" if path else str(error)) from error


def source_path(image: Any) -> str:
    """Return the path of the file that an image was loaded or derived from, "" where there is none."""
    return os.path.join(image.path_name or "", image.file_name or "")


def add_objects(workspace: Any, name: str, image: Any, nuclei: FilteredNuclei) -> None:
    """Store nuclei as CellProfiler's objects, with the three label sets of IdentifyPrimaryObjects."""
    objects = Objects()
    objects.segmented = nuclei.segmentation.labels
    objects.unedited_segmented = nuclei.unedited
    objects.small_removed_segmented = nuclei.small_removed
    objects.parent_image = image
    workspace.object_set.add_objects(objects, name)


def add_measurements(workspace: Any, module: Any, nuclei: FilteredNuclei) -> None:
    """Write what only the engine knows: the confidence of each nucleus and the typical diameter."""
    diameter = diameter_measurement(module, workspace.pipeline)
    workspace.measurements.add_measurement(module.y_name.value, M_CONFIDENCE, nuclei.segmentation.scores)
    workspace.measurements.add_measurement(IMAGE, diameter, float(nuclei.segmentation.diameter))


def add_probability_image(workspace: Any, name: str, image: Any, nuclei: FilteredNuclei) -> None:
    """Store the probability map as an image that inherits the mask and the cropping of its parent."""
    workspace.image_set.add(name, Image(nuclei.segmentation.probability, parent_image=image, convert=False))


def set_figure_data(data: Any, pixels: NDArray[np.float32], nuclei: FilteredNuclei) -> None:
    """Hand `draw` what it needs, as arrays and text: in the window they travel from a worker process as JSON."""
    data.image = pixels
    data.labels = nuclei.segmentation.labels
    data.size_excluded = nuclei.size_excluded
    data.border_excluded = nuclei.border_excluded
    data.statistics = statistics(nuclei)


def statistics(nuclei: FilteredNuclei) -> List[List[str]]:
    """Sum up an image as rows of the small table beneath the figure: a name and a value as text."""
    from nucdl_core.labels import equivalent_diameters

    found = nuclei.segmentation
    rows = [
        ["# of accepted nuclei", f"{found.count}"],
        ["# discarded at the border", f"{int(nuclei.at_border.sum())}"],
        ["# discarded for their size", f"{int(((nuclei.too_small | nuclei.too_large) & ~nuclei.at_border).sum())}"],
    ]
    if not np.isnan(found.diameter):
        rows.append(["Typical diameter used", f"{found.diameter:.1f} pixels"])
    if found.count:
        low, median, high = np.percentile(equivalent_diameters(found.labels), (10, 50, 90))
        rows += [
            ["10th pctile diameter", f"{low:.1f} pixels"],
            ["Median diameter", f"{median:.1f} pixels"],
            ["90th pctile diameter", f"{high:.1f} pixels"],
            ["Area covered by nuclei", f"{100 * np.count_nonzero(found.labels) / found.labels.size:.1f} %"],
            ["Mean confidence", f"{found.scores.mean():.2f}"],
        ]
    return rows


def draw(figure: Any, data: Any, name: str, image_number: int) -> None:
    """Draw the input, the labels, the outlines and the table where IdentifyPrimaryObjects draws its own."""
    figure.set_subplots((2, 2))
    axes = figure.subplot_imshow_grayscale(0, 0, data.image, f"Input image, cycle #{image_number}")
    figure.subplot_imshow_labels(1, 0, data.labels, name, sharexy=axes)
    outlines = [
        {"name": name, "labels": [data.labels]},
        {"name": "Nuclei filtered out by size", "labels": [data.size_excluded]},
        {"name": "Nuclei touching border", "labels": [data.border_excluded]},
    ]
    figure.subplot_imshow_grayscale(0, 1, data.image, f"{name} outlines", cplabels=outlines, sharexy=axes)
    values = [[value] for _, value in data.statistics]
    figure.subplot_table(1, 1, values, row_labels=[label for label, _ in data.statistics])
