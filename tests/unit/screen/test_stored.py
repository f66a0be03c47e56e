"""Screens that an earlier version planned, and of which it has finished one of two chunks, are understood and go on.

Their folders lie in ``stored``: plan, lists, results of the first chunk, and the tables that were merged of both.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner
from screen_folders import stand_in, write_images  # noqa: F401

from nucdl_core.cli.main import main
from nucdl_core.cli.words import NOT_FINISHED
from nucdl_core.screen.cellprofiler.chunk import run_chunk
from nucdl_core.screen.chunk import chunk_program
from nucdl_core.screen.core import identity
from nucdl_core.screen.core.finish import merge_again, missing_chunks
from nucdl_core.screen.core.plan import (
    SETTINGS,
    Costs,
    PlannedModel,
    ScreenError,
    ScreenFolder,
    read_chunks,
    read_plan,
    read_rows,
    write_plan,
)
from nucdl_core.screen.core.publish import is_published, read_manifest
from nucdl_core.screen.fast import plan as fast_plan
from nucdl_core.screen.fast.culprits import Culprit, read_culprits
from nucdl_core.screen.fast.plan import plan_fast
from nucdl_core.screen.fast.run import run_fast
from nucdl_core.screen.fast.settings import format_settings, read_settings
from nucdl_core.screen.fast.task import FastRequest

STORED = Path(__file__).parent / "stored"

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def fast(tmp_path, monkeypatch):
    """The folder of a screen that NucDL alone does; its model counts as the one that was planned with."""
    folder = ScreenFolder(_copy("fast", "fast_plate", tmp_path), SETTINGS)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "003_black.tif", np.zeros((96, 130), np.uint8))
    (model,) = read_plan(folder).models
    for module in (identity, fast_plan):
        monkeypatch.setattr(module, "identify_model", lambda name: PlannedModel(name, model.sha256))
    return folder


@pytest.fixture
def pipeline(tmp_path, stand_in):  # noqa: F811
    """The folder of a screen with a pipeline, for which there is a stand-in for CellProfiler."""
    folder = ScreenFolder(_copy("pipeline", "", tmp_path))
    write_images(tmp_path / "images", read_rows(folder.chunk_csv(read_chunks(folder)[1])))
    return folder


def _copy(kind, plate, place):
    """Copy a stored folder; the images of the chunk that is to be done lie elsewhere now."""
    root = Path(shutil.copytree(STORED / kind, place / "screen", ignore=shutil.ignore_patterns("expected")))
    path = root / "chunks" / "000002.csv"
    former = f"/plates/{plate}/images".replace("//", "/")
    assert former in path.read_text()
    path.write_text(path.read_text().replace(former, str(place / "images")))
    return root


def assert_merged_as_before(folder, kind):
    """Compare with the tables that the earlier version merged; where the images lie is another place now."""
    for path in (STORED / kind / "expected").glob("*.csv"):
        before, now = (pd.read_csv(each, dtype=str) for each in (path, folder.merged / path.name))
        places = [name for name in before if name.startswith("PathName_") or name == "Files"]
        pd.testing.assert_frame_equal(now.drop(columns=places), before.drop(columns=places))


@pytest.mark.parametrize("kind", ["fast", "pipeline"])
def test_a_stored_plan_is_read_and_would_be_written_as_it_is(kind, tmp_path):
    plan = read_plan(ScreenFolder(STORED / kind))
    write_plan(ScreenFolder(tmp_path), plan)
    assert (tmp_path / "plan.json").read_bytes() == (STORED / kind / "plan.json").read_bytes()
    assert plan.procedure.by_nucdl_alone == (kind == "fast")


def test_what_stands_in_a_stored_plan_is_understood():
    plan = read_plan(ScreenFolder(STORED / "pipeline"))
    assert plan.procedure.steps == ("LoadData", "Find", "ExportToSpreadsheet")
    assert (plan.procedure.name, plan.procedure.changes, plan.grouping) == ("p.cppipe", ("a change",), ("Plate",))
    assert (plan.costs, plan.limits.read_seconds, plan.images.channels) == (Costs(4.0, 0.5), 60.0, ("DNA",))


@pytest.mark.parametrize(("kind", "seconds"), [("fast", "segmentation"), ("pipeline", "02Find")])
def test_a_stored_chunk_counts_as_finished(kind, seconds):
    folder = ScreenFolder(STORED / kind)
    first, second = read_chunks(folder)
    assert is_published(folder.result(first), first) and missing_chunks(folder) == [second]
    manifest = read_manifest(folder.result(first))
    assert manifest.procedure_sha256 == read_plan(folder).procedure.sha256
    assert seconds in manifest.step_seconds


def test_stored_settings_are_read_and_would_be_written_as_they_are():
    folder = ScreenFolder(STORED / "fast", SETTINGS)
    settings = read_settings(folder)
    assert format_settings(settings) == folder.procedure.read_text()
    assert (settings.batch, settings.config.diameter, settings.config.maximum_diameter) == (1, 24.0, float("inf"))
    assert settings.config.polarity == "bright"


def test_stored_culprits_are_read():
    assert read_culprits(ScreenFolder(STORED / "fast")) == {4: Culprit("the process ended by signal 11 (SIGSEGV)")}


def test_a_stored_screen_without_cellprofiler_is_finished(fast):
    end = run_fast(fast, read_plan(fast), 1)
    assert (end.succeeded, end.failed) == (2, 2)
    assert_merged_as_before(fast, "fast")


def test_a_stored_screen_with_a_pipeline_is_finished_and_reported(pipeline):
    assert chunk_program([str(pipeline.root), "2"]) == 0
    assert (merge_again(pipeline).succeeded, merge_again(pipeline).failed) == (2, 2)
    assert_merged_as_before(pipeline, "pipeline")


@pytest.mark.parametrize("kind", ["fast", "pipeline"])
def test_the_status_of_a_stored_screen_is_told(kind, tmp_path):
    root = shutil.copytree(STORED / kind, tmp_path / "screen")
    shown = CliRunner().invoke(main, ["screen", "status", "--output", str(root)])
    assert shown.exit_code == NOT_FINISHED
    assert "1 of 2 finished" in shown.output and "1 succeeded, 1 failed, 2 to do" in shown.output
    told = CliRunner().invoke(main, ["screen", "report", "--output", str(root)])
    assert told.exit_code == 1 and "chunk 000002 is missing" in told.output


def test_the_same_command_goes_on_with_a_stored_screen_without_cellprofiler(fast, monkeypatch):
    settings = read_settings(fast)
    # What was planned belongs to a processor, and to a version.
    monkeypatch.setattr(fast_plan, "format_name", lambda kind: settings.number_format)
    monkeypatch.setattr(fast_plan, "__version__", read_plan(fast).nucdl)
    request = FastRequest(
        fast.root / "list.csv", fast.root, settings.config, labels="none", chunk_size=2, allow_missing=True
    )
    assert plan_fast(request) == (fast, read_plan(fast))
    monkeypatch.setattr(fast_plan, "__version__", "99")
    with pytest.raises(ScreenError, match="was begun with NucDL 0.1.0, not 99; repeat the former command to go on"):
        plan_fast(request)


def test_a_chunk_of_a_screen_without_cellprofiler_is_refused_with_the_command_that_goes_on(fast):
    with pytest.raises(ScreenError, match="made by 'nucdl segment --csv'; repeat that command"):
        run_chunk(fast, 2)


def test_choices_about_micronuclei_and_lobes_are_stored_only_where_they_were_made():
    settings = read_settings(ScreenFolder(STORED / "fast", SETTINGS))
    assert (settings.flags, settings.config.micronuclei, settings.config.lobed_diameter) == (False, "large", 0)
    config = dataclasses.replace(settings.config, micronuclei="all", lobed_diameter=20.0)
    text = format_settings(dataclasses.replace(settings, config=config, flags=True))
    assert '"micronuclei": "all"' in text and '"lobed_diameter": 20.0' in text and '"flags": true' in text
