"""Locks: seen by whoever asks, whatever took them, and nothing is made by asking."""

import errno
import fcntl
import importlib
import os
import sys
import threading

import pytest

from nucdl_core.errors import NucDLError
from nucdl_core.files import locks
from nucdl_core.files.locks import hold_lock, is_locked, make_lock, take_lock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


def test_a_lock_is_held_once(path):
    with hold_lock(path) as is_ours, hold_lock(path) as second:
        assert (is_ours, second) == (True, False)
        assert is_locked(path)
    assert not is_locked(path)
    with hold_lock(path) as again:
        assert again


def test_a_lock_of_another_version_is_seen_and_sees_this_one(path):
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert is_locked(path)
        assert not take_lock(make_lock(path), patience=0)
    with hold_lock(path), path.open("a") as stream, pytest.raises(BlockingIOError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_asking_makes_nothing(path, tmp_path):
    assert not is_locked(path)
    assert not is_locked(tmp_path / "gone" / "lock")
    assert list(tmp_path.iterdir()) == []


def test_asking_needs_no_permission_to_write(path, monkeypatch):
    path.touch(mode=0o444)
    opened = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda name, flags, *mode: opened.append(flags) or real(name, flags, *mode))
    assert not is_locked(path)
    assert not any(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) for flags in opened)


def test_the_file_stays_so_that_nobody_locks_one_that_is_gone(path):
    with hold_lock(path):
        before = path.stat().st_ino
    assert path.stat().st_ino == before


def test_one_who_asks_keeps_nobody_out(path):
    path.touch()
    with path.open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert not is_locked(path)
        timer = threading.Timer(locks.PATIENCE_SECONDS / 3, fcntl.flock, (asking, fcntl.LOCK_UN))
        timer.start()
        with hold_lock(path) as is_ours:
            assert is_ours
        timer.join()


def test_a_disk_that_cannot_lock_files_is_an_error_and_no_lock_that_a_killed_process_leaves(path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(NucDLError, match="cannot be locked .*(cannot lock files|not implemented)"), hold_lock(path):
        pass
    assert not is_locked(path)


def test_a_lock_in_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NucDLError, match="cannot be locked"), hold_lock(tmp_path / "file" / "lock"):
        pass


def test_a_lock_is_held_also_where_there_is_no_flock_module(path, monkeypatch):
    """As on Windows, where filelock has a way of its own."""
    monkeypatch.setitem(sys.modules, "fcntl", None)
    importlib.reload(locks)
    with locks.hold_lock(path) as is_ours:
        assert is_ours
