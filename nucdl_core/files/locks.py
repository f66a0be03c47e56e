"""Locks that are gone with the process that holds them, however it ends.

A lock is a file that a process holds by ``flock``, as every version of NucDL does, so that versions see each other.
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Any, Dict, Iterator

from filelock import FileLock, Timeout

from nucdl_core.errors import NucDLError

PATIENCE_SECONDS = 0.3
"""A lock that is taken longer than that belongs to somebody who works, and not to one who looks whether it is taken."""
# On a disk that cannot lock files, newer versions of the library take the mere existence of the file for the lock,
# which a killed process leaves behind; older ones do not know that option, and pass over it.
_OPTIONS: Dict[str, Any] = {"mode": 0o664, "fallback_to_soft": False}


def make_lock(path: Path) -> FileLock:
    """Make a lock of a file, which is not held yet; nothing is written."""
    return FileLock(path, **_OPTIONS)


def take_lock(lock: FileLock, patience: float = PATIENCE_SECONDS) -> bool:
    """Try to get a lock.

    Parameters
    ----------
    lock : FileLock
        From `make_lock`; its file is made where it is missing, and stays.
    patience : float
        Seconds for which to try.

    Returns
    -------
    bool
        Whether this process has it; until `release` is called, or the process ends.

    Raises
    ------
    OSError
        If the file cannot be made or written, or the disk cannot lock files.
    """
    try:
        lock.acquire(timeout=patience, poll_interval=PATIENCE_SECONDS / 10)
    except Timeout:
        return False
    except NotImplementedError as error:
        raise OSError(errno.ENOSYS, "the disk cannot lock files", lock.lock_file) from error
    return True


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[bool]:
    """Hold the lock of a file until the end of the block; tell whether this process got it, see `take_lock`.

    Raises
    ------
    NucDLError
        If the file cannot be made or written, or the disk cannot lock files.
    """
    lock = make_lock(path)
    try:
        is_ours = take_lock(lock)
    except OSError as error:
        raise NucDLError(f"{path}: cannot be locked ({error.strerror}); check the folder and the disk") from error
    try:
        yield is_ours
    finally:
        if is_ours:
            lock.release()


def is_locked(path: Path) -> bool:
    """Tell whether a process holds a lock.

    Asking makes no file and needs no permission to write, which acquiring would. Two who ask at the same time do not
    see each other.
    """
    # Only screens ask, which run where there is flock; holding a lock works on every system.
    import fcntl

    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
