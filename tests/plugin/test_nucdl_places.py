"""Where the modules look for an engine that is not in CellProfiler's Python, and what it gets to know."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest


@pytest.fixture
def places(cellprofiler, tmp_path, monkeypatch):
    """The module under test, where nothing names an engine."""
    import _nucdl_places

    monkeypatch.delenv("NUCDL_ENGINE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(_nucdl_places, "SETTINGS_FILE", tmp_path / "nucdl_engine.json")
    return _nucdl_places


def program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_nothing_is_found_where_nothing_is(places):
    assert places.engine_elsewhere() is None


def test_the_variable_counts_before_the_file_and_the_file_before_the_path(places, tmp_path, monkeypatch):
    on_path = program(tmp_path / "path" / "nucdl")
    assert places.engine_elsewhere() == ([on_path, "worker"], "the PATH")
    in_file = program(tmp_path / "engine" / "nucdl")
    places.SETTINGS_FILE.write_text(json.dumps({"engine": in_file}))
    assert places.engine_elsewhere() == ([in_file, "worker"], str(places.SETTINGS_FILE))
    named = program(tmp_path / "named" / "nucdl")
    monkeypatch.setenv("NUCDL_ENGINE", named)
    assert places.engine_elsewhere() == ([named, "worker"], "NUCDL_ENGINE")


@pytest.mark.parametrize("inside", ["bin/nucdl", "Scripts/nucdl.exe", "nucdl"])
def test_of_the_folder_of_an_environment_its_command_is_taken(places, tmp_path, monkeypatch, inside):
    expected = program(tmp_path / "env" / inside)
    monkeypatch.setenv("NUCDL_ENGINE", str(tmp_path / "env"))
    assert places.engine_elsewhere().command == [expected, "worker"]


@pytest.mark.parametrize("inside", ["bin/python", "python.exe", "bin/python3.12"])
def test_a_python_is_told_what_to_run(places, tmp_path, monkeypatch, inside):
    python = program(tmp_path / "env" / inside)
    monkeypatch.setenv("NUCDL_ENGINE", python)
    command = places.engine_elsewhere().command
    assert command[0] == python
    assert command[1] == "-c" and "nucdl_core" in command[2] and command[-1] == "worker"


def test_a_folder_without_an_engine_and_a_missing_file_are_refused_with_what_named_them(places, tmp_path, monkeypatch):
    from _nucdl_errors import NucDLError

    monkeypatch.setenv("NUCDL_ENGINE", str(tmp_path))
    with pytest.raises(NucDLError, match="NUCDL_ENGINE names the folder"):
        places.engine_elsewhere()
    monkeypatch.setenv("NUCDL_ENGINE", str(tmp_path / "gone"))
    with pytest.raises(NucDLError, match="not there"):
        places.engine_elsewhere()
    monkeypatch.delenv("NUCDL_ENGINE")
    places.SETTINGS_FILE.write_text("{")
    with pytest.raises(NucDLError, match="nucdl plugins install"):
        places.engine_elsewhere()


def test_the_process_gets_no_libraries_of_cellprofilers_python(places, tmp_path, monkeypatch):
    of_cellprofiler = str(Path(sys.prefix, "lib", "site-packages"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([of_cellprofiler, str(tmp_path)]))
    monkeypatch.setenv("PYTHONHOME", sys.prefix)
    environment = places.environment_for_engine()
    assert environment["PYTHONPATH"] == str(tmp_path)
    assert "PYTHONHOME" not in environment
    assert environment["PATH"] == os.environ["PATH"]


def test_the_libraries_of_the_downloaded_app_are_put_back_to_what_they_were(places, monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/app")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/usr/local/lib")
    monkeypatch.setenv("DYLD_LIBRARY_PATH", "/app")
    environment = places.environment_for_engine()
    assert environment["LD_LIBRARY_PATH"] == "/usr/local/lib"
    assert "DYLD_LIBRARY_PATH" not in environment
