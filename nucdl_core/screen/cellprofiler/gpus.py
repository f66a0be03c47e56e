"""One GPU of this computer for each job that runs on it; on clusters the scheduler does that."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from filelock import FileLock

from nucdl_core.config import require
from nucdl_core.errors import NucDLError
from nucdl_core.files.locks import make_lock, take_lock
from nucdl_core.screen.core.process import POLL_SECONDS, StopRequest

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
_GPU_LOCK = "gpu-{}.lock"


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
    given = os.environ.get(VISIBLE_GPUS)
    if given is None:
        return [str(number) for number in range(count)]
    entries = [entry.strip() for entry in given.split(",") if entry.strip()]
    require(
        count <= len(entries),
        f"{count} GPUs were declared, but {VISIBLE_GPUS} is {given!r}, which names {len(entries)}; declare as many",
    )
    return entries[:count]


@contextlib.contextmanager
def hold_gpu(work: Path, count: int, parent: Optional[int] = None) -> Iterator[Optional[str]]:
    """Take one of this computer's GPUs for this process; it is free when the process ends, however it ends.

    Parameters
    ----------
    work : Path
        Folder of the locks, the same one for all that share the GPUs.
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
    locks = [make_lock(work / _GPU_LOCK.format(number)) for number in range(count)]
    number = _take_free(locks)
    # Snakemake starts no more jobs than there are GPUs, but one that it has killed may still be ending.
    while number is None:
        if parent is not None and os.getppid() != parent:
            raise StopRequest(128 + signal.SIGHUP)
        time.sleep(POLL_SECONDS)
        number = _take_free(locks)
    try:
        yield gpus[number]
    finally:
        locks[number].release()


def _take_free(locks: Sequence[FileLock]) -> Optional[int]:
    """Take the first of some locks that nobody holds, and return its position; None where all are taken."""
    for number, lock in enumerate(locks):
        try:
            if take_lock(lock, patience=0):
                return number
        except OSError as error:
            raise NucDLError(f"{lock.lock_file}: cannot be written ({error.strerror}); check the folder") from error
    return None
