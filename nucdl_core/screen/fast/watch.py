"""The process of the fast path is watched: it may crash, hang or run out of memory at an image, which is then named.

The process tells through a pipe which image sets it is at, and which files it reads. A file that takes too long to read
names its image set by that. Where the process does not end by itself for another reason, the image sets that it was at
are tried one by one, each alone in a process of its own, and the one of which this dies as well is the culprit: the
next process leaves it out and names it as failed. Nothing heavy is imported here, so that watching costs little time
and memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Optional, Sequence, Tuple

from nucdl_core.errors import NucDLError
from nucdl_core.screen.core.disk import full_disk
from nucdl_core.screen.core.plan import SETTINGS, ScreenError, ScreenFolder, ScreenLimits, read_chunks
from nucdl_core.screen.core.process import (
    START_SECONDS,
    Ending,
    Program,
    StopRequest,
    stop_on_signals,
    supervise,
    took_too_long,
)
from nucdl_core.screen.core.work import keep_error, lock_screen, remove_leftovers
from nucdl_core.screen.fast.culprits import Culprit, add_culprits, read_culprits
from nucdl_core.screen.fast.messages import MessagePipe, WorkerProgress
from nucdl_core.screen.fast.task import FastTask, format_task

LOGGER = logging.getLogger(__name__)
MOST_DEATHS_IN_A_ROW = 3
"""So often a process may die without a culprit, and without a chunk finished in between."""


class UnfinishedError(ScreenError):
    """The run ended before all was done, and no image set is the cause; the same command goes on."""


def worker_command() -> Tuple[str, ...]:
    """Return the command line of the process that does the work, to which a task and a pipe's number are added.

    It finds its modules where this process does, and not in the current folder, as ``python -m`` would.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from nucdl_core.cli import fast_worker as worker; "
    code += "sys.exit(worker.worker_program())"
    return sys.executable, "-c", code


def watch_run(task: FastTask) -> int:
    """Have a task done by a process that may die.

    Parameters
    ----------
    task : FastTask

    Returns
    -------
    int
        Exit code of the process that ended by itself; it has said why.

    Raises
    ------
    UnfinishedError
        If a process died, and no image set is the cause.
    NucDLError
        If it cannot be written which image sets are culprits.
    StopRequest
        If this program was asked to stop; the process has been killed then, and the same call goes on.
    """
    watch = _Watch(task)
    with stop_on_signals():
        try:
            return watch.run()
        except (StopRequest, UnfinishedError):
            watch.tidy()
            raise


class _Watch:
    """Processes that work on one folder, one after the other."""

    def __init__(self, task: FastTask) -> None:
        self._task = task
        self._folder = ScreenFolder(task.request.output.absolute(), SETTINGS)
        self._deaths, self._finished = 0, 0

    def run(self) -> int:
        """Start processes until one ends by itself; return its exit code."""
        while True:
            ending, progress = watch_worker(self._task)
            if not died(ending):
                return ending.code
            how = f"the process {ending.describe()}"
            known = read_culprits(self._folder)
            suspects = [number for number in progress.begun if number not in known]
            if not suspects:
                raise UnfinishedError(f"{how} while it was at no image set")
            self._refuse_full_disk(how, suspects)
            if progress.workers and self._task.retry_failed:
                # What had failed was discarded already; what fails in this run is not to be done again and again.
                self._task = dataclasses.replace(self._task, retry_failed=False)
            if self._found_reading(progress):
                continue
            LOGGER.warning("%s; the image sets that it was at are tried one by one: %s", how, _listed(suspects))
            if not self._find_culprit(suspects):
                self._go_on_with_fewer_workers(how, suspects, progress.workers)

    def _found_reading(self, progress: WorkerProgress) -> bool:
        """Remember the image sets whose files took too long to read; tell whether there are any."""
        if progress.late:
            found = {number: Culprit(reason, reading=True) for number, reason in progress.late.items()}
            add_culprits(self._folder, found)
        for number, reason in progress.late.items():
            LOGGER.warning("image set %d is left out: %s", number, reason)
        return bool(progress.late)

    def _find_culprit(self, suspects: Sequence[int]) -> bool:
        """Find an image set of which a process dies even alone, and remember it; tell whether there is one."""
        for number in suspects:
            ending, progress = watch_worker(dataclasses.replace(self._task, retry_failed=False, alone=number))
            if died(ending) and number in progress.begun:
                how = f"the process {ending.describe()}"
                self._refuse_full_disk(how, suspects)
                if not self._found_reading(progress):
                    add_culprits(self._folder, {number: Culprit(how)})
                    LOGGER.warning("image set %d is left out: %s", number, how)
                return True
            if died(ending) or ending.code != 0:
                # Not even the start succeeds, which tells nothing about images.
                return False
        return False

    def _go_on_with_fewer_workers(self, how: str, suspects: Sequence[int], workers: int) -> None:
        """Prepare another try of all, with fewer images in memory at the same time."""
        finished = sum(1 for _ in self._folder.results.glob("*"))
        self._deaths = self._deaths + 1 if finished == self._finished else 1
        self._finished = finished
        if self._deaths >= MOST_DEATHS_IN_A_ROW:
            self._give_up(
                f"{how}, {self._deaths} times, but at none of the image sets {_listed(suspects)} alone; "
                "is the memory too small, or used by other programs?",
                suspects,
            )
        fewer = max(1, workers // 2)
        LOGGER.warning("each of them can be done alone; going on with --workers %d", fewer)
        self._task = dataclasses.replace(self._task, workers=fewer)

    def _refuse_full_disk(self, how: str, suspects: Sequence[int]) -> None:
        full = full_disk(self._folder.root, Path(tempfile.gettempdir()))
        if full:
            self._give_up(f"{how}, and {full}; make room", suspects)

    def _give_up(self, why: str, suspects: Sequence[int]) -> None:
        """End the run; why is also left for ``nucdl screen status``, at the chunks that are concerned."""
        for chunk in read_chunks(self._folder):
            numbers = range(chunk.first_image_number, chunk.first_image_number + chunk.image_sets)
            if not set(suspects).isdisjoint(numbers):
                keep_error(self._folder, chunk.name, why)
        raise UnfinishedError(why)

    def tidy(self) -> None:
        """Remove what a killed process has left, if the folder is ours and nobody else has taken it."""
        if self._folder.plan.exists():
            with contextlib.suppress(NucDLError), lock_screen(self._folder):
                remove_leftovers(self._folder)


def died(ending: Ending) -> bool:
    """Tell whether a process did not end by itself; one that was asked to stop by a signal did."""
    return ending.killed is not None or ending.code < 0


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def watch_worker(task: FastTask) -> Tuple[Ending, WorkerProgress]:
    """Run a process that does a task to its end, and listen to it.

    Parameters
    ----------
    task : FastTask
        One image set that is tried alone must also be begun: the process is killed where that takes longer than
        `START_SECONDS` and the limit.

    Returns
    -------
    Ending
    WorkerProgress
        At its end.

    Raises
    ------
    StopRequest
        If this program was asked to stop; the process has been killed then.
    """
    limits = task.request.limits
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0), contextlib.ExitStack() as ours:
        ours.callback(os.close, writing)
        listener = _Listener(MessagePipe(reading), limits, math.inf if task.alone is None else START_SECONDS)
        command = [*worker_command(), format_task(task), str(writing)]
        return supervise(Program(command, pipes=(writing,)), listener, limits.memory_mb), listener.progress


class _Listener:
    """Hears what a process tells, and says when it takes too long; a `process.ProcessLook`."""

    def __init__(self, pipe: MessagePipe, limits: ScreenLimits, start_seconds: float) -> None:
        self.progress = WorkerProgress()
        self._pipe, self._limits = pipe, limits
        self._started_at_latest = time.monotonic() + start_seconds + limits.seconds

    def __call__(self) -> Optional[str]:
        """Return why the process is to be killed, if it is."""
        for line in self._pipe.lines():
            self.progress.hear(line)
        self.progress.find_late(self._limits.read_seconds)
        if self.progress.late:
            return f"was killed because it read one file for too long: {'; '.join(self.progress.late.values())}"
        if self.progress.seconds() > self._limits.seconds:
            return took_too_long(self._limits.seconds)
        if not self.progress.heard and time.monotonic() > self._started_at_latest:
            return took_too_long(self._limits.seconds)
        return None
