"""What the process that does the work tells the one that watches it, through a pipe, a line of JSON at a time."""

from __future__ import annotations

import contextlib
import json
import os
import select
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Dict, Iterator, List, Protocol, Sequence

from nucdl_core.screen.core.process import read_too_long

WORKERS, BEGIN, END, READ, WAS_READ = "workers", "begin", "end", "read", "was read"
_MESSAGE_BYTES = 2**16


class Tell(Protocol):
    """Tells whoever watches: how many `WORKERS` there are, or which image sets are begun, read and ended."""

    def __call__(self, word: str, numbers: Sequence[int], image: str = "") -> None:
        """Tell one thing.

        Parameters
        ----------
        word : str
            `WORKERS`, with their number; `BEGIN` and `END` with global numbers of image sets; `READ` and `WAS_READ`
            with the number of one of them.
        numbers : sequence of int
        image : str
            With `READ`: name and file of the image.
        """


def tell_nobody(word: str, numbers: Sequence[int], image: str = "") -> None:
    """Be a `Tell` where nobody watches."""


def tell_into(stream: IO[str]) -> Tell:
    """Return what writes to a pipe, from whatever thread, one line at a time."""
    lock = threading.Lock()

    def tell(word: str, numbers: Sequence[int], image: str = "") -> None:
        with lock:
            stream.write(json.dumps([word, list(numbers), image]) + "\n")
            stream.flush()

    return tell


@contextlib.contextmanager
def told(tell: Tell, words: Sequence[str], numbers: Sequence[int], image: str = "") -> Iterator[None]:
    """Tell the first of two words, and at the end of the block the second one, however it ends."""
    first, second = words
    tell(first, numbers, image)
    try:
        yield
    finally:
        tell(second, numbers)


@dataclass
class Reading:
    """An image that is being read: its name and file, and since when (monotonic seconds)."""

    image: str
    begun: float


@dataclass
class WorkerProgress:
    """What a process has told.

    Attributes
    ----------
    heard : bool
        Whether it has told anything.
    workers : int
        How many threads work on images; 0 before they do.
    begun : dict of int to float
        Numbers of the image sets that it is at, in the order in which they were begun, and when (monotonic seconds).
    reading : dict of int to Reading
        Those of them of which it reads the image.
    late : dict of int to str
        Those that `find_late` has found, and what is said of each.
    """

    heard: bool = False
    workers: int = 0
    begun: Dict[int, float] = field(default_factory=dict)
    reading: Dict[int, Reading] = field(default_factory=dict)
    late: Dict[int, str] = field(default_factory=dict)

    def hear(self, line: bytes) -> None:
        """Take note of one line."""
        word, numbers, image = json.loads(line)
        self.heard = True
        if word == WORKERS:
            self.workers = numbers[0]
        for number in numbers:
            if word == BEGIN:
                self.begun[number] = time.monotonic()
            elif word == END:
                del self.begun[number]
            elif word == READ:
                self.reading[number] = Reading(image, time.monotonic())
            elif word == WAS_READ:
                del self.reading[number]

    def seconds(self) -> float:
        """Return how long the process has been at the image set that it began first; 0 if it is at none."""
        return time.monotonic() - min(self.begun.values()) if self.begun else 0.0

    def find_late(self, seconds: float) -> None:
        """Find the image sets whose image has been read for longer than a limit by now."""
        now = time.monotonic()
        for number, reading in self.reading.items():
            if now - reading.begun > seconds:
                self.late[number] = read_too_long(reading.image, seconds)


class MessagePipe:
    """The end of a pipe at which one listens.

    Parameters
    ----------
    descriptor : int
        Of an open pipe, which stays open.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._rest = descriptor, b""

    def lines(self) -> List[bytes]:
        """Return the lines that have come since the last call, without waiting for any."""
        lines: List[bytes] = []
        while select.select([self._descriptor], [], [], 0)[0]:
            part = os.read(self._descriptor, _MESSAGE_BYTES)
            if not part:
                break
            *complete, self._rest = (self._rest + part).split(b"\n")
            lines += complete
        return lines
