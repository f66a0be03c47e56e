"""nucdl doctor."""

import configparser
import re

import pytest
from commands import nucdl
from conftest import REPOSITORY

from nucdl_core import extras
from nucdl_core.cellprofiler import headless
from nucdl_core.cellprofiler.headless import HeadlessError
from nucdl_core.cli import doctor_checks
from nucdl_core.cli.doctor_checks import FIELD_SHAPE, examine
from nucdl_core.errors import BundleError
from nucdl_core.extras import EXTRAS
from nucdl_core.model.registry import default_model


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """Start the engine's process in one test only."""
    if "sound" not in request.node.name:
        monkeypatch.setattr("nucdl_core.worker.trial.try_process", lambda command: 1.0)


def states():
    return {finding.name: (finding.state, finding.told) for finding in examine()}


def test_a_sound_installation_finds_nuclei_and_names_its_parts():
    result = nucdl("doctor")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    names = ["NucDL", "computing", "models", "one image", "writing", "worker", "CellProfiler", "Snakemake", *EXTRAS]
    assert [line[9:22].strip() for line in lines] == names
    assert f"s for {FIELD_SHAPE[0]} x {FIELD_SHAPE[1]} px" in result.output and default_model("unet") in result.output


def test_extras_are_those_of_the_package_with_their_packages():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    declared = dict(config["options.extras_require"])
    for name, (packages, _) in EXTRAS.items():
        assert {re.split(r"[<>=]", line)[0] for line in declared[name].strip().splitlines()} == set(packages)


def test_what_is_optional_may_be_missing_and_is_told_with_the_line_that_installs_it(monkeypatch):
    def missing():
        raise HeadlessError("there is no CellProfiler; run make install")

    monkeypatch.setattr(headless, "find_cellprofiler", missing)
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    found = states()
    assert found["CellProfiler"] == ("missing", "there is no CellProfiler; run make install")
    assert found["zarr"][0] == "missing" and 'pip install "nucdl[zarr]"' in found["zarr"][1]
    assert nucdl("doctor").exit_code == 0


def test_a_model_that_cannot_be_used_is_bad_and_the_exit_code_says_so(monkeypatch):
    def damaged(name):
        raise BundleError("weights.safetensors was altered; install NucDL again")

    monkeypatch.setattr("nucdl_core.model.bundle.find_bundle", damaged)
    assert states()["one image"] == ("BAD", "weights.safetensors was altered; install NucDL again")
    assert nucdl("doctor").exit_code == 1


def test_a_folder_that_cannot_be_written_is_bad(monkeypatch):
    def refused(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor_checks.tempfile, "NamedTemporaryFile", refused)
    assert states()["writing"][0] == "BAD" and "Permission denied" in states()["writing"][1]


@pytest.mark.parametrize("free, state", [(0.5, "BAD"), (50.0, "ok")])
def test_a_full_disk_is_bad(monkeypatch, free, state):
    usage = type("Usage", (), {"free": free * 2**30})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert states()["writing"][0] == state


def test_an_engine_that_finds_nothing_is_bad(monkeypatch):
    from nucdl_core.results import Segmentation

    def nothing(image):
        import numpy as np

        return Segmentation(np.zeros(image.shape, np.int32), np.zeros(0, np.float32), None, float("nan"))

    monkeypatch.setattr("nucdl_core.segment.segment", nothing)
    state, told = states()["one image"]
    assert state == "BAD" and told.startswith("0 nuclei were found in a simulated image of")


def test_an_engine_that_cannot_serve_the_modules_is_bad(monkeypatch):
    def broken(command):
        raise BundleError("nucdl does not serve CellProfiler's modules; install NucDL again")

    monkeypatch.setattr("nucdl_core.worker.trial.try_process", broken)
    assert states()["worker"] == ("BAD", "nucdl does not serve CellProfiler's modules; install NucDL again")
