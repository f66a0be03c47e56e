"""The real CellProfiler window on a virtual screen: the module is added, set and run in test mode, as a person does it.

The picture that it takes is the one in the guide; renew that with
``NUCDL_WINDOW_PICTURE=docs/images/window.png make test ARGS=tests/gui``.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from nucdl_core.field import FieldConfig
from nucdl_core.simulate import simulate_field

REPOSITORY = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("drive_window.py")
SCREEN = (1700, 760)
TIMEOUT = 600

pytestmark = pytest.mark.gui


@pytest.fixture(scope="module")
def screen():
    """Number of a virtual screen, as the variable DISPLAY has it."""
    if importlib.util.find_spec("cellprofiler") is None or importlib.util.find_spec("wx") is None:
        pytest.skip("CellProfiler's window needs wxPython, which is not in this environment")
    if shutil.which("Xvfb") is None:
        pytest.skip("the virtual screen Xvfb is not installed")
    reading, writing = os.pipe()
    # Without -noreset Xvfb starts afresh when its only client closes its connection, and wxPython opens two in a row.
    size = "{}x{}x24".format(*SCREEN)
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-wr", "-noreset", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as number:
        display = number.readline().strip()
    assert display, "Xvfb did not start"
    yield f":{display}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def simulated():
    return simulate_field(FieldConfig(size=(420, 560), diameter=34.0, coverage=0.22), np.random.default_rng(5))


@pytest.fixture(scope="module")
def window(screen, simulated, tmp_path_factory):
    """What the window showed, and the picture of it."""
    folder = tmp_path_factory.mktemp("window")
    home = folder / "home"  # CellProfiler keeps a person's preferences there
    home.mkdir()
    image = folder / "nuclei.tif"
    tifffile.imwrite(image, simulated.image)
    command = [sys.executable, DRIVER, image, "IdentifyNucleiDL", REPOSITORY / "plugins", folder]
    environment = {
        **os.environ,
        "DISPLAY": screen,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "GDK_BACKEND": "x11",
    }
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    report = folder / "report.json"
    assert report.is_file(), run.stderr[-3000:]
    seen = json.loads(report.read_text())
    assert run.returncode == 0, seen.get("failure", "") + run.stderr[-3000:]
    return {**seen, "picture": folder / "window.png"}


def test_the_module_is_offered_beside_identifyprimaryobjects(window):
    assert {"IdentifyNucleiDL", "IdentifyPrimaryObjects"} <= set(window["offered"])


def test_the_module_is_added_after_the_input_modules(window):
    assert window["pipeline"] == ["Images", "Metadata", "NamesAndTypes", "Groups", "IdentifyNucleiDL"]


def test_its_settings_are_shown_and_valid(window):
    assert window["settings"]["Select the input image"] == "DNA"
    assert window["settings"]["Name the nuclei to be identified"] == "Nuclei"
    assert "Select the model" in window["settings"]
    assert window["complaints"] == []


def test_test_mode_draws_three_images_and_a_table(window):
    assert window["figure"].startswith("IdentifyNucleiDL #5")
    assert window["axes"] == 3
    assert len(window["table"]) > 1


def test_test_mode_finds_about_as_many_nuclei_as_there_are(window, simulated):
    accepted = int(window["table"]["# of accepted nuclei"])
    at_border = int(window["table"]["# discarded at the border"])
    assert accepted + at_border == pytest.approx(simulated.labels.max(), rel=0.15)


def test_the_picture_shows_the_whole_screen(window):
    with Image.open(window["picture"]) as picture:
        shown = picture.convert("RGB")
    assert shown.size == SCREEN
    assert len(shown.getcolors(maxcolors=SCREEN[0] * SCREEN[1])) > 100
    wanted = os.environ.get("NUCDL_WINDOW_PICTURE")
    if wanted:
        (REPOSITORY / wanted).parent.mkdir(parents=True, exist_ok=True)
        shown.save(REPOSITORY / wanted, optimize=True)
