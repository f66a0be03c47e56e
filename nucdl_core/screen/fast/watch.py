"""The process of the fast path is watched: it may crash, hang or swell at an image, which is found and named then.

The process tells through a pipe which image sets it is at. Where it does not end by itself, these are tried one by one,
each alone in a process of its own, and the one that kills this, too, is to blame: the next process leaves it out and
names it as failed. Nothing heavy is imported here, so that watching costs little time and memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple

from nucdl_core.errors import NucDLError
from nucdl_core.screen.core.plan import SETTINGS, ScreenError, ScreenFolder, read_chunks
from nucdl_core.screen.core.process import (
    POLL_SECONDS,
    START_SECONDS,
    Ending,
    ProcessLimits,
    StopRequest,
    die_with_parent,
    excess,
    resident_memory_mb,
    stop_on_signals,
)
from nucdl_core.screen.core.work import keep_error, lock_screen, remove_leftovers
from nucdl_core.screen.fast.culprits import add_blame, read_blame
from nucdl_core.screen.fast.task import BEGIN, END, LANES, FastTask, format_task

LOGGER = logging.getLogger(__name__)
UNEXPLAINED_DEATHS = 3
"""So often a process may die without an image set to blame, and without a chunk finished in between."""
_MESSAGE_BYTES = 2**16


class UnfinishedError(ScreenError):
    """The run ended before all was done, and no image set is to blame; the same command goes on."""


@dataclass
class Course:
    """What a process has told.

    Attributes
    ----------
    heard : bool
        Whether it has told anything.
    lanes : int
        How many of them work; 0 before they do.
    begun : dict of int to float
        Numbers of the image sets that it is at, in the order in which they were begun, and when (monotonic seconds).
    """

    heard: bool = False
    lanes: int = 0
    begun: Dict[int, float] = field(default_factory=dict)

    def hear(self, line: bytes) -> None:
        """Take note of one line."""
        word, numbers = json.loads(line)
        self.heard = True
        if word == LANES:
            self.lanes = numbers[0]
        for number in numbers:
            if word == BEGIN:
                self.begun[number] = time.monotonic()
            elif word == END:
                del self.begun[number]

    def seconds(self) -> float:
        """Return how long the process has been at the image set that it began first; 0 if it is at none."""
        return time.monotonic() - min(self.begun.values()) if self.begun else 0.0


def worker_command() -> Tuple[str, ...]:
    """Return the command line of the process that does the work, to which a task and a pipe's number are added.

    It finds its modules where this process does, and not in the current folder, as ``python -m`` would.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from nucdl_core.cli.fast_worker import main; sys.exit(main())"
    return sys.executable, "-c", code


def watch_run(task: FastTask, command: Optional[Sequence[str]] = None) -> int:
    """Have a task done by a process that may die.

    Parameters
    ----------
    task : FastTask
    command : sequence of str, optional
        Takes the place of `worker_command`.

    Returns
    -------
    int
        Exit code of the process that ended by itself; it has said why.

    Raises
    ------
    UnfinishedError
        If a process died, and no image set is to blame.
    NucDLError
        If it cannot be written who is to blame.
    StopRequest
        If this program was asked to stop; the process has been killed then, and the same call goes on.
    """
    watch = _Watch(task, worker_command() if command is None else command)
    with stop_on_signals():
        try:
            return watch.run()
        except (StopRequest, UnfinishedError):
            watch.tidy()
            raise


class _Watch:
    """Processes that work on one folder, one after the other."""

    def __init__(self, task: FastTask, command: Sequence[str]) -> None:
        self._task, self._command = task, command
        self._folder = ScreenFolder(task.request.output.absolute(), SETTINGS)
        limits = task.request.limits
        self._limits = ProcessLimits(limits.seconds, limits.memory_mb)
        self._unexplained, self._finished = 0, 0

    def run(self) -> int:
        """Start processes until one ends by itself; return its exit code."""
        while True:
            ending, course = self._start(self._task)
            if not died(ending):
                return ending.code
            how = f"the process {ending.describe()}"
            blamed = read_blame(self._folder)
            suspects = [number for number in course.begun if number not in blamed]
            if not suspects:
                raise UnfinishedError(f"{how} while it was at no image set")
            self._refuse_full_disk(how, suspects)
            if course.lanes and self._task.retry_failed:
                # What had failed was discarded already; what fails in this run is not to be done again and again.
                self._task = dataclasses.replace(self._task, retry_failed=False)
            LOGGER.warning("%s; the image sets that it was at are tried one by one: %s", how, _listed(suspects))
            if not self._blame_one(suspects):
                self._go_on_with_fewer_lanes(how, suspects, course.lanes)

    def _start(self, task: FastTask) -> Tuple[Ending, Course]:
        return watch_worker([*self._command, format_task(task)], self._limits, task.alone is not None)

    def _blame_one(self, suspects: Sequence[int]) -> bool:
        """Find an image set that kills a process even alone, and remember it; tell whether there is one."""
        for number in suspects:
            ending, course = self._start(dataclasses.replace(self._task, retry_failed=False, alone=number))
            if died(ending) and number in course.begun:
                how = f"the process {ending.describe()}"
                self._refuse_full_disk(how, suspects)
                add_blame(self._folder, number, how)
                LOGGER.warning("image set %d is to blame: %s", number, how)
                return True
            if died(ending) or ending.code != 0:
                # Not even the start succeeds, which tells nothing about images.
                return False
        return False

    def _go_on_with_fewer_lanes(self, how: str, suspects: Sequence[int], lanes: int) -> None:
        """Prepare another try of all, with fewer images in memory at the same time."""
        finished = sum(1 for _ in self._folder.results.glob("*"))
        self._unexplained = self._unexplained + 1 if finished == self._finished else 1
        self._finished = finished
        if self._unexplained >= UNEXPLAINED_DEATHS:
            self._give_up(
                f"{how}, {self._unexplained} times, but at none of the image sets {_listed(suspects)} alone; "
                "is the memory too small, or used by other programs?",
                suspects,
            )
        fewer = max(1, lanes // 2)
        LOGGER.warning("none of them is to blame; going on with --lanes %d", fewer)
        self._task = dataclasses.replace(self._task, lanes=fewer)

    def _refuse_full_disk(self, how: str, suspects: Sequence[int]) -> None:
        # Late, for it is seldom needed.
        from nucdl_core.screen.cellprofiler.attempt import LEAST_FREE_MB

        for place in (self._folder.root, Path(tempfile.gettempdir())):
            free = shutil.disk_usage(place).free / 2**20
            if free < LEAST_FREE_MB:
                self._give_up(f"{how}, and the disk of {place} has only {free:.1f} MiB left; make room", suspects)

    def _give_up(self, why: str, suspects: Sequence[int]) -> None:
        """End the run; why is also left for ``nucdl screen status``, at the chunks that are concerned."""
        for chunk in read_chunks(self._folder):
            numbers = range(chunk.first_image_number, chunk.first_image_number + chunk.image_sets)
            if not set(suspects).isdisjoint(numbers):
                keep_error(self._folder, chunk.name, why, self._folder.work / "no log")
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


def watch_worker(command: Sequence[str], limits: ProcessLimits, must_begin: bool = False) -> Tuple[Ending, Course]:
    """Run a process to its end, and listen to it.

    Parameters
    ----------
    command : sequence of str
        The number of the pipe into which it is to write is added.
    limits : ProcessLimits
    must_begin : bool
        Whether it is also killed when it has begun no image set `START_SECONDS` after the limit.

    Returns
    -------
    Ending
    Course
        At its end.

    Raises
    ------
    StopRequest
        If this program was asked to stop; the process has been killed then.
    """
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0):
        try:
            process = subprocess.Popen(
                [*command, str(writing)],
                stdin=subprocess.DEVNULL,
                pass_fds=(writing,),
                # Signals from the keyboard reach this process alone.
                start_new_session=True,
                preexec_fn=die_with_parent if sys.platform.startswith("linux") else None,
            )
        finally:
            os.close(writing)
        try:
            return _listen(process, reading, limits, START_SECONDS if must_begin else math.inf)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _listen(
    process: subprocess.Popen[bytes], messages: int, limits: ProcessLimits, start_seconds: float
) -> Tuple[Ending, Course]:
    course, rest, peak, started = Course(), b"", 0.0, time.monotonic()
    while True:
        if select.select([messages], [], [], POLL_SECONDS)[0]:
            part = os.read(messages, _MESSAGE_BYTES)
            if not part:
                return Ending(process.wait(), None, peak), course
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                course.hear(line)
        peak = max(peak, resident_memory_mb(process.pid))
        seconds = course.seconds() if course.heard else time.monotonic() - started - start_seconds
        reason = excess(seconds, peak, limits)
        if reason:
            process.kill()
            return Ending(process.wait(), reason, peak), course
