"""Calling Snakemake, with a stand-in for it; the real one runs in tests/headless."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from screen_folders import PROGRAMS, finish_chunk, make_screen, row, write_command

from nucdl_core.cli.main import main
from nucdl_core.cli.words import NOT_FINISHED, SOME_FAILED
from nucdl_core.errors import ConfigError
from nucdl_core.screen.cellprofiler import engine
from nucdl_core.screen.cellprofiler import snakemake as snakemake_module
from nucdl_core.screen.cellprofiler.engine import SNAKEFILE, run_missing_chunks
from nucdl_core.screen.cellprofiler.run import finish_screen
from nucdl_core.screen.cellprofiler.snakemake import EngineOptions, find_profile, find_snakemake, snakemake_command
from nucdl_core.screen.core.finish import discard_failed_chunks, missing_chunks
from nucdl_core.screen.core.plan import ScreenError
from nucdl_core.screen.core.process import StopRequest, stop_on_signals
from nucdl_core.screen.core.work import keep_error

ROWS = [row(number) for number in range(1, 5)]


@pytest.fixture
def screen(tmp_path):
    folder, plan, chunks = make_screen(tmp_path / "screen", ROWS, [2, 2])
    return folder, plan, chunks


@pytest.fixture
def snakemake(tmp_path, monkeypatch):
    """Return a function that makes a Snakemake which does what it is told, see the program."""

    def make(*told):
        program = tmp_path / "snakemake"
        write_command(program, PROGRAMS / "snakemake_stand_in.py")
        (tmp_path / "told").write_text(" ".join(map(str, told or ["finish"])))
        monkeypatch.setenv("NUCDL_SNAKEMAKE", str(program))
        return program

    return make


@pytest.fixture
def no_snakemake(monkeypatch, tmp_path):
    """A computer without Snakemake."""
    monkeypatch.delenv("NUCDL_SNAKEMAKE", raising=False)
    monkeypatch.setattr(snakemake_module.sys, "prefix", str(tmp_path / "environments" / "nucdl"))
    monkeypatch.setattr(snakemake_module.shutil, "which", lambda name: None)


def call(*arguments):
    return CliRunner().invoke(main, ["screen", *map(str, arguments)])


def test_only_missing_chunks_are_run(screen, snakemake):
    folder, plan, chunks = screen
    finish_chunk(folder, plan, chunks[0])
    snakemake()
    assert run_missing_chunks(folder, EngineOptions()) == []
    given = json.loads((folder.work / "workflow.json").read_text())
    assert given["missing"] == ["000002"]
    assert given["gpu"] == 0
    assert given["memory_mb"] > plan.limits.memory_mb


def test_a_finished_screen_starts_nothing(screen, monkeypatch):
    folder, plan, chunks = screen
    for chunk in chunks:
        finish_chunk(folder, plan, chunk)
    monkeypatch.setattr(engine, "find_snakemake", lambda: pytest.fail("it was looked for"))
    assert run_missing_chunks(folder, EngineOptions()) == []


def test_chunks_that_fail_are_returned(screen, snakemake):
    folder, _, chunks = screen
    snakemake("fail")
    keep_error(folder, "000001", "the disk is full", folder.work / "absent")
    assert run_missing_chunks(folder, EngineOptions()) == chunks


def test_snakemake_that_cannot_begin_is_an_error_with_its_words(screen, snakemake):
    snakemake("fail", "no such profile")
    with pytest.raises(
        ScreenError, match=r"ended with code 1 without any chunk: no such profile; see .*snakemake\.log"
    ):
        run_missing_chunks(screen[0], EngineOptions())


def test_the_command_line_declares_cores_and_gpus(screen, tmp_path):
    folder = screen[0]
    local = snakemake_command(tmp_path, SNAKEFILE, folder.work, EngineOptions(cores=3, gpus=2))
    assert local[local.index("--cores") + 1] == "3"
    assert local[local.index("--resources") + 1] == "gpu=2"
    cluster = snakemake_command(tmp_path, SNAKEFILE, folder.work, EngineOptions(profile="slurm"))
    assert cluster[cluster.index("--profile") + 1] == "slurm"
    assert "--cores" not in cluster
    assert Path(local[local.index("--snakefile") + 1]).is_file()


@pytest.mark.parametrize("options", [{"cores": 0}, {"gpus": -1}, {"retries": -1}])
def test_impossible_options_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ConfigError, match=f"the number of {name.replace('gpus', 'GPUs')} is {value}; give"):
        EngineOptions(**options)


def test_a_stop_reaches_snakemake(screen, snakemake, tmp_path):
    snakemake("stop", os.getpid())
    with pytest.raises(StopRequest), stop_on_signals():
        run_missing_chunks(screen[0], EngineOptions())
    assert (tmp_path / "note").exists()


def test_snakemake_that_does_not_stop_is_killed(screen, snakemake, monkeypatch):
    monkeypatch.setattr(engine, "STOP_SECONDS", 0.2)
    snakemake("stay", os.getpid())
    with pytest.raises(StopRequest) as stopped, stop_on_signals():
        run_missing_chunks(screen[0], EngineOptions())
    assert stopped.value.code == 128 + signal.SIGTERM
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if str(screen[0].work) in (each.info["cmdline"] or ())
    ]


def test_an_old_snakemake_is_refused(snakemake):
    snakemake("version", "7.32.4")
    with pytest.raises(ScreenError, match=r"is Snakemake 7\.32\.4; 9 or later is needed"):
        find_snakemake()


def test_a_snakemake_that_is_not_there_is_refused_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("NUCDL_SNAKEMAKE", str(tmp_path / "absent"))
    with pytest.raises(ScreenError, match=r"there is no Snakemake at .*absent.*pip install"):
        find_snakemake()


def test_where_there_is_no_snakemake_the_command_that_installs_it_is_told(no_snakemake):
    with pytest.raises(ScreenError, match=r"no Snakemake.*'make screen'.*pip install 'snakemake>=9'.*NUCDL_SNAKEMAKE"):
        find_snakemake()


@pytest.mark.parametrize("environment", ["nucdl", ".venv-screen"])
def test_snakemake_is_found_beside_this_python_and_in_the_environment_beside(
    no_snakemake, snakemake, monkeypatch, tmp_path, environment
):
    place = tmp_path / "environments" / environment / "bin"
    place.mkdir(parents=True)
    for name in (snakemake(), tmp_path / "told"):
        shutil.copy(name, place)
    monkeypatch.delenv("NUCDL_SNAKEMAKE")
    assert find_snakemake() == place / "snakemake"


def test_snakemake_is_found_on_the_path(no_snakemake, snakemake, monkeypatch):
    program = snakemake()
    monkeypatch.delenv("NUCDL_SNAKEMAKE")
    monkeypatch.setattr(snakemake_module.shutil, "which", lambda name: str(program))
    assert find_snakemake() == program


def test_a_screen_is_run_merged_and_reported(screen, snakemake):
    folder = screen[0]
    snakemake()
    end = finish_screen(folder, EngineOptions())
    assert (end.succeeded, end.failed, end.unfinished) == (4, 0, {})
    assert end.report.is_file()
    assert (folder.merged / "run_report.json").is_file()


def test_the_exit_code_is_0_when_everything_succeeded(screen, snakemake):
    folder = screen[0]
    snakemake()
    done = call("resume", "--output", folder.root)
    assert done.exit_code == 0, done.output
    assert "4 image sets succeeded, 0 failed" in done.output
    assert call("status", "--output", folder.root).exit_code == 0
    assert call("report", "--output", folder.root).exit_code == 0


def test_the_exit_code_tells_of_named_failures(screen):
    folder, plan, chunks = screen
    for chunk in chunks:
        finish_chunk(folder, plan, chunk, failed=(3,))
    done = call("report", "--output", folder.root)
    assert done.exit_code == SOME_FAILED, done.output
    assert "failed_image_sets.csv" in done.output
    shown = call("status", "--output", folder.root)
    assert shown.exit_code == SOME_FAILED
    assert "3 succeeded, 1 failed, 0 to do" in shown.output


def test_the_exit_code_tells_that_the_run_did_not_finish(screen, snakemake):
    folder, plan, chunks = screen
    snakemake("fail")
    finish_chunk(folder, plan, chunks[0])
    keep_error(folder, "000002", "the disk is full", folder.work / "absent")
    done = call("resume", "--output", folder.root)
    assert done.exit_code == NOT_FINISHED
    assert "chunk 000002: the disk is full" in done.output
    assert "nucdl screen resume" in done.output
    shown = call("status", "--output", folder.root)
    assert shown.exit_code == NOT_FINISHED
    assert "1 of 2 finished" in shown.output
    assert "the disk is full" in shown.output


def test_a_stopped_run_says_how_to_go_on(screen, snakemake):
    snakemake("stop", os.getpid())
    done = call("resume", "--output", screen[0].root)
    assert done.exit_code == 128 + signal.SIGTERM
    assert "go on with: nucdl screen resume" in done.output


def test_failed_image_sets_are_tried_again_on_request(screen, snakemake):
    folder, plan, chunks = screen
    finish_chunk(folder, plan, chunks[0])
    finish_chunk(folder, plan, chunks[1], failed=(3, 4))
    assert missing_chunks(folder) == []
    snakemake()
    assert call("resume", "--output", folder.root, "--retry-failed").exit_code == 0
    assert discard_failed_chunks(folder) == 0


def test_a_folder_without_a_plan_is_refused_in_one_line(tmp_path):
    for command in ("status", "resume", "report"):
        done = call(command, "--output", tmp_path)
        assert done.exit_code == 1
        assert "nucdl screen plan" in done.output.splitlines()[-1]


def test_a_missing_profile_is_refused_with_the_places_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ScreenError, match=rf"profile 'slurm': no config.yaml in .*{tmp_path}/snakemake/slurm"):
        find_profile("slurm")


@pytest.mark.parametrize("name", ["config.yaml", "config.v8+.yaml"])
def test_a_profile_is_found_by_its_name_in_snakemakes_own_folder(tmp_path, monkeypatch, name):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    place = tmp_path / "snakemake" / "slurm"
    place.mkdir(parents=True)
    (place / name).touch()
    assert find_profile("slurm") == str(place)
    assert find_profile(str(place)) == str(place)
