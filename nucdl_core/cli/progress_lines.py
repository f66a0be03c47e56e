"""Progress of a command: a bar in a terminal, otherwise lines with rate and time left, as for the log of a cluster."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Callable, Iterator

import click

from nucdl_core.progress import time_in_words

SECONDS_PER_LINE = 30.0
CountDone = Callable[[int], None]
"""Called with how many things have been done since the last call, and first with how many were done before."""


class ProgressLines:
    """Writes lines such as "120 of 384 image sets done, 40 per minute, about 7 min left" to standard error.

    Parameters
    ----------
    total : int
    things : str
        What is counted, such as "image sets".
    """

    def __init__(self, total: int, things: str) -> None:
        self._total, self._things = total, things
        self._done = 0
        self._first = self._begun = self._told = -1.0

    def update(self, count: int) -> None:
        """Count what has been done; see `CountDone`."""
        now = time.monotonic()
        self._done += count
        if self._first < 0:
            self._first, self._begun, self._told = self._done, now, now
        if now - self._told >= SECONDS_PER_LINE:
            self._told = now
            self.tell()

    def tell(self) -> None:
        """Write a line."""
        line = f"{self._done} of {self._total} {self._things} done"
        here, seconds = self._done - self._first, time.monotonic() - self._begun
        if here > 0 and seconds > 0:
            line += f", {60 * here / seconds:.3g} per minute"
            if self._done < self._total:
                line += f", about {time_in_words((self._total - self._done) * seconds / here)} left"
        click.echo(line, err=True)


@contextlib.contextmanager
def shown_progress(total: int, things: str) -> Iterator[CountDone]:
    """Show progress until the end of the block, in the way that suits where standard error goes."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, desc=things) as bar:

            def move(count: int) -> None:
                bar.update(count)

            yield move
        return
    lines = ProgressLines(total, things)
    try:
        yield lines.update
    finally:
        lines.tell()
