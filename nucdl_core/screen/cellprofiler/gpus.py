"""One GPU of this computer for each chunk that runs on it; on clusters the scheduler does that."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import IO, Iterator, List, Optional

from nucdl_core.config import require
from nucdl_core.errors import NucDLError
from nucdl_core.screen.core.plan import ScreenFolder
from nucdl_core.screen.core.process import StopRequest
from nucdl_core.screen.core.work import try_lock

VISIBLE = "CUDA_VISIBLE_DEVICES"
GPU_LOCK = "gpu-{}.lock"
POLL_SECONDS = 0.2


def visible_gpus(count: int) -> List[str]:
    """Name the first GPUs of this computer as CUDA does.

    Parameters
    ----------
    count : int
        How many.

    Returns
    -------
    list of str
        Values of CUDA_VISIBLE_DEVICES with which a process sees one of them: "0", "1" and so on, or the entries of the
        variable where it is set.

    Raises
    ------
    ConfigError
        If the variable has fewer entries.
    """
    given = os.environ.get(VISIBLE)
    if given is None:
        return [str(number) for number in range(count)]
    entries = [entry.strip() for entry in given.split(",") if entry.strip()]
    require(
        count <= len(entries),
        f"{count} GPUs were declared, but {VISIBLE} is {given!r}, which names {len(entries)}; declare as many",
    )
    return entries[:count]


@contextlib.contextmanager
def hold_gpu(folder: ScreenFolder, count: int, parent: Optional[int] = None) -> Iterator[Optional[str]]:
    """Take one of this computer's GPUs for this process; it is free when the process ends, however it ends.

    Parameters
    ----------
    folder : ScreenFolder
        Of the screen, whose chunks share the GPUs.
    count : int
        How many there are; 0 takes none.
    parent : int or None
        Process without which this one does not wait any longer.

    Yields
    ------
    str or None
        See `visible_gpus`.

    Raises
    ------
    ConfigError
        See `visible_gpus`.
    NucDLError
        If the folder is not writable.
    StopRequest
        If the parent ends while all GPUs are taken.
    """
    gpus = visible_gpus(count)
    if not gpus:
        yield None
        return
    with contextlib.ExitStack() as opened:
        locks = [opened.enter_context(_open(folder.work / GPU_LOCK.format(number))) for number in range(count)]
        number = _first_free(locks)
        # Snakemake starts no more chunks than there are GPUs, but one that it has killed may still be ending.
        while number is None:
            if parent is not None and os.getppid() != parent:
                raise StopRequest(128 + signal.SIGHUP)
            time.sleep(POLL_SECONDS)
            number = _first_free(locks)
        yield gpus[number]


def _open(path: Path) -> IO[str]:
    try:
        return path.open("a")
    except OSError as error:
        raise NucDLError(f"{path}: cannot be written ({error.strerror}); check the folder") from error


def _first_free(locks: List[IO[str]]) -> Optional[int]:
    """Lock the first of these files that is not locked, and return its position."""
    return next((number for number, lock in enumerate(locks) if try_lock(lock.fileno())), None)
