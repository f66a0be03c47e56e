"""CellProfiler without PyTorch and without NucDL: its modules start an engine that is installed elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nucdl_core.cellprofiler.headless import check_tables
from nucdl_core.cellprofiler.supplied import copy_plugins
from nucdl_core.files.reading import read_labels

REPOSITORY = Path(__file__).resolve().parents[2]
ENGINE = REPOSITORY / ".venv-engine"
OF_ENGINE = ("nucdl_core", "torch", "torchvision", "safetensors", "cattrs", "roifile", "filelock")
HIDE = f"""
import os, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OF_ENGINE!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
# The engine that is started from here sees what is hidden here.
os.environ["PYTHONPATH"] = os.environ["NUCDL_TEST_PATH"]
"""
COMMAND = """#!/bin/sh
export NUCDL_TEST_PATH="$PYTHONPATH" PYTHONPATH="{hiding}"
exec "{program}" "$@"
"""


@pytest.fixture
def cellprofiler_alone(tmp_path, monkeypatch, finished):
    """A CellProfiler that has nothing of the engine: that of this Python, from which it is hidden."""
    # With the engine in its own Python, to compare with; before it is hidden.
    finished("deep")
    hiding, programs = tmp_path / "hiding", tmp_path / "programs"
    hiding.mkdir()
    programs.mkdir()
    (hiding / "sitecustomize.py").write_text(HIDE)
    for name in ("python", "cellprofiler"):
        command = programs / name
        command.write_text(COMMAND.format(hiding=hiding, program=Path(sys.executable).parent / name))
        command.chmod(0o755)
    monkeypatch.setenv("NUCDL_CELLPROFILER", str(programs))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("NUCDL_ENGINE", raising=False)
    return programs


@pytest.fixture
def installed_plugins(tmp_path):
    """The modules as `nucdl plugins install` leaves them."""
    return copy_plugins(tmp_path / "plugins").folder


def assert_same_labels(output, other):
    files = sorted((other / "labels").glob("*.tiff"))
    assert len(files) == 2
    for file in files:
        np.testing.assert_array_equal(read_labels(output / "labels" / file.name), read_labels(file))


def test_it_finds_the_same_nuclei_to_the_pixel_as_with_the_engine_in_its_own_python(
    cellprofiler_alone, installed_plugins, run_pipeline, finished
):
    output = run_pipeline("deep", plugins=installed_plugins)
    check_tables(output, 2, ["Nuclei"])
    assert_same_labels(output, finished("deep"))
    columns = ["NucDL_Confidence", "Location_Center_X", "Location_Center_Y"]
    ours, theirs = (pd.read_csv(folder / "Nuclei.csv")[columns] for folder in (output, finished("deep")))
    pd.testing.assert_frame_equal(ours, theirs)


def test_an_engine_of_current_libraries_finds_the_same_nuclei(cellprofiler_alone, run_pipeline, finished, monkeypatch):
    if not (ENGINE / ".nucdl" / "complete").exists():
        pytest.skip("there is no .venv-engine; 'tools/install.sh engine' makes it")
    monkeypatch.setenv("NUCDL_ENGINE", str(ENGINE))
    output = run_pipeline("deep")
    for file in sorted((finished("deep") / "labels").glob("*.tiff")):
        differing = read_labels(output / "labels" / file.name) != read_labels(file)
        assert differing.mean() < 0.001


def test_without_any_engine_the_run_fails_and_says_what_is_missing(
    cellprofiler_alone, run_pipeline, monkeypatch, tmp_path
):
    from nucdl_core.cellprofiler.headless import LOG_NAME, HeadlessError

    monkeypatch.setenv("PATH", os.defpath)
    with pytest.raises(HeadlessError):
        check_tables(run_pipeline("deep"), 2, ["Nuclei"])
    assert "no other was found" in (tmp_path / "output" / LOG_NAME).read_text()
