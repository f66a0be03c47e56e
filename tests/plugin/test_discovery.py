"""CellProfiler's own loader finds the modules, also where the engine cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

MODULES = ("IdentifyNucleiDL", "TTARefine", "CompareNuclei", "AnnotateNuclei")

LOAD = """
import sys
{before}
from cellprofiler_core.preferences import set_headless, set_plugin_directory
set_headless()
set_plugin_directory({plugins!r}, globally=False)
from cellprofiler_core.utilities.core.modules import fill_modules, instantiate_module
fill_modules()
modules = [instantiate_module(name) for name in {modules!r}]
{after}
"""

HIDE = """
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""

SHOW_PROBLEM = """
from cellprofiler_core.pipeline import Pipeline
from cellprofiler_core.setting import ValidationError
workspace = type("Workspace", (), {"pipeline": Pipeline()})
for module in modules:
    try:
        module.validate_module(workspace.pipeline)
    except ValidationError as error:
        print(module.module_name, "VALIDATION", error.get_setting().text, error.message, sep="|")
    try:
        module.prepare_run(workspace)
    except ValidationError as error:
        print(module.module_name, "RUN", error.get_setting().text, error.message, sep="|")
"""

VALIDATE = """
from cellprofiler_core.pipeline import Pipeline
modules[2].first_name.value = "Other"
for module in modules:
    module.validate_module(Pipeline())
print("torch" in sys.modules)
"""


@pytest.fixture
def load(cellprofiler):
    """Return a function that loads our modules in a fresh process and gives what that printed."""

    def run(before="", after="", engine=""):
        code = LOAD.format(plugins=str(REPOSITORY / "plugins"), modules=MODULES, before=before, after=after)
        environment = {**os.environ, "NUCDL_ENGINE": engine, "PATH": os.defpath}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    return run


@pytest.mark.parametrize("name", MODULES)
def test_cellprofiler_finds_each_module_under_its_class_name(cellprofiler, name):
    assert cellprofiler.modules[name].module_name == name


def test_no_file_in_the_plugin_folder_fails_to_load(cellprofiler):
    names = {path.stem for path in (REPOSITORY / "plugins").glob("*.py")}
    assert [(name, error) for name, error in cellprofiler.bad if name in names] == []


def test_each_file_of_the_plugin_folder_holds_a_module_or_begins_with_an_underscore(cellprofiler):
    files = {path.stem for path in (REPOSITORY / "plugins").glob("[!_]*.py")}
    ours = {module.__module__ for module in cellprofiler.modules.values()} & files
    assert files == ours == {cellprofiler.modules[name].__module__ for name in MODULES}


def test_the_module_is_listed_with_the_other_identify_modules(cellprofiler):
    ours, classic = (cellprofiler.modules[name] for name in ("IdentifyNucleiDL", "IdentifyPrimaryObjects"))
    assert ours.category == classic.category
    assert ours().is_object_identification_module()


def test_loading_the_modules_and_checking_their_settings_does_not_import_torch(load):
    assert load(after=VALIDATE).split()[-1] == "False"


@pytest.mark.parametrize("missing", ["nucdl_core", "torch", "safetensors"])
def test_the_modules_are_there_and_say_what_is_missing(load, missing):
    printed = load(HIDE.format(names=[missing]), SHOW_PROBLEM)
    lines = [line.split("|") for line in printed.splitlines() if "|" in line]
    assert [line[:3] for line in lines] == [
        [name, when, setting]
        for name, setting in zip(
            MODULES, ("Select the model", "Select the model", "Select what to measure", "Select the model")
        )
        for when in ("VALIDATION", "RUN")
    ]
    for _, _, _, message in lines:
        assert message.startswith(
            "NucDL's engine does not work in the Python that runs CellProfiler (No module named '" + missing
        )
        assert "pip install" in message


def test_with_an_engine_elsewhere_the_modules_need_nothing_of_it_in_this_python(load):
    of_engine = ["nucdl_core", "torch", "safetensors", "pandas", "cattrs", "roifile", "click", "filelock"]
    offered = "print(modules[0].model.get_choices())"
    printed = load(HIDE.format(names=of_engine), VALIDATE + offered, sys.executable)
    assert printed.splitlines()[-2:] == ["False", "['nuclei_unet', 'nuclei_maskrcnn', 'Folder']"]
