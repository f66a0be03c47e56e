"""What a benchmark's child processes take together: time by the clock, processor time, memory."""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from typing import Callable, NamedTuple, Optional

import psutil

SECONDS_BETWEEN_LOOKS = 1.0


class Cost(NamedTuple):
    """Seconds by the clock, processor seconds of all processes, largest memory (MiB) of those that lived at once."""

    wall: float
    processor: float
    memory: Optional[float]


def cost_of(call: Callable[[], object]) -> Cost:
    """Measure the processes that a call starts and waits for, with their children; this one does not count.

    The memory is the sum of the proportional shares (PSS), so that a page that processes share counts once; None where
    the system does not tell (it is Linux that does), or no process lived long enough to be looked at.
    """
    ended, shares = threading.Event(), [0.0]
    watcher = threading.Thread(target=_watch, args=(ended, shares))
    begun, used = time.perf_counter(), _processor_seconds()
    watcher.start()
    try:
        call()
        wall, processor = time.perf_counter() - begun, _processor_seconds() - used
    finally:
        ended.set()
        watcher.join()
    return Cost(wall, processor, max(shares) or None)


def _processor_seconds() -> float:
    """Processor time of all processes that have ended and were waited for, by this one or by those."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _watch(ended: threading.Event, shares: list[float]) -> None:
    while not ended.wait(SECONDS_BETWEEN_LOOKS):
        shares.append(sum(_memory(child) for child in psutil.Process().children(recursive=True)))


def _memory(process: psutil.Process) -> float:
    # A process may end while it is looked at.
    with contextlib.suppress(psutil.Error, AttributeError):
        return process.memory_full_info().pss / 2**20
    return 0.0
