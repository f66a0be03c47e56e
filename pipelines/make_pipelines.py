"""Write the example pipelines with CellProfiler's own code, so that every setting is one that CellProfiler knows.

Run it after a change of the module's settings::

    python pipelines/make_pipelines.py

The pipelines are meant to be read and changed in CellProfiler; this file only keeps them in step with each other.
"""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

from cellprofiler_core.pipeline import Pipeline
from cellprofiler_core.preferences import set_headless, set_plugin_directory
from cellprofiler_core.utilities.core.modules import fill_modules, instantiate_module

FOLDER = Path(__file__).resolve().parent
PLUGINS = FOLDER.parent / "plugins"
IMAGE = "DNA"
VIEW = "DNAView"
CLEAN = "DNAClean"
CANDIDATES = "Candidates"


class Side(NamedTuple):
    """One way to find nuclei: the module, the names that its results get, and whether more modules help it."""

    module: str
    objects: str
    suffix: str
    color: str
    advanced: bool = False


CLASSIC = Side("IdentifyPrimaryObjects", "NucleiClassic", "_classic", "#FFA500")
DEEP = Side("IdentifyNucleiDL", "Nuclei", "_deep", "#00E5FF")

CLASSIC_DIAMETERS = (20, 60)
"""The usual size at 20x. On the demonstration's plate 25-80 does as well and 10-60 far worse, so set your own range."""

ADVANCED_DIAMETERS = (6, 130)
"""Wide: one pipeline for nuclei of 7 to 94 px, as the training images show them."""

SHAPE_LIMITS = {"Solidity": 0.87, "Extent": 0.55}
"""Lowest values. Beside these two, limits of area, form factor, eccentricity or intensity gained 0.001 at most."""

PIPELINES: Dict[str, List[Side]] = {
    "classic_basic": [CLASSIC._replace(objects="Nuclei", suffix="")],
    "classic_advanced": [CLASSIC._replace(objects="Nuclei", suffix="", advanced=True)],
    "deep": [DEEP._replace(suffix="")],
    "compare": [CLASSIC, DEEP],
}
"""The objects that later tools read are called Nuclei; where both sides run, those are the deep ones."""


def main() -> None:
    """Write all pipelines beside this file."""
    set_headless()
    set_plugin_directory(str(PLUGINS), globally=False)
    fill_modules()
    for name in PIPELINES:
        (FOLDER / f"{name}.cppipe").write_text(pipeline_text(name), encoding="utf-8")


def pipeline_text(name: str) -> str:
    """Return the content of a pipeline file."""
    pipeline = Pipeline()
    for module in make_modules(PIPELINES[name]):
        module.module_num = len(pipeline.modules()) + 1
        pipeline.add_module(module)
    text = StringIO()
    pipeline.dump(text, save_image_plane_details=False)
    return text.getvalue()


def make_modules(sides: List[Side]) -> List[Any]:
    """Return the modules of a pipeline in their order."""
    modules = [load_data()]
    for side in sides:
        modules += advanced(side) if side.advanced else [identify(side)]
    modules += measure([side.objects for side in sides])
    modules += bright_copy()
    for side in sides:
        modules += [label_image(side), save_labels(side), overlay(side), save_overlay(side)]
    modules.append(export())
    return modules


def make(module_name: str, note: str, **values: Any) -> Any:
    """Make a module and give its settings their values."""
    module = instantiate_module(module_name)
    module.show_window = False
    module.notes = [note]
    for name, value in values.items():
        getattr(module, name).value = value
    return module


def load_data() -> Any:
    """Read the list of images; ``--data-file`` replaces its name on the command line."""
    note = "Lists the images: a CSV file with Image_FileName_DNA, Image_PathName_DNA and Metadata_ columns."
    return make("LoadData", note, csv_directory="Default Input Folder|", csv_file_name="load_data.csv")


def identify(side: Side) -> Any:
    """Find the nuclei. Those at the border are kept, as in the annotations that results are compared with."""
    if side.module == CLASSIC.module:
        note = "The classic way: threshold, then split. Set the diameters to those of your nuclei."
        values = {"size_range": CLASSIC_DIAMETERS, "exclude_border_objects": False}
    else:
        note = "The deep network, as it is: it estimates the size of the nuclei by itself."
        values = {"exclude_border": False}
    module = make(side.module, note, x_name=IMAGE, y_name=side.objects, **values)
    module.show_window = True
    return module


def advanced(side: Side) -> List[Any]:
    """Clean the image, find candidates, measure them and keep those that look like nuclei.

    The kinds of modules are those of the advanced pipeline of Caicedo et al. (Cytometry A 2019). Their settings are the
    best of a coordinate search: the highest mean F1 on 49 training images of the 2018 Data Science Bowl (BBBC038),
    drawn from all image sizes, none of them from the validation split.
    """
    return [*clean_image(), identify_candidates(), *measure([CANDIDATES]), filter_candidates(side)]


def clean_image() -> List[Any]:
    """Level the background, then take away noise and specks."""
    illumination, corrected, smooth = (f"{IMAGE}{name}" for name in ("Illumination", "Corrected", "Smooth"))
    calculate = make(
        "CorrectIlluminationCalculate",
        "Splines through the background, for each image by itself, since images may come from several microscopes.",
        image_name=IMAGE,
        illumination_image_name=illumination,
        each_or_all="Each",
        smoothing_method="Splines",
        rescale_option="No",
    )
    correct = make("CorrectIlluminationApply", "Subtracts the splines' slope; the mean brightness stays.")
    correct.images[0].image_name.value = IMAGE
    correct.images[0].illum_correct_function_image_name.value = illumination
    correct.images[0].corrected_image_name.value = corrected
    correct.images[0].divide_or_subtract.value = "Subtract"
    note = "Takes away noise. A window of 5 px was worse."
    median = make("MedianFilter", note, x_name=corrected, y_name=smooth, window=3)
    note = "Takes away specks and thin bridges. Disks of 2 and 3 px were worse."
    opening = make("Opening", note, x_name=smooth, y_name=CLEAN, structuring_element="Disk,1")
    return [calculate, correct, median, opening]


def identify_candidates() -> Any:
    """Find whatever is brighter than the background, split by shape. Candidates at the border are kept."""
    note = (
        "Otsu's threshold of the whole image, a tenth lower and without smoothing; clumps are split by shape, at"
        " centres at least 8 px apart. If your nuclei are of one size, set the diameters to theirs."
    )
    values = {"size_range": ADVANCED_DIAMETERS, "exclude_border_objects": False, "use_advanced": True}
    declumping = {"unclump_method": "Shape", "watershed_method": "Shape"}
    distance = {"automatic_suppression": False, "maxima_suppression_size": 8.0}
    module = make(CLASSIC.module, note, x_name=CLEAN, y_name=CANDIDATES, **values, **declumping, **distance)
    module.threshold.global_operation.value = "Otsu"
    module.threshold.threshold_correction_factor.value = 0.9
    module.threshold.threshold_smoothing_scale.value = 0.0
    module.show_window = True
    return module


def filter_candidates(side: Side) -> Any:
    """Keep the candidates with the shape of a nucleus."""
    note = (
        "Drops ragged candidates: clumps that were not split, dirt, background. To set limits of your own, look at"
        " Candidates.csv: Children_Nuclei_Count is 0 where a candidate was dropped."
    )
    module = make("FilterObjects", note, x_name=CANDIDATES, y_name=side.objects)
    module.add_measurement()
    for group, (feature, lowest) in zip(module.measurements, SHAPE_LIMITS.items()):
        group.measurement.value = f"AreaShape_{feature}"
        group.min_limit.value = lowest
        group.wants_maximum.value = False
    return module


def measure(objects: List[str]) -> List[Any]:
    """Measure kinds of objects."""
    names = ", ".join(objects)
    return [
        make("MeasureObjectSizeShape", "Area, shape.", objects_list=names, calculate_zernikes=False),
        make("MeasureObjectIntensity", "Intensity.", images_list=IMAGE, objects_list=names),
    ]


def bright_copy() -> List[Any]:
    """Stretch the image and raise its dark parts (gamma 0.5): dim nuclei are to be seen beside bright ones."""
    stretch = make("RescaleIntensity", "A copy to look at: the full range.", x_name=IMAGE, y_name=f"{VIEW}Linear")
    values = {"operation": "None", "exponent": 0.5, "output_image_name": VIEW}
    gamma = make("ImageMath", "A copy to look at: dim nuclei are raised.", **values)
    gamma.images[0].image_name.value = f"{VIEW}Linear"
    return [stretch, gamma]


def label_image(side: Side) -> Any:
    """Turn the objects into an image of their numbers."""
    return make(
        "ConvertObjectsToImage",
        "Each pixel holds the number of its nucleus.",
        object_name=side.objects,
        image_name=f"{side.objects}Labels",
        image_mode="uint16",
    )


def save_labels(side: Side) -> Any:
    """Save the numbers under names that ``nucdl evaluate`` pairs with the truth."""
    return save(
        "Label images, for nucdl evaluate and for ImageJ.",
        f"{side.objects}Labels",
        f"labels{side.suffix}",
        suffix="_labels",
        file_format="tiff",
        bit_depth="16-bit integer",
    )


def overlay(side: Side) -> Any:
    """Draw the outlines of the nuclei on the bright copy of the image."""
    module = make(
        "OverlayOutlines", "Outlines to look at.", image_name=VIEW, output_image_name=f"{side.objects}Overlay"
    )
    module.outlines[0].color.value = side.color
    module.outlines[0].objects_name.value = side.objects
    return module


def save_overlay(side: Side) -> Any:
    """Save the overlay as a picture."""
    return save(
        "Pictures to look at.", f"{side.objects}Overlay", f"overlays{side.suffix}", suffix="_overlay", file_format="png"
    )


def save(note: str, image_name: str, folder: str, suffix: str, **values: str) -> Any:
    """Save an image in a folder of its own, under the name of the image it was made from."""
    return make(
        "SaveImages",
        note,
        image_name=image_name,
        file_image_name=IMAGE,
        wants_file_name_suffix=True,
        file_name_suffix=suffix,
        pathname=f"Default Output Folder sub-folder|{folder}",
        overwrite=True,
        **values,
    )


def export() -> Any:
    """Write the tables: Image.csv, one table per kind of nuclei and Experiment.csv."""
    return make(
        "ExportToSpreadsheet",
        "The tables: Image.csv and one for the nuclei.",
        add_metadata=True,
        wants_prefix=False,
        wants_overwrite_without_warning=True,
    )


if __name__ == "__main__":
    sys.exit(main())
