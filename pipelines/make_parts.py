"""Write the parts of which ``nucdl try`` makes pipelines, with CellProfiler's own code as ``make_pipelines.py`` does.

Run it after the settings of a module have changed::

    python pipelines/make_parts.py

A part is the text of one or more modules. The names `TAKEN` and `MADE` in it stand for the image that it works on and
the one that it makes, which the engine fills in: it knows no CellProfiler.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Dict, List

from cellprofiler_core.preferences import set_headless, set_plugin_directory
from cellprofiler_core.utilities.core.modules import fill_modules
from make_pipelines import DEEP as SIDE
from make_pipelines import IMAGE, PLUGINS, export, identify, label_image, load_data, make, measure, save_labels
from make_pipelines import text_of as text_of_pipeline

if TYPE_CHECKING:
    from cellprofiler_core.module import Module

PARTS_FILE = Path(__file__).resolve().parents[1] / "nucdl_core" / "explore" / "pipeline_parts.json"
TAKEN, MADE = "NucDLTaken", "NucDLMade"
SMOOTH = f"{MADE}Background"
HALF = "NucleiAtHalfSize"
NUCLEI = SIDE._replace(suffix="")
SIGMA = 50
"""Pixels; as `preprocess.BACKGROUND_SIGMA`."""


def main() -> None:
    """Write all parts into the engine."""
    set_headless()
    set_plugin_directory(str(PLUGINS), globally=False)
    fill_modules()
    PARTS_FILE.write_text(parts_text(), encoding="utf-8")


def parts_text() -> str:
    """Return the content of the file of parts."""
    parts: Dict[str, List[str]] = {}
    for name, modules in PARTS.items():
        _, *blocks = text_of_pipeline(modules()).strip("\n").split("\n\n")
        parts[name] = blocks
    return json.dumps(parts, indent=1) + "\n"


def median(window: int) -> List[Module]:
    """Take the median of so many pixels in height and width."""
    return [make("MedianFilter", "The median of the pixels around each.", x_name=TAKEN, y_name=MADE, window=window)]


def without_background() -> List[Module]:
    """Subtract what is left when all that is small is blurred away."""
    blurred = make("GaussianFilter", "Only the background is left.", x_name=TAKEN, y_name=SMOOTH, sigma=SIGMA)
    values = {"operation": "Subtract", "truncate_low": False, "truncate_high": False, "output_image_name": MADE}
    difference = make("ImageMath", "The image without its background.", **values)
    for group, name in zip(difference.images, (TAKEN, SMOOTH)):
        group.image_name.value = name
    return [blurred, difference]


def edges() -> List[Module]:
    """Take the steepness."""
    return [make("EnhanceEdges", "Steep places are bright.", image_name=TAKEN, output_image_name=MADE, method="Sobel")]


def negative() -> List[Module]:
    """Turn dark to bright."""
    values = {"truncate_low": False, "truncate_high": False, "output_image_name": MADE}
    inverted = make("ImageMath", "Dark becomes bright.", operation="Invert", **values)
    inverted.images[0].image_name.value = TAKEN
    return [inverted]


def half_size() -> List[Module]:
    """Reduce to half the size."""
    sizes = {"resizing_factor_x": 0.5, "resizing_factor_y": 0.5, "interpolation": "Bilinear"}
    return [make("Resize", "Half the size: four pixels become one.", x_name=TAKEN, y_name=MADE, **sizes)]


def full_size() -> List[Module]:
    """Bring objects of the image at half its size onto the original."""
    note = "The nuclei on the pixels of the original image."
    module = make("ResizeObjects", note, x_name=HALF, y_name=NUCLEI.objects, method="Match Image")
    module.specific_image.value = IMAGE
    return [module]


def find(objects: str) -> List[Module]:
    """Find nuclei in an image."""
    module = identify(NUCLEI._replace(objects=objects))
    module.x_name.value = TAKEN
    module.notes = ["With the settings that nucdl try has chosen."]
    return [module]


def results() -> List[Module]:
    """Measure the nuclei in the original image; save label images and tables."""
    return [*measure([NUCLEI.objects]), label_image(NUCLEI), save_labels(NUCLEI), export()]


PARTS: Dict[str, Callable[[], List[Module]]] = {
    "load": lambda: [load_data()],
    "median3": lambda: median(3),
    "median5": lambda: median(5),
    "background": without_background,
    "edges": edges,
    "invert": negative,
    "bin2": half_size,
    "find": lambda: find(NUCLEI.objects),
    "find_at_half_size": lambda: find(HALF),
    "full_size": full_size,
    "results": results,
}


if __name__ == "__main__":
    main()
