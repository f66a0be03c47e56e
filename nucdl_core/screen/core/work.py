"""Private folders of running chunks, and the lock that keeps two runs of one screen apart."""

from __future__ import annotations

import contextlib
import re
import shutil
import uuid
from pathlib import Path
from typing import Iterator, List, Optional

from nucdl_core.errors import NucDLError
from nucdl_core.files.locks import hold_lock, is_locked
from nucdl_core.screen.core.plan import ScreenError, ScreenFolder

LOCK = "lock"
ERRORS, REASON_FILE = "errors", "reason.txt"
MARKER_FOLDER = "done"
"""Where Snakemake's jobs leave that they have ended; whether a chunk is finished is decided by its results alone."""
_PRIVATE = re.compile(r"(\d{6,}|merged)-[0-9a-f]{12}")


@contextlib.contextmanager
def lock_screen(folder: ScreenFolder) -> Iterator[None]:
    """Keep a second run out of a screen; the lock is gone when this process ends, however it ends.

    Raises
    ------
    ScreenError
        If another run holds it.
    NucDLError
        If the folder is not writable.
    """
    with contextlib.ExitStack() as held:
        try:
            folder.work.mkdir(parents=True, exist_ok=True)
            is_ours = held.enter_context(hold_lock(folder.work / LOCK))
        except OSError as error:
            raise NucDLError(f"{folder.work}: cannot be written ({error.strerror}); check the folder") from error
        if not is_ours:
            raise ScreenError(f"another run works on {folder.root}; wait for it, or end it and resume")
        yield


def is_running(folder: ScreenFolder) -> bool:
    """Tell whether a run holds the lock of a screen."""
    return is_locked(folder.work / LOCK)


@contextlib.contextmanager
def private_folder(folder: ScreenFolder, name: str) -> Iterator[Path]:
    """Make a folder for one try of a chunk (by its name) or of the merge, on the same disk as the results.

    It is removed at the end of the block.

    Raises
    ------
    NucDLError
        If it cannot be made.
    """
    private = folder.work / f"{name}-{uuid.uuid4().hex[:12]}"
    with contextlib.ExitStack() as held:
        try:
            private.mkdir(parents=True)
            held.enter_context(hold_lock(private / LOCK))
        except OSError as error:
            raise NucDLError(f"{private}: cannot be made ({error.strerror}); check the disk") from error
        try:
            yield private
        finally:
            shutil.rmtree(private, ignore_errors=True)


def private_folders(folder: ScreenFolder) -> List[Path]:
    """List the private folders that there are, used or left over."""
    if not folder.work.is_dir():
        return []
    return sorted(path for path in folder.work.iterdir() if _PRIVATE.fullmatch(path.name))


def running_chunks(folder: ScreenFolder) -> List[int]:
    """Return the numbers of the chunks that are being worked on."""
    names = {path.name.split("-")[0] for path in private_folders(folder) if is_locked(path / LOCK)}
    return sorted(int(name) for name in names if name.isdecimal())


def remove_leftovers(folder: ScreenFolder) -> None:
    """Remove the private folders of processes that were killed; those of living ones stay."""
    for path in private_folders(folder):
        if not is_locked(path / LOCK):
            shutil.rmtree(path, ignore_errors=True)


def keep_error(folder: ScreenFolder, name: str, reason: str, log: Optional[Path] = None) -> None:
    """Leave why a chunk (by its name) failed, with a file of messages if there is one, as far as the disk permits."""
    place = folder.work / ERRORS / name
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
        (place / REASON_FILE).write_text(reason + "\n", encoding="utf-8", errors="surrogateescape")
        if log is not None and log.is_file():
            shutil.copyfile(log, place / log.name)


def forget_error(folder: ScreenFolder, name: str) -> None:
    """Remove what `keep_error` left."""
    shutil.rmtree(folder.work / ERRORS / name, ignore_errors=True)


def read_error(folder: ScreenFolder, name: str) -> Optional[str]:
    """Return why a chunk (by its name) failed at its last try, if it did."""
    try:
        return (folder.work / ERRORS / name / REASON_FILE).read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return None
