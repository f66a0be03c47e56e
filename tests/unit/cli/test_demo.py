"""nucdl demo, with a stand-in for CellProfiler."""

from __future__ import annotations

import pytest
from commands import nucdl
from demo_folders import make_own_images, write_what_cellprofiler_would

from nucdl_core.cellprofiler import demo
from nucdl_core.cli.words import SOME_FAILED


@pytest.fixture
def cellprofiler(monkeypatch):
    """Replace CellProfiler."""
    monkeypatch.setattr(demo, "run_cellprofiler", write_what_cellprofiler_would)


@pytest.fixture
def own(tmp_path):
    return make_own_images(tmp_path / "my images")


def test_the_command_prints_the_comparison_and_where_to_look(tmp_path, cellprofiler):
    done = nucdl("demo", "--output", tmp_path / "out", "--fields", "1")
    assert done.exit_code == 0, done.output
    assert "IdentifyNucleiDL" in done.output
    assert "overlays_deep" in done.output


def test_the_command_lists_images_that_failed_and_does_not_end_with_0(tmp_path, cellprofiler, own):
    done = nucdl("demo", "--output", tmp_path / "out", "--images", own)
    assert done.exit_code == SOME_FAILED
    assert "failed: " in done.output
    assert "cut.tif" in done.output


def test_the_command_turns_errors_into_one_line(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    done = nucdl("demo", "--output", tmp_path)
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.output
