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


class Side(NamedTuple):
    """One way to find nuclei: the module and the names that its results get."""

    module: str
    objects: str
    suffix: str
    color: str


CLASSIC = Side("IdentifyPrimaryObjects", "NucleiClassic", "_classic", "#FFA500")
DEEP = Side("IdentifyNucleiDL", "Nuclei", "_deep", "#00E5FF")

CLASSIC_DIAMETERS = (20, 60)
"""The usual size at 20x. On the demonstration's plate 25-80 does as well and 10-60 far worse, so set your own range."""

PIPELINES: Dict[str, List[Side]] = {
    "classic_basic": [CLASSIC._replace(objects="Nuclei", suffix="")],
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
    modules += [identify(side) for side in sides]
    names = ", ".join(side.objects for side in sides)
    modules.append(make("MeasureObjectSizeShape", "Area, shape.", objects_list=names, calculate_zernikes=False))
    modules.append(make("MeasureObjectIntensity", "Intensity.", images_list=IMAGE, objects_list=names))
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
