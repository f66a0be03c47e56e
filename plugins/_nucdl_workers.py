"""CellProfiler's window computes in several worker processes at once, which must share the processor cores."""

from __future__ import annotations

import functools
import logging
import os
import sys
from typing import TYPE_CHECKING

from _nucdl_engine import engine

if TYPE_CHECKING:
    from psutil import Process

LOGGER = logging.getLogger(__name__)

WORKER_ARGUMENT = "--work-announce"
"""The argument by which CellProfiler's window tells its workers where they find work."""


@functools.lru_cache(maxsize=1)
def share_cores() -> None:
    """Limit the network to this worker's share of the cores; in any other process it may use them all.

    Each worker would otherwise start as many threads as there are cores, and all would wait for each other. Done once
    per process, with its first image: all workers run by then.
    """
    if WORKER_ARGUMENT not in sys.argv:
        return
    workers = count_workers()
    share = max(1, (os.cpu_count() or 1) // workers)
    if engine().limit_threads(share):
        LOGGER.info("%d workers share the processor: the network uses %d threads in this one", workers, share)


def count_workers() -> int:
    """Count the workers that belong to the same window as this one."""
    import psutil

    window = psutil.Process().parent()
    return max(1, sum(is_worker(process) for process in window.children())) if window is not None else 1


def is_worker(process: Process) -> bool:
    """Tell whether a process is a worker; one that has just ended is not."""
    import psutil

    try:
        return WORKER_ARGUMENT in process.cmdline()
    except psutil.Error:
        return False
