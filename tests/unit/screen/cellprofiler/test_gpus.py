"""Each chunk holds one GPU of this computer for itself; there is none here, so what a process is shown is tested."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest
from screen_folders import PROGRAMS, screen_of, stand_in  # noqa: F401

from nucdl_core.errors import ConfigError, NucDLError
from nucdl_core.screen.cellprofiler import gpus
from nucdl_core.screen.cellprofiler.engine import run_missing_chunks, workflow_configuration
from nucdl_core.screen.cellprofiler.gpus import hold_gpu, visible_gpus
from nucdl_core.screen.cellprofiler.snakemake import EngineOptions
from nucdl_core.screen.chunk import chunk_program
from nucdl_core.screen.core.plan import ScreenFolder
from nucdl_core.screen.core.process import StopRequest


@pytest.fixture(autouse=True)
def _all_gpus_are_visible(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def folder(tmp_path):
    folder = ScreenFolder(tmp_path / "screen")
    folder.work.mkdir(parents=True)
    return folder


@pytest.fixture
def holder(folder):
    """Return a function that starts a process which holds one of two GPUs, and tells which."""
    started = []

    def start():
        command = [sys.executable, str(PROGRAMS / "holds_gpu.py"), str(folder.root)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1], started[-1].stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_each_process_holds_a_gpu_of_its_own(folder, holder):
    assert [holder()[1], holder()[1]] == ["0", "1"]


def test_the_gpu_of_a_killed_process_is_free_again(folder, holder):
    first, _ = holder()
    holder()
    first.kill()
    first.wait()
    with hold_gpu(folder.work, 2) as gpu:
        assert gpu == "0"


def test_a_gpu_is_given_back_at_the_end(folder):
    for _ in range(2):
        with hold_gpu(folder.work, 1) as gpu:
            assert gpu == "0"


def test_where_all_gpus_are_taken_the_next_process_waits_for_one(folder, monkeypatch):
    first = hold_gpu(folder.work, 1)
    first.__enter__()
    waited = []
    monkeypatch.setattr(gpus.time, "sleep", lambda seconds: (waited.append(seconds), first.__exit__(None, None, None)))
    with hold_gpu(folder.work, 1, parent=os.getppid()) as gpu:
        assert gpu == "0"
    assert len(waited) == 1


def test_a_process_whose_parent_is_gone_waits_no_longer(folder):
    with hold_gpu(folder.work, 1), pytest.raises(StopRequest) as stopped, hold_gpu(folder.work, 1, parent=-1):
        pass
    assert stopped.value.code == 128 + signal.SIGHUP


def test_without_declared_gpus_none_is_held(folder):
    with hold_gpu(folder.work, 0) as gpu:
        assert gpu is None
    assert list(folder.work.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "shown"), [(None, ["0", "1"]), ("2,0,1", ["2", "0"]), ("GPU-a, GPU-b", ["GPU-a", "GPU-b"])]
)
def test_the_gpus_are_those_that_a_person_has_made_visible(monkeypatch, given, shown):
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpus(2) == shown


def test_more_gpus_than_are_visible_are_refused_before_anything_is_started(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("NUCDL_SNAKEMAKE", str(tmp_path / "absent"))
    screen, _, _ = screen_of(tmp_path, ["good"])
    with pytest.raises(ConfigError, match="2 GPUs were declared, but CUDA_VISIBLE_DEVICES is '3', which names 1"):
        run_missing_chunks(screen, EngineOptions(gpus=2))


def test_a_work_folder_that_is_none_is_an_error(tmp_path):
    (tmp_path / "work").touch()
    with pytest.raises(NucDLError, match="cannot be written"), hold_gpu(ScreenFolder(tmp_path).work, 1):
        pass


def test_a_profile_leaves_the_gpus_to_the_scheduler(tmp_path):
    screen, plan, chunks = screen_of(tmp_path, ["good"])
    here = workflow_configuration(screen, plan, chunks, EngineOptions(gpus=2))
    there = workflow_configuration(screen, plan, chunks, EngineOptions(gpus=2, profile="slurm"))
    assert [(given["gpu"], given["gpus_here"]) for given in (here, there)] == [(1, 2), (1, 0)]


@pytest.fixture
def seen(tmp_path, stand_in):  # noqa: F811
    """Return a function that runs a chunk and tells which GPUs its CellProfiler was shown."""
    program, note = tmp_path / "bin" / "cellprofiler", tmp_path / "seen"
    works = program.rename(program.with_name("works"))
    program.write_text(f'#!/bin/sh\necho "${{CUDA_VISIBLE_DEVICES-all}}" >{note}\nexec {works} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def run(screen, *options):
        assert chunk_program([str(screen.root), "1", *options]) == 0
        return note.read_text().strip()

    return run


def test_cellprofiler_sees_the_gpu_that_its_chunk_holds_and_no_other(tmp_path, seen, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    screen, _, _ = screen_of(tmp_path, ["good"])
    screen.work.mkdir()
    with hold_gpu(screen.work, 2) as other:
        assert (other, seen(screen, "--gpus", "2")) == ("5", "7")


@pytest.mark.parametrize("given", ["all", "5,7"])
def test_without_declared_gpus_cellprofiler_sees_what_a_person_sees(tmp_path, seen, monkeypatch, given):
    if given != "all":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    screen, _, _ = screen_of(tmp_path, ["good"])
    assert seen(screen) == given
