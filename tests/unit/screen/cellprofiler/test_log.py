"""Reading CellProfiler's messages, and seeing from them that it hangs."""

from __future__ import annotations

import os
import sys

import pytest
from screen_folders import PROGRAMS

from nucdl_core.screen.cellprofiler import log as log_module
from nucdl_core.screen.cellprofiler.log import (
    FinishedModule,
    GrowingLog,
    find_finished_modules,
    find_module_failures,
    last_error,
)
from nucdl_core.screen.core.outcome import Failure
from nucdl_core.screen.core.process import Program, supervise

LOG = """\
Sat Nov 21 2026: Image # 1, module LoadData # 1: CPU_time = 0.1 secs
Error detected during run of module Find
Traceback (most recent call last):
  File "x.py", line 3, in run
nucdl_core.errors.ImageError: too dark
Sat Nov 21 2026: Image # 1, module Find # 2: CPU_time = 0.1 secs
Error detected during run of module Find
Sat Nov 21 2026: Image # 3, module Find # 2: CPU_time = 0.1 secs
"""


def test_failures_are_read_from_the_messages():
    assert find_module_failures(LOG) == {
        1: Failure("Find", "nucdl_core.errors.ImageError: too dark"),
        3: Failure("Find", "no reason was logged"),
    }


def test_finished_modules_are_read_from_the_messages():
    assert find_finished_modules(LOG) == [
        FinishedModule(1, "LoadData"),
        FinishedModule(1, "Find"),
        FinishedModule(3, "Find"),
    ]


def test_the_last_error_is_the_one_that_is_told():
    assert last_error("ValueError: one\nall is well\nnucdl_core.errors.ImageError: two \nlast words") == (
        "nucdl_core.errors.ImageError: two"
    )
    assert last_error("all is well") == "no error was logged"


@pytest.fixture
def ending(tmp_path):
    """Return a function that tells how a program ends which prints lines and then does nothing for some time."""

    def run(limit, *lines, idle=1000):
        log = tmp_path / "log.txt"
        command = [sys.executable, str(PROGRAMS / "says.py"), str(idle), *lines]
        return supervise(Program(command, dict(os.environ), log=log), GrowingLog(log, limit))

    return run


def test_cellprofiler_that_hangs_with_an_image_set_is_killed(ending):
    found = ending(0.3, "Image # 1, module LoadData # 1: x")
    assert found.by_force
    assert found.describe() == "took more than the limit of 0.3 s for an image set"


def test_the_start_may_take_longer_than_an_image_set(ending, monkeypatch):
    assert ending(0.01, idle=0.5).code == 0
    monkeypatch.setattr(log_module, "START_SECONDS", 0.0)
    assert ending(0.01).killed


def test_a_line_that_is_written_in_two_parts_is_understood(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "START_SECONDS", 1000.0)
    path = tmp_path / "log.txt"
    path.write_text("Image # 1, mod")
    look = GrowingLog(path, -1.0)
    assert look() is None
    with path.open("a") as stream:
        stream.write("ule LoadData # 1: x\n")
    assert look() == "took more than the limit of -1 s for an image set"
