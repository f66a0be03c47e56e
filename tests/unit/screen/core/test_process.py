"""One process that is supervised: what it prints, how it ends, and what is left of it."""

from __future__ import annotations

import os
import signal
import sys

import psutil
import pytest
from screen_folders import PROGRAMS

from nucdl_core.screen.core.process import Ending, Program, StopRequest, stop_on_signals, supervise


def silent():
    """Look at nothing."""


def idle(seconds=1000.0, *lines):
    """Return the command of a program that prints lines and does nothing for some seconds."""
    return [sys.executable, str(PROGRAMS / "says.py"), str(seconds), *lines]


def family(role, *arguments):
    """Return the command of a program with a child, see there."""
    return [sys.executable, str(PROGRAMS / "family.py"), role, *map(str, arguments)]


def is_gone(number):
    """Tell whether a process has ended, though perhaps nobody has asked for its exit code yet."""
    return not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


def test_the_exit_code_and_the_messages_are_kept(tmp_path):
    log = tmp_path / "log.txt"
    assert supervise(Program([sys.executable, "-c", "raise SystemExit(3)"], log=log), silent).code == 3
    ending = supervise(Program(idle(0, "hello"), log=log), silent)
    assert (ending.code, ending.killed, ending.by_force) == (0, None, False)
    assert log.read_text() == "hello\n"


def test_a_program_starts_in_its_folder_with_its_variables(tmp_path):
    code = "import os, sys; open('core', 'w').write(os.environ['WORD'])"
    environment = {**os.environ, "WORD": "x"}
    supervise(Program([sys.executable, "-c", code], environment, tmp_path, tmp_path / "log.txt"), silent)
    assert (tmp_path / "core").read_text() == "x"


def test_a_process_is_killed_for_the_reason_that_a_look_at_it_gives():
    looks = iter([None, None, "is not wanted any more"])
    ending = supervise(Program(idle()), lambda: next(looks))
    assert (ending.describe(), ending.by_force) == ("is not wanted any more", True)


def test_a_process_is_looked_at_once_more_after_its_end():
    looks = []
    assert supervise(Program(idle(0)), lambda: looks.append("look")).code == 0
    assert looks


def test_a_process_that_swells_is_killed():
    code = "x = bytearray(b'1' * 200_000_000); import time; time.sleep(1000)"
    ending = supervise(Program([sys.executable, "-c", code]), silent, memory_mb=100)
    assert ending.describe() == "took more memory than the limit of 100 MiB"
    assert ending.peak_memory_mb > 100


def test_a_process_whose_child_swells_is_killed_with_it(tmp_path):
    note = tmp_path / "child"
    ending = supervise(Program(family("swells", 300, note)), silent, memory_mb=200)
    assert ending.describe() == "took more memory than the limit of 200 MiB"
    assert is_gone(int(note.read_text()))


def test_a_process_whose_parent_is_gone_stops():
    with pytest.raises(StopRequest):
        supervise(Program(idle()), silent, parent=-1)


def test_a_signal_stops_the_process_and_its_children(tmp_path):
    note = tmp_path / "child"
    with pytest.raises(StopRequest) as stopped, stop_on_signals():
        supervise(Program(family("stops", os.getpid(), note)), silent)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert is_gone(int(note.read_text()))


def test_a_child_that_has_left_the_session_does_not_outlive_the_process(tmp_path):
    note = tmp_path / "child"
    assert supervise(Program(family("leaves", note)), silent).code == 0
    assert is_gone(int(note.read_text()))


def test_a_process_may_be_asked_to_end_by_itself_first(tmp_path):
    asked = []

    def stop(process):
        process.terminate()
        asked.append(process.wait(timeout=60))

    with pytest.raises(StopRequest):
        supervise(Program(idle(), log=tmp_path / "log.txt"), silent, parent=-1, stop=stop)
    assert asked == [-signal.SIGTERM]


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
