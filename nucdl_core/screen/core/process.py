"""One process that is supervised: it is ended when it hangs, takes too much memory, or is not wanted any more.

Whoever starts it says how to see how it gets on, such as by reading its messages; all else is the same for
CellProfiler, for the process of the fast path and for Snakemake.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List, Mapping, Optional, Sequence, Tuple

import psutil

POLL_SECONDS = 0.2
FAMILY_SECONDS = 1.0
"""How often it is looked up which further processes a process has started, which takes longer than a look at them."""
START_SECONDS = 600.0
"""What the limit is raised by before the first image set, for starting on a busy computer."""
END_SECONDS = 5.0
"""How long the end of what a killed process had started is waited for."""
_SET_DEATH_SIGNAL = 1

ProcessLook = Callable[[], Optional[str]]
"""Looks how a process gets on, every `POLL_SECONDS` and once after its end; returns why it is to be killed, or None."""
AskToStop = Callable[["subprocess.Popen[bytes]"], None]
"""Asks a process to end by itself, and waits for that as long as it may take."""


class StopRequest(BaseException):
    """The run was asked to stop by a signal, or its parent is gone. Not an error, so that nothing catches it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"asked to stop (exit code {code})")
        self.code = code


@dataclass(frozen=True)
class Program:
    """What is started.

    Attributes
    ----------
    command : sequence of str
    environment : mapping of str to str, optional
        Its variables; those of this process where they are not given.
    folder : Path, optional
        In which it starts; that of this process where it is not given.
    log : Path, optional
        Receives what it prints; without it that goes where this process prints.
    pipes : tuple of int
        Open files of this process that it gets as well.
    """

    command: Sequence[str]
    environment: Optional[Mapping[str, str]] = None
    folder: Optional[Path] = None
    log: Optional[Path] = None
    pipes: Tuple[int, ...] = ()


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
        Largest resident memory that was seen, with the processes that it had started, in MiB.
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


def took_too_long(seconds: float) -> str:
    """Say that a process was killed because an image set took longer than a limit."""
    return f"took more than the limit of {seconds:g} s for an image set"


def read_too_long(image: str, seconds: float) -> str:
    """Say that reading an image, by its file, takes longer than a limit."""
    return f"{image}: reading takes more than {seconds:g} s; is the file damaged, or the disk slow?"


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


def supervise(
    program: Program,
    look: ProcessLook,
    memory_mb: Optional[int] = None,
    parent: Optional[int] = None,
    stop: Optional[AskToStop] = None,
) -> Ending:
    """Run a program to its end, in a session of its own, so that signals from the keyboard reach this process alone.

    However this ends, nothing that the program has started goes on; on Linux not even if this process is killed.

    Parameters
    ----------
    program : Program
    look : callable
        See `ProcessLook`.
    memory_mb : int, optional
        Largest resident memory in MiB, of the process and all that it starts; what they share counts for each.
    parent : int, optional
        Process without which this one is to stop, too.
    stop : callable, optional
        See `AskToStop`; what has not ended then is killed. Without it the process is killed at once.

    Returns
    -------
    Ending

    Raises
    ------
    StopRequest
        If this program was asked to stop; the process and all that it has started have ended then.
    """
    process = _start(program)
    family = _Family(process.pid)
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=POLL_SECONDS)
            ended = process.poll()
            reason = look()
            if ended is not None:
                return Ending(ended, None, family.peak_mb)
            if family.memory_mb() > (memory_mb or sys.maxsize):
                reason = reason or f"took more memory than the limit of {memory_mb} MiB"
            if parent is not None and os.getppid() != parent:
                raise StopRequest(128 + signal.SIGHUP)
            if reason is not None:
                process.kill()
                return Ending(process.wait(), reason, family.peak_mb)
    finally:
        # Also reached by StopRequest. What the process has started holds files of the work folder, so it goes as well.
        if stop is not None:
            stop(process)
        family.kill(process)


def _start(program: Program) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as opened:
        log = None if program.log is None else opened.enter_context(program.log.open("wb"))
        return subprocess.Popen(
            program.command,
            env=program.environment,
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=None if log is None else subprocess.STDOUT,
            pass_fds=program.pipes,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform.startswith("linux") else None,
        )


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it is killed."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


class _Family:
    """A process and what it has started, directly or by others."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._members: List[psutil.Process] = []
        self._looked_up = -FAMILY_SECONDS
        self.peak_mb = 0.0

    def memory_mb(self) -> float:
        """Return the resident memory of all of them in MiB."""
        if time.monotonic() - self._looked_up >= FAMILY_SECONDS:
            self._look_up()
        memory = sum(_resident_bytes(member) for member in self._members) / 2**20
        self.peak_mb = max(self.peak_mb, memory)
        return memory

    def _look_up(self) -> None:
        """Find the processes that there are now; those that have lost their parent stay known."""
        self._looked_up = time.monotonic()
        with contextlib.suppress(psutil.Error):
            head = psutil.Process(self._number)
            known = [head, *head.children(recursive=True)]
            self._members = known + [each for each in self._members if each not in known and each.is_running()]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill all of them, and wait for their end."""
        if process.poll() is None:
            self._look_up()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._number, signal.SIGKILL)
        others = [each for each in self._members if each.pid != self._number]
        for each in others:
            # Another process that has the number of one that has ended is told apart by the time of its start.
            with contextlib.suppress(psutil.Error):
                each.kill()
        process.wait()
        until = time.monotonic() + END_SECONDS
        while any(map(_lives, others)) and time.monotonic() < until:
            time.sleep(POLL_SECONDS / 20)


def _lives(process: psutil.Process) -> bool:
    """Tell whether a process has not ended; one that nobody has asked for its exit code has."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _resident_bytes(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0
