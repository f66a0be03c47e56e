"""The real CellProfiler window on a virtual screen: modules are added, set and run in test mode, as a person does it.

The first picture that it takes is the one in the README; renew that with
``NUCDL_WINDOW_PICTURE=docs/images/window.png make test ARGS=tests/gui``.
"""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from nucdl_core.scores.object_errors import COLOURS, ErrorClass
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

REPOSITORY = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("drive_window.py")
SCREEN = (1700, 760)

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def simulated():
    return simulate_field(FieldConfig(size=(420, 560), diameter=34.0, coverage=0.22), np.random.default_rng(5))


@pytest.fixture(scope="module")
def window(drive, simulated, tmp_path_factory):
    """What the window showed, and the folder of its pictures."""
    folder = tmp_path_factory.mktemp("window")
    image = folder / "nuclei.tif"
    tifffile.imwrite(image, simulated.image)
    columns = {f"Image_FileName_{channel}": [image.name] for channel in ("DNA", "AGP")}
    columns.update({f"Image_PathName_{channel}": [str(folder)] for channel in ("DNA", "AGP")})
    pd.DataFrame(columns).to_csv(folder / "load_data.csv", index=False)
    return drive(DRIVER, SCREEN, folder, [image, folder, REPOSITORY, folder])


def test_the_modules_are_offered_beside_those_of_cellprofiler(window):
    modules = window["modules"]
    assert {"IdentifyNucleiDL", "TTARefine", "IdentifyPrimaryObjects"} <= set(modules["IdentifyNucleiDL"]["offered"])
    assert {"CompareNuclei", "MeasureObjectOverlap"} <= set(modules["CompareNuclei"]["offered"])


def test_the_modules_are_added_after_the_input_modules(window):
    assert window["pipeline"] == ["Images", "Metadata", "NamesAndTypes", "Groups", *window["modules"]]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("IdentifyNucleiDL", {"Select the input image": "DNA", "Name the nuclei to be identified": "Nuclei"}),
        ("TTARefine", {"Select the input objects": "Nuclei", "Name the refined objects": "RefinedNuclei"}),
        ("CompareNuclei", {"Select the objects A": "IdentifyPrimaryObjects", "Select the objects B": "Nuclei"}),
    ],
)
def test_their_settings_are_shown_and_valid(window, name, settings):
    seen = window["modules"][name]
    assert settings.items() <= seen["settings"].items()
    assert seen["complaints"] == []


@pytest.mark.parametrize("name", ["IdentifyNucleiDL", "TTARefine", "CompareNuclei"])
def test_test_mode_draws_three_images_and_a_table(window, name):
    seen = window["modules"][name]
    assert seen["figure"].startswith(f"{name} #{window['pipeline'].index(name) + 1}")
    assert seen["axes"] == 3
    assert len(seen["table"]) > 1


def test_test_mode_finds_about_as_many_nuclei_as_there_are(window, simulated):
    table = window["modules"]["IdentifyNucleiDL"]["table"]
    at_border = int(table["# discarded at the border"])
    assert int(table["# of accepted nuclei"]) + at_border == pytest.approx(simulated.labels.max(), rel=0.15)


def test_the_tables_in_test_mode_are_about_the_nuclei_that_were_found(window):
    tables = {name: seen["table"] for name, seen in window["modules"].items()}
    accepted = tables["IdentifyNucleiDL"]["# of accepted nuclei"]
    assert tables["TTARefine"]["# of input objects"] == tables["CompareNuclei"]["# of Nuclei (B)"] == accepted
    assert 0 < float(tables["CompareNuclei"]["Mean F1"]) < 1


@pytest.mark.parametrize("path", sorted((REPOSITORY / "pipelines").glob("*.cppipe")), ids=lambda path: path.stem)
def test_every_pipeline_opens_in_the_window_without_a_complaint(window, path):
    seen = window["pipelines"][path.stem]
    modules = re.findall(r"^(\w+):\[module_num", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert seen == {"listed": modules, "complaints": {}}


@pytest.mark.parametrize("name", ["IdentifyNucleiDL", "TTARefine", "CompareNuclei"])
def test_the_pictures_show_the_whole_screen(window, name):
    with Image.open(window["folder"] / f"{name}.png") as picture:
        shown = picture.convert("RGB")
    assert shown.size == SCREEN
    assert len(shown.getcolors(maxcolors=SCREEN[0] * SCREEN[1])) > 100
    wanted = os.environ.get("NUCDL_WINDOW_PICTURE")
    if wanted and name == "IdentifyNucleiDL":
        (REPOSITORY / wanted).parent.mkdir(parents=True, exist_ok=True)
        shown.save(REPOSITORY / wanted, optimize=True)


def test_the_colours_of_the_error_classes_are_seen(window):
    with Image.open(window["folder"] / "CompareNuclei.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    for kind in (ErrorClass.MATCHED, ErrorClass.MERGED):
        # Away from the legend, whose patches have some hundred pixels.
        assert (np.abs(pixels.astype(int) - COLOURS[kind]).max(axis=1) <= 2).sum() > 1500, kind
