"""Watching a process, and reading CellProfiler's messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from nucdl_core.screen.core import process as process_module
from nucdl_core.screen.core.process import (
    Ending,
    Failure,
    ProcessLimits,
    Step,
    StopRequest,
    find_failures,
    find_steps,
    resident_memory_mb,
    stop_on_signals,
    watch_process,
)

FIRST_STEP = "print('Image # 1, module LoadData # 1: x', flush=True); "
LIMITS = ProcessLimits(60, 10_000)


@pytest.fixture
def watch(tmp_path):
    def run(code, limits=LIMITS):
        return watch_process([sys.executable, "-c", code], dict(os.environ), tmp_path / "log.txt", limits)

    return run


def test_the_exit_code_and_the_messages_are_kept(watch, tmp_path):
    assert watch("print('hello'); raise SystemExit(3)").code == 3
    assert (tmp_path / "log.txt").read_text() == "hello\n"


def test_a_process_works_in_its_temporary_folder_so_that_what_a_crash_leaves_goes_with_it(tmp_path):
    folder, log = tmp_path / "tmp", tmp_path / "log.txt"
    folder.mkdir()
    watch_process([sys.executable, "-c", "open('core', 'w')"], {**os.environ, "TMPDIR": str(folder)}, log, LIMITS)
    assert (folder / "core").exists()


def test_a_process_that_hangs_with_an_image_set_is_killed(watch):
    ending = watch(FIRST_STEP + "import time; time.sleep(1000)", ProcessLimits(0.3, 10_000))
    assert ending.by_force
    assert ending.describe() == "took more than the limit of 0.3 s for an image set"


def test_the_start_may_take_longer_than_an_image_set(watch, monkeypatch):
    assert watch("import time; time.sleep(0.5)", ProcessLimits(0.01, 10_000)).code == 0
    monkeypatch.setattr(process_module, "START_SECONDS", 0.0)
    assert watch("import time; time.sleep(1000)", ProcessLimits(0.01, 10_000)).killed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is watched on Linux")
def test_a_process_that_swells_is_killed(watch):
    ending = watch("x = bytearray(b'1' * 200_000_000); import time; time.sleep(1000)", ProcessLimits(60, 100))
    assert "memory than the limit of 100 MiB" in ending.describe()
    assert ending.peak_memory_mb > 100


def test_the_memory_of_a_process_that_is_gone_is_0():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert resident_memory_mb(gone.pid) == 0


def test_a_process_whose_parent_is_gone_stops(watch):
    with pytest.raises(StopRequest):
        watch("import time; time.sleep(1000)", ProcessLimits(60, 10_000, parent=-1))


def test_a_signal_stops_the_process_and_its_children(tmp_path, watch):
    pid = tmp_path / "pid"
    child = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); "
    child += f"os.kill({os.getpid()}, {signal.SIGTERM.value}); "
    with pytest.raises(StopRequest) as stopped, stop_on_signals():
        watch(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child + 'time.sleep(1000)'!r}])")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert is_gone(int(pid.read_text()))


def is_gone(pid):
    """Wait for a process of somebody else to be gone (or to be a zombie that nobody fetches)."""
    for _ in range(1000):
        if (
            subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()[:1]
            in "Z"
        ):
            return True
    return False


def test_handlers_of_signals_are_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("code", "words", "by_force"),
    [
        (0, "ended with code 0 without having finished", False),
        (1, "ended with code 1", False),
        (-11, "ended by signal 11 (SIGSEGV)", True),
        (134, "ended with code 134 (SIGABRT)", True),
        (255, "ended with code 255", False),
        (-200, "ended by signal 200 (unknown)", True),
    ],
)
def test_endings_in_words(code, words, by_force):
    ending = Ending(code, None, 0)
    assert (ending.describe(), ending.by_force) == (words, by_force)


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
    assert find_failures(LOG) == {
        1: Failure("Find", "nucdl_core.errors.ImageError: too dark"),
        3: Failure("Find", "no reason was logged"),
    }


def test_steps_are_read_from_the_messages():
    assert find_steps(LOG) == [Step(1, "LoadData"), Step(1, "Find"), Step(3, "Find")]
