"""One chunk, with a stand-in for CellProfiler that really crashes, hangs and fails."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner
from screen_folders import screen_of, stand_in  # noqa: F401

from nucdl_core.cli.main import main as nucdl
from nucdl_core.errors import NucDLError
from nucdl_core.screen.cellprofiler import chunk as chunk_module
from nucdl_core.screen.cellprofiler.chunk import run_chunk
from nucdl_core.screen.chunk import chunk_program
from nucdl_core.screen.core import disk
from nucdl_core.screen.core.outcome import ChunkError
from nucdl_core.screen.core.plan import PlannedModel, ScreenError, ScreenLimits, read_plan, write_plan
from nucdl_core.screen.core.publish import FAILED, check_files, read_manifest
from nucdl_core.screen.core.work import private_folders, read_error

pytestmark = pytest.mark.usefixtures("stand_in")


def run(tmp_path, *words, **options):
    """Run a chunk whose image sets do what the words say; return its folder and the failed ones with the reasons."""
    folder, _, _ = screen_of(tmp_path, words, **options)
    result = run_chunk(folder, 1)
    check_files(result, read_manifest(result))
    assert not private_folders(folder)
    failed = pd.read_csv(result / FAILED).set_index("ImageNumber")
    return result, dict(failed["Reason"])


def test_a_chunk_without_failures_is_published_with_a_manifest(tmp_path):
    result, failed = run(tmp_path, "good", "good")
    manifest = read_manifest(result)
    assert (manifest.succeeded, manifest.failed, manifest.processes) == ((1, 2), 0, 1)
    assert manifest.tables == {"Image": 2, "Nuclei": 6}
    assert manifest.step_seconds == {"02Find": 0.5}
    assert manifest.seconds["cellprofiler"] > 0
    assert failed == {}


def test_a_cut_off_image_never_reaches_cellprofiler(tmp_path):
    result, failed = run(tmp_path, "cut", "good")
    assert list(failed) == [1]
    assert "001_cut.tif" in failed[1]
    assert read_manifest(result).succeeded == (2,)
    assert list(pd.read_csv(result / "Image.csv")["FileName_DNA"]) == ["002_good.tif"]
    assert list(pd.read_csv(result / FAILED)["Step"]) == ["reading images"]


def test_an_image_set_that_raises_is_named_and_the_others_are_done(tmp_path):
    result, failed = run(tmp_path, "good", "raise", "good")
    assert failed == {2: "ValueError: it is raise"}
    assert read_manifest(result).succeeded == (1, 3)
    assert read_manifest(result).processes == 2
    assert list(pd.read_csv(result / FAILED)["Module"]) == ["Find"]


def test_many_that_raise_are_found_in_one_process(tmp_path):
    result, failed = run(tmp_path, *["raise"] * 6, "good")
    assert list(failed) == [1, 2, 3, 4, 5, 6]
    # Two that end with one error each, one that goes on, and the one that does the work.
    assert read_manifest(result).processes == 4


@pytest.mark.parametrize(
    ("word", "reason"), [("segfault", "signal 11 (SIGSEGV)"), ("exit", "code 0 without having finished")]
)
def test_an_image_set_that_ends_the_process_is_named(tmp_path, word, reason):
    result, failed = run(tmp_path, "good", "good", word, "good")
    assert list(failed) == [3]
    assert reason in failed[3]
    assert read_manifest(result).succeeded == (1, 2, 4)


def test_an_image_set_that_hangs_is_killed_at_the_limit(tmp_path):
    _, failed = run(tmp_path, "good", "hang", limits=ScreenLimits(seconds=0.5))
    assert list(failed) == [2]
    assert "limit of 0.5 s" in failed[2]


def test_a_death_that_does_not_come_back_fails_no_image_set(tmp_path):
    result, failed = run(tmp_path, "good", "once", "good")
    assert failed == {}
    assert read_manifest(result).succeeded == (1, 2, 3)


def test_several_killers_are_all_found(tmp_path):
    _, failed = run(tmp_path, "segfault", "good", "segfault", "raise")
    assert sorted(failed) == [1, 3, 4]


def test_a_death_that_no_single_image_set_causes_fails_the_chunk(tmp_path):
    folder, _, _ = screen_of(tmp_path, ["crowd", "crowd"])
    with pytest.raises(ChunkError, match="make chunks smaller"):
        run_chunk(folder, 1)


def test_a_chunk_of_which_all_image_sets_fail_is_published_without_tables(tmp_path):
    result, failed = run(tmp_path, "cut", "segfault")
    assert sorted(failed) == [1, 2]
    assert read_manifest(result).tables == {}
    assert not (result / "Image.csv").exists()


def test_a_file_that_is_changed_during_the_run_fails_its_image_set(tmp_path):
    _, failed = run(tmp_path, "good", "change")
    assert list(failed) == [2]
    assert "changed during the run" in failed[2]


def test_a_full_disk_is_no_fault_of_an_image_set(tmp_path):
    folder, _, chunks = screen_of(tmp_path, ["good", "full"])
    with pytest.raises(ChunkError, match="No space left on device"):
        run_chunk(folder, 1)
    assert not folder.result(chunks[0]).exists()
    assert "No space left" in read_error(folder, "000001")
    assert (folder.work / "errors" / "000001" / "cellprofiler.log").is_file()


def test_a_crash_on_a_full_disk_is_no_fault_of_an_image_set(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "LEAST_FREE_MB", 1e12)
    folder, _, _ = screen_of(tmp_path, ["good", "segfault"])
    with pytest.raises(ChunkError, match=r"SIGSEGV\), and the disk of .* has only"):
        run_chunk(folder, 1)


def test_a_lost_gpu_is_no_fault_of_an_image_set(tmp_path):
    folder, _, _ = screen_of(tmp_path, ["good", "lost"])
    with pytest.raises(ChunkError, match="CUDA error"):
        run_chunk(folder, 1)


def test_a_failure_after_the_last_image_set_fails_the_chunk(tmp_path, stand_in):  # noqa: F811
    (stand_in / "late").touch()
    folder, _, chunks = screen_of(tmp_path, ["good"])
    with pytest.raises(ChunkError, match=r"after the last image set: ValueError: too late"):
        run_chunk(folder, 1)
    assert not folder.result(chunks[0]).exists()


def test_a_published_chunk_is_left_as_it_is(tmp_path):
    folder, _, _ = screen_of(tmp_path, ["good"])
    before = (run_chunk(folder, 1) / "manifest.json").read_bytes()
    assert (run_chunk(folder, 1) / "manifest.json").read_bytes() == before


def test_a_damaged_chunk_is_done_again(tmp_path):
    folder, _, _ = screen_of(tmp_path, ["good"])
    result = run_chunk(folder, 1)
    (result / "Image.csv").write_text("")
    check_files(run_chunk(folder, 1), read_manifest(result))


def test_an_old_error_is_forgotten_when_the_chunk_is_finished(tmp_path):
    folder, _, (chunk,) = screen_of(tmp_path, ["full"])
    with pytest.raises(ChunkError, match="No space left"):
        run_chunk(folder, 1)
    images = folder.chunk_csv(chunk)
    plan_again = images.read_text().replace("001_full.tif", "001_good.tif")
    (tmp_path / "images" / "001_full.tif").rename(tmp_path / "images" / "001_good.tif")
    images.write_text(plan_again)
    run_chunk(folder, 1)
    assert read_error(folder, "000001") is None


def test_an_altered_pipeline_is_refused(tmp_path):
    folder, _, _ = screen_of(tmp_path, ["good"])
    folder.procedure.write_text("another")
    with pytest.raises(ScreenError, match="altered after planning"):
        run_chunk(folder, 1)


def test_an_altered_list_is_refused(tmp_path):
    folder, _, chunks = screen_of(tmp_path, ["good", "good"])
    lines = folder.chunk_csv(chunks[0]).read_text().splitlines()
    folder.chunk_csv(chunks[0]).write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(ScreenError, match="altered after planning"):
        run_chunk(folder, 1)


def test_a_model_that_was_swapped_is_refused(tmp_path, tiny_bundle):
    folder, plan, _ = screen_of(tmp_path, ["good"])
    write_plan(folder, dataclasses.replace(plan, models=(PlannedModel(str(tiny_bundle), "0" * 64),)))
    assert read_plan(folder).models
    with pytest.raises(ScreenError, match="was changed since the screen was planned"):
        run_chunk(folder, 1)


def test_a_chunk_that_does_not_exist_is_refused(tmp_path):
    folder, _, _ = screen_of(tmp_path, ["good"])
    with pytest.raises(ScreenError, match="has the chunks 1 to 1"):
        run_chunk(folder, 2)


def test_cellprofiler_that_dies_before_the_first_image_set_fails_the_chunk(tmp_path):
    folder, _, _ = screen_of(tmp_path, ["good"])
    (tmp_path / "bin" / "cellprofiler").write_text("#!/bin/sh\necho 'ImportError: no module'\nexit 1\n")
    with pytest.raises(ChunkError, match="before the first image set: ImportError: no module"):
        run_chunk(folder, 1)


def test_the_command_publishes_and_leaves_a_marker(tmp_path):
    folder, _, chunks = screen_of(tmp_path, ["raise"])
    marker = tmp_path / "markers" / "000001"
    assert chunk_program([str(folder.root), "1", "--marker", str(marker), "--with-parent"]) == 0
    assert marker.exists()
    assert folder.result(chunks[0]).is_dir()


def test_a_job_array_does_a_chunk_by_the_command_of_screens(tmp_path):
    folder, _, chunks = screen_of(tmp_path, ["good"])
    assert CliRunner().invoke(nucdl, ["screen", "chunk", str(folder.root), "1"]).exit_code == 0
    assert folder.result(chunks[0]).is_dir()
    assert CliRunner().invoke(nucdl, ["screen", "chunk", str(folder.root), "2"]).exit_code == 1


def test_the_program_in_job_scripts_of_earlier_versions_still_works(tmp_path):
    folder, _, _ = screen_of(tmp_path, ["good"])
    command = [sys.executable, "-m", "nucdl_core.screen.chunk", str(folder.root), "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"chunk 2: there is no chunk 2; {folder.root} has the chunks 1 to 1\n")


def test_the_command_fails_with_one_line(tmp_path, capsys):
    folder, _, _ = screen_of(tmp_path, ["full"])
    assert chunk_program([str(folder.root), "1", "--marker", str(tmp_path / "marker")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "marker").exists()


def test_a_full_disk_at_publishing_publishes_nothing(tmp_path, monkeypatch):
    folder, _, chunks = screen_of(tmp_path, ["good"])

    def full(*_):
        raise NucDLError("no space")

    monkeypatch.setattr(chunk_module, "publish", full)
    with pytest.raises(NucDLError, match="no space"):
        run_chunk(folder, 1)
    assert not folder.result(chunks[0]).exists()
    assert not private_folders(folder)
