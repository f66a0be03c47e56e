"""Write the example pipelines with CellProfiler's own code, so that every setting is one that CellProfiler knows.

Run it after the settings of a module have changed::

    python pipelines/make_pipelines.py

The pipelines are meant to be read and changed in CellProfiler; this file only keeps them consistent with each other.
"""

from __future__ import annotations

from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Sequence

from cellprofiler_core.pipeline import Pipeline
from cellprofiler_core.preferences import set_headless, set_plugin_directory
from cellprofiler_core.utilities.core.modules import fill_modules, instantiate_module

if TYPE_CHECKING:
    from cellprofiler_core.module import Module

FOLDER = Path(__file__).resolve().parent
PLUGINS = FOLDER.parent / "plugins"
IMAGE = "DNA"
CELL_IMAGE = "AGP"
VIEW = "DNAView"
CLEAN = "DNAClean"
CANDIDATES = "Candidates"
CELLS, CYTOPLASM = "Cells", "Cytoplasm"


class Side(NamedTuple):
    """One way to find nuclei.

    Attributes
    ----------
    module : str
        The module that finds them.
    objects : str
        The name of the objects.
    suffix : str
        What the names of the folders of saved images end with.
    color : str
        Of the outlines, as "#RRGGBB".
    advanced : bool
        Whether more modules clean the image and filter the objects.
    """

    module: str
    objects: str
    suffix: str
    color: str
    advanced: bool = False


CLASSIC = Side("IdentifyPrimaryObjects", "NucleiClassic", "_classic", "#FFA500")
DEEP = Side("IdentifyNucleiDL", "Nuclei", "_deep", "#00E5FF")
CELL_OUTLINES = Side("IdentifySecondaryObjects", CELLS, "", "#FFA500")

CLASSIC_DIAMETERS = (20, 60)
"""The usual size at 20x. On the demonstration plate 25-80 does as well and 10-60 far worse, so set your own range."""

ADVANCED_DIAMETERS = (6, 130)
"""Wide, since one pipeline serves nuclei of 7 to 94 px, as they occur in the training images."""

SHAPE_LIMITS = {"Solidity": 0.87, "Extent": 0.55}
"""Lowest values. Beside these two, limits of area, form factor, eccentricity or intensity gained 0.001 at most."""


def main() -> None:
    """Write all pipelines beside this file."""
    set_headless()
    set_plugin_directory(str(PLUGINS), globally=False)
    fill_modules()
    for name in PIPELINES:
        (FOLDER / f"{name}.cppipe").write_text(pipeline_text(name), encoding="utf-8")


def pipeline_text(name: str) -> str:
    """Return the content of a pipeline file."""
    return text_of(PIPELINES[name]())


def text_of(modules: Sequence[Module]) -> str:
    """Return modules as the content of a pipeline file."""
    pipeline = Pipeline()
    for module in modules:
        module.module_num = len(pipeline.modules()) + 1
        pipeline.add_module(module)
    text = StringIO()
    pipeline.dump(text, save_image_plane_details=False)
    return text.getvalue()


def find_nuclei(sides: List[Side]) -> List[Module]:
    """Find nuclei in one way, or in two ways side by side, which are then compared."""
    modules = [load_data()]
    for side in sides:
        modules += advanced(side) if side.advanced else [identify(side)]
    names = [side.objects for side in sides]
    modules += [*measure(names), *([compare(*names)] if len(names) == 2 else []), *bright_copy()]
    for side in sides:
        modules += [label_image(side), save_labels(side), overlay(side), save_overlay(side)]
    return [*modules, export()]


def refine_classic() -> List[Module]:
    """Find nuclei in the classic way and correct their outlines with the network."""
    found, refined = CLASSIC, DEEP._replace(suffix="")
    outlines = overlay(refined)
    add_outlines(outlines, found)
    return [
        load_data(),
        identify(found),
        refine(found, refined),
        *measure([found.objects, refined.objects]),
        *bright_copy(),
        label_image(refined),
        save_labels(refined),
        outlines,
        save_overlay(refined),
        export(),
    ]


def cell_painting_start() -> List[Module]:
    """Find nuclei, cells and cytoplasm, and measure them in two channels."""
    nuclei = DEEP._replace(suffix="")
    compartments = [nuclei.objects, CELLS, CYTOPLASM]
    outlines = overlay(nuclei)
    add_outlines(outlines, CELL_OUTLINES)
    return [
        load_data(f"Add a pair of columns for each further channel; here they are {IMAGE} and {CELL_IMAGE}."),
        identify_whole(nuclei),
        *cells_and_cytoplasm(nuclei),
        *measure(compartments, [IMAGE, CELL_IMAGE]),
        *measure_more(compartments),
        *bright_copy(),
        label_image(nuclei),
        save_labels(nuclei),
        outlines,
        save_overlay(nuclei),
        export(f"The tables: Image.csv, {', '.join(f'{name}.csv' for name in compartments)}, as CytoTable reads them."),
    ]


PIPELINES: Dict[str, Callable[[], List[Module]]] = {
    "classic_basic": partial(find_nuclei, [CLASSIC._replace(objects="Nuclei", suffix="")]),
    "classic_advanced": partial(find_nuclei, [CLASSIC._replace(objects="Nuclei", suffix="", advanced=True)]),
    "deep": partial(find_nuclei, [DEEP._replace(suffix="")]),
    "compare": partial(find_nuclei, [CLASSIC, DEEP]),
    "refine_classic": refine_classic,
    "cell_painting_start": cell_painting_start,
}
"""Later tools read the objects that are called Nuclei; where both sides run, these are the ones of the network."""


def make(module_name: str, note: str, **values: Any) -> Module:
    """Make a module and give its settings their values."""
    module = instantiate_module(module_name)
    module.show_window = False
    module.notes = [note]
    for name, value in values.items():
        getattr(module, name).value = value
    return module


def load_data(note: str = "") -> Module:
    """Read the list of images; ``--data-file`` replaces its name on the command line."""
    columns = "Lists the images: a CSV file with Image_FileName_DNA, Image_PathName_DNA and Metadata_ columns."
    return make(
        "LoadData", f"{columns} {note}".strip(), csv_directory="Default Input Folder|", csv_file_name="load_data.csv"
    )


def identify(side: Side) -> Module:
    """Find the nuclei. Those at the border are kept, as in the annotations that the results are compared with."""
    if side.module == CLASSIC.module:
        note = "The classic way: threshold, then split. Set the diameters to those of your nuclei."
        values = {"size_range": CLASSIC_DIAMETERS, "exclude_border_objects": False}
    else:
        note = "The deep network, as it is: it estimates the size of the nuclei by itself."
        values = {"exclude_border": False}
    module = make(side.module, note, x_name=IMAGE, y_name=side.objects, **values)
    module.show_window = True
    return module


def identify_whole(side: Side) -> Module:
    """Find the nuclei that lie completely inside the image: only their shape can be measured."""
    module = identify(side)
    module.exclude_border.value = True
    module.notes = ["The deep network. Nuclei that the border cuts off are discarded, and their cells with them."]
    return module


def refine(found: Side, refined: Side) -> Module:
    """Correct the outlines of nuclei. The switches stay off, so that each object remains one object."""
    note = "Corrects the outlines; each object stays one. Switches to split, merge, remove and add nuclei are here too."
    module = make("TTARefine", note, image_name=IMAGE, x_name=found.objects, y_name=refined.objects)
    module.show_window = True
    return module


def compare(first: str, second: str) -> Module:
    """Compare two sets of nuclei of which neither is the truth."""
    note = (
        "How well both agree, nucleus by nucleus. To test against a truth, add Image_ObjectsFileName_Truth and"
        " Image_ObjectsPathName_Truth to the list of images, choose 'Test against truth' here, and Truth as the objects"
        " A; a second module tests the other set."
    )
    module = make("CompareNuclei", note, first_name=first, second_name=second)
    module.show_window = True
    return module


def cells_and_cytoplasm(nuclei: Side) -> List[Module]:
    """Grow a cell around each nucleus; the cytoplasm is the cell without the nucleus."""
    cells = make(
        "IdentifySecondaryObjects",
        "A cell around each nucleus, as far as the stain of the cell body is above its threshold.",
        x_name=nuclei.objects,
        y_name=CELLS,
        image_name=CELL_IMAGE,
    )
    cells.show_window = True
    cytoplasm = make(
        "IdentifyTertiaryObjects",
        "The cells without their nuclei. Its columns Parent_Nuclei and Parent_Cells join the three tables.",
        secondary_objects_name=CELLS,
        primary_objects_name=nuclei.objects,
        subregion_objects_name=CYTOPLASM,
    )
    return [cells, cytoplasm]


def advanced(side: Side) -> List[Module]:
    """Clean the image, find candidates, measure them and keep those that look like nuclei.

    These are the kinds of modules of the advanced pipeline of Caicedo et al. (Cytometry A 2019). Their settings are the
    best that a coordinate search found: those with the highest mean F1 on 49 training images of the 2018 Data Science
    Bowl (BBBC038), drawn from all image sizes, none of them from the validation split.
    """
    return [*clean_image(), identify_candidates(), *measure([CANDIDATES]), filter_candidates(side)]


def clean_image() -> List[Module]:
    """Level the background, then remove noise and specks."""
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


def identify_candidates() -> Module:
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


def filter_candidates(side: Side) -> Module:
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


def measure(objects: List[str], images: Sequence[str] = (IMAGE,)) -> List[Module]:
    """Measure size, shape and intensity of some kinds of objects."""
    names = ", ".join(objects)
    return [
        make("MeasureObjectSizeShape", "Area, shape.", objects_list=names, calculate_zernikes=False),
        make("MeasureObjectIntensity", "Intensity.", images_list=", ".join(images), objects_list=names),
    ]


def measure_more(objects: List[str]) -> List[Module]:
    """Measure what else Cell Painting profiles hold: radial distribution, texture, colocalization and neighbors."""
    both = {"images_list": f"{IMAGE}, {CELL_IMAGE}"}
    lists = {**both, "objects_list": ", ".join(objects)}
    radial = make("MeasureObjectIntensityDistribution", "From the center to the rim.", **both)
    for _ in objects[1:]:
        radial.add_object()
    for group, name in zip(radial.objects, objects):
        group.object_name.value = name
    texture = make("MeasureTexture", "Texture. Granularity is left out, it takes longer than all others.", **lists)
    texture.images_or_objects.value = "Objects"
    values = {"images_or_objects": "Within objects", "do_all": False, "do_costes": False, "do_manders": False}
    together = make("MeasureColocalization", "Do both channels go together?", **lists, **values)
    neighbors = [
        make("MeasureObjectNeighbors", f"Neighbors of {name}.", object_name=name, neighbors_name=name)
        for name in objects[:2]
    ]
    return [radial, texture, together, *neighbors]


def bright_copy() -> List[Module]:
    """Stretch the image and brighten its dark parts (gamma 0.5), so that dim nuclei are seen beside bright ones."""
    stretch = make("RescaleIntensity", "A copy to look at: the full range.", x_name=IMAGE, y_name=f"{VIEW}Linear")
    values = {"operation": "None", "exponent": 0.5, "output_image_name": VIEW}
    gamma = make("ImageMath", "A copy to look at: dim nuclei are raised.", **values)
    gamma.images[0].image_name.value = f"{VIEW}Linear"
    return [stretch, gamma]


def label_image(side: Side) -> Module:
    """Turn the objects into an image of their numbers."""
    return make(
        "ConvertObjectsToImage",
        "Each pixel holds the number of its nucleus.",
        object_name=side.objects,
        image_name=f"{side.objects}Labels",
        image_mode="uint16",
    )


def save_labels(side: Side) -> Module:
    """Save the label image under a name that ``nucdl evaluate`` pairs with that of the truth."""
    return save(
        "Label images, for nucdl evaluate and for ImageJ.",
        f"{side.objects}Labels",
        f"labels{side.suffix}",
        suffix="_labels",
        file_format="tiff",
        bit_depth="16-bit integer",
    )


def overlay(side: Side) -> Module:
    """Draw the outlines of the nuclei on the bright copy of the image."""
    module = make(
        "OverlayOutlines", "Outlines to look at.", image_name=VIEW, output_image_name=f"{side.objects}Overlay"
    )
    module.outlines[0].color.value = side.color
    module.outlines[0].objects_name.value = side.objects
    return module


def add_outlines(module: Module, side: Side) -> None:
    """Also draw the outlines of other objects into the same picture."""
    module.add_outline()
    module.outlines[-1].color.value = side.color
    module.outlines[-1].objects_name.value = side.objects


def save_overlay(side: Side) -> Module:
    """Save the overlay as a picture."""
    return save(
        "Pictures to look at.", f"{side.objects}Overlay", f"overlays{side.suffix}", suffix="_overlay", file_format="png"
    )


def save(note: str, image_name: str, folder: str, suffix: str, **values: str) -> Module:
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


def export(note: str = "The tables: Image.csv and one for the nuclei.") -> Module:
    """Write the tables: Image.csv, one table per kind of objects and Experiment.csv."""
    return make(
        "ExportToSpreadsheet",
        note,
        add_metadata=True,
        wants_prefix=False,
        wants_overwrite_without_warning=True,
    )


if __name__ == "__main__":
    main()
