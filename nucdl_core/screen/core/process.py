"""One process that is watched: it ends by itself, or it is ended when it hangs, swells, or is no longer wanted."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from nucdl_core.cellprofiler.headless import REASON, STEP

POLL_SECONDS = 0.2
START_SECONDS = 600.0
"""What the limit is raised by before the first image set, for starting on a busy computer."""
STATM = "/proc/{}/statm"
_FAILURE = re.compile(r"Error detected during run of module (\w+)")
_SET_DEATH_SIGNAL = 1


class StopRequest(BaseException):
    """The run was asked to stop by a signal, or its parent is gone. Not an error, so that nothing catches it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"asked to stop (exit code {code})")
        self.code = code


@dataclass(frozen=True)
class ProcessLimits:
    """When a process is killed.

    Attributes
    ----------
    seconds : float
        Longest time in which no new image set is begun.
    memory_mb : int
        Largest resident memory in MiB; watched on Linux only.
    parent : int or None
        Process without which this one is to stop, too; None looks at none.
    """

    seconds: float
    memory_mb: int
    parent: Optional[int] = None


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Attributes
    ----------
    code : int
        Exit code, negative for a signal.
    killed : str or None
        Why it was killed by this program.
    peak_memory_mb : float
        Largest resident memory that was seen, in MiB; 0 where it cannot be seen.
    """

    code: int
    killed: Optional[str]
    peak_memory_mb: float

    @property
    def by_force(self) -> bool:
        """Whether the process did not end by itself."""
        return self.killed is not None or self.code < 0 or (self.code > 128 and self.code != 255)

    def describe(self) -> str:
        """Say in words how the process ended."""
        if self.killed:
            return self.killed
        if self.code < 0:
            return f"ended by signal {-self.code} ({_signal_name(-self.code)})"
        if self.code > 128 and _signal_name(self.code - 128) != "unknown":
            return f"ended with code {self.code} ({_signal_name(self.code - 128)})"
        return f"ended with code {self.code}" + (" without having finished" if self.code == 0 else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


@dataclass(frozen=True)
class Step:
    """One line of CellProfiler's log: this module has finished with this image set (from 1)."""

    image: int
    module: str


@dataclass(frozen=True)
class Failure:
    """Why an image set failed.

    Attributes
    ----------
    module : str or None
        Module that raised an error, "" where CellProfiler does not tell, None if the images cannot be used.
    reason : str
    """

    module: Optional[str]
    reason: str


@contextlib.contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into `StopRequest`; further ones are ignored while things are put in order."""

    def stop(number: int, _: object) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise StopRequest(128 + number)

    former = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)


def watch_process(command: Sequence[str], environment: Dict[str, str], log: Path, limits: ProcessLimits) -> Ending:
    """Run a command to its end, with its messages in a file, within limits.

    Parameters
    ----------
    command : sequence of str
    environment : dict
        Its variables.
    log : Path
        Receives what it prints.
    limits : ProcessLimits

    Returns
    -------
    Ending

    Raises
    ------
    StopRequest
        If this program was asked to stop; the process and its children have been killed then.
    """
    with open(log, "wb") as stream:
        process = subprocess.Popen(
            command,
            env=environment,
            # What a crash leaves behind (hs_err_pid*.log of Java) goes with the temporary files.
            cwd=environment.get("TMPDIR"),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform.startswith("linux") else None,
        )
    try:
        return _watch(process, log, limits)
    finally:
        # Also reached by StopRequest. Its children hold files of the work folder, so they go with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it is killed."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _watch(process: subprocess.Popen[bytes], log: Path, limits: ProcessLimits) -> Ending:
    begun, current, peak = time.monotonic(), 0, 0.0
    with open(log, encoding="utf-8", errors="replace") as messages:
        while True:
            try:
                return Ending(process.wait(timeout=POLL_SECONDS), None, peak)
            except subprocess.TimeoutExpired:
                pass
            numbers = [step.image for step in find_steps(messages.read())]
            if numbers and numbers[-1] != current:
                begun, current = time.monotonic(), numbers[-1]
            peak = max(peak, resident_memory_mb(process.pid))
            if limits.parent is not None and os.getppid() != limits.parent:
                raise StopRequest(128 + signal.SIGHUP)
            allowance = 0.0 if current else START_SECONDS
            reason = excess(time.monotonic() - begun - allowance, peak, limits)
            if reason:
                process.kill()
                return Ending(process.wait(), reason, peak)


def excess(seconds: float, memory_mb: float, limits: ProcessLimits) -> Optional[str]:
    """Say which limit is passed after so many seconds with an image set and with so much memory in MiB, if any."""
    if seconds > limits.seconds:
        return f"took more than the limit of {limits.seconds:g} s for an image set"
    if memory_mb > limits.memory_mb:
        return f"took more memory than the limit of {limits.memory_mb} MiB"
    return None


def resident_memory_mb(process: int) -> float:
    """Return the resident memory of a process in MiB, or 0 where the system does not tell."""
    try:
        pages = Path(STATM.format(process)).read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0.0
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def find_steps(messages: str) -> List[Step]:
    """List the steps that CellProfiler's messages tell of, in their order."""
    return [Step(int(found.group(1)), found.group(2)) for found in STEP.finditer(messages)]


def find_failures(messages: str) -> Dict[int, Failure]:
    """List the image sets (local numbers from 1) in which a module raised an error.

    CellProfiler logs the error first, without a number, and then the step with the number.
    """
    failures: Dict[int, Failure] = {}
    failed: Optional[Tuple[str, str]] = None
    for line in messages.splitlines():
        begin, step = _FAILURE.search(line), STEP.search(line)
        if begin:
            failed = (begin.group(1), "no reason was logged")
        elif failed and step:
            failures[int(step.group(1))] = Failure(*failed)
            failed = None
        elif failed and REASON.match(line):
            failed = (failed[0], line.strip())
    return failures
