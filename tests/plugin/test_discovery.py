"""CellProfiler's own loader finds the modules, also where the engine cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

LOAD = """
import sys
{before}
from cellprofiler_core.preferences import set_headless, set_plugin_directory
set_headless()
set_plugin_directory({plugins!r}, globally=False)
from cellprofiler_core.utilities.core.modules import fill_modules, instantiate_module
fill_modules()
module = instantiate_module("IdentifyNucleiDL")
{after}
"""

HIDE = """
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {name!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""

SHOW_PROBLEM = """
from cellprofiler_core.setting import ValidationError
try:
    module.validate_module(None)
except ValidationError as error:
    assert error.get_setting() is module.model
    print("VALIDATION:", error.message)
try:
    module.prepare_run(type("Workspace", (), {"pipeline": None}))
except ValidationError as error:
    print("RUN:", error.message)
"""


@pytest.fixture
def load(cellprofiler):
    """Return a function that loads the module in a fresh process and gives what that printed."""

    def run(before="", after=""):
        code = LOAD.format(plugins=str(REPOSITORY / "plugins"), before=before, after=after)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return done.stdout

    return run


def test_cellprofiler_finds_the_module_under_its_class_name(cellprofiler):
    assert cellprofiler.modules["IdentifyNucleiDL"].module_name == "IdentifyNucleiDL"


def test_no_file_in_the_plugin_folder_fails_to_load(cellprofiler):
    names = {path.stem for path in (REPOSITORY / "plugins").glob("*.py")}
    assert names & {name for name, _ in cellprofiler.bad} == set()


def test_the_module_is_listed_with_the_other_identify_modules(cellprofiler):
    ours, classic = (cellprofiler.modules[name] for name in ("IdentifyNucleiDL", "IdentifyPrimaryObjects"))
    assert ours.category == classic.category
    assert ours().is_object_identification_module()
    assert not ours().volumetric()


def test_loading_the_module_does_not_import_torch(load):
    assert load(after="print('torch' in sys.modules)").split()[-1] == "False"


@pytest.mark.parametrize("missing", ["nucdl_core", "torch", "safetensors"])
def test_the_module_is_there_and_says_what_is_missing(load, missing):
    printed = load(HIDE.format(name=missing), SHOW_PROBLEM)
    assert (
        f"VALIDATION: NucDL's engine does not work in the Python that runs CellProfiler (No module named '{missing}"
        in printed
    )
    assert "pip install" in printed
    assert "RUN: NucDL's engine does not work" in printed
