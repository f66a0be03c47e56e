"""Locks and private folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from screen_folders import PROGRAMS

from nucdl_core.errors import NucDLError
from nucdl_core.screen.core.plan import ScreenError, ScreenFolder
from nucdl_core.screen.core.work import (
    is_running,
    keep_error,
    lock_screen,
    private_folder,
    private_folders,
    read_error,
    remove_leftovers,
    running_chunks,
)


@pytest.fixture
def folder(tmp_path):
    return ScreenFolder(tmp_path / "screen")


def test_a_second_run_is_refused(folder):
    with lock_screen(folder):
        assert is_running(folder)
        with pytest.raises(ScreenError, match="another run works on"), lock_screen(folder):
            pass
    assert not is_running(folder)
    with lock_screen(folder):
        assert is_running(folder)


def test_the_lock_of_a_killed_process_is_gone(folder):
    program = [sys.executable, PROGRAMS / "killed_with_lock.py", folder.root]
    assert subprocess.run(program).returncode == -signal.SIGKILL
    assert not is_running(folder)
    with lock_screen(folder):
        assert is_running(folder)


def test_a_private_folder_is_seen_while_it_is_used_and_gone_afterwards(folder):
    with private_folder(folder, "000007") as work:
        assert work.parent == folder.work
        assert running_chunks(folder) == [7]
    assert private_folders(folder) == []


def test_leftovers_are_removed_and_nothing_else(folder):
    with private_folder(folder, "000001") as used:
        left = folder.work / "000002-0123456789ab"
        left.mkdir()
        (folder.work / "done").mkdir()
        remove_leftovers(folder)
        assert used.is_dir()
        assert (folder.work / "done").is_dir()
        assert not left.exists()


def test_a_merge_is_no_running_chunk(folder):
    with private_folder(folder, "merged"):
        assert running_chunks(folder) == []


def test_a_screen_that_was_never_run_has_no_private_folders(folder):
    assert private_folders(folder) == []
    assert not is_running(folder)


def test_a_folder_that_cannot_be_written_is_an_error(folder, tmp_path):
    (tmp_path / "screen").touch()
    with pytest.raises(NucDLError, match="cannot be written"), lock_screen(folder):
        pass
    with pytest.raises(NucDLError, match="cannot be made"), private_folder(folder, "000001"):
        pass


def test_why_a_chunk_failed_is_kept_with_its_messages(folder, tmp_path):
    log = tmp_path / "cellprofiler.log"
    log.write_text("what it said")
    keep_error(folder, "000003", "it failed", log)
    assert read_error(folder, "000003") == "it failed"
    assert (folder.work / "errors" / "000003" / "cellprofiler.log").read_text() == "what it said"
    assert read_error(folder, "000004") is None


def test_an_error_that_cannot_be_kept_is_no_further_error(tmp_path):
    (tmp_path / "screen").touch()
    keep_error(ScreenFolder(tmp_path / "screen"), "000001", "why", tmp_path / "absent")
    assert os.path.isfile(tmp_path / "screen")
