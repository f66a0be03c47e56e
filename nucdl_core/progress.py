"""How far a piece of work has come: who is told, and lines in the log."""

from __future__ import annotations

import logging
import time
from typing import Callable

TileProgress = Callable[[int, int], None]
"""Called after each tile of an image larger than a tile, with the number of tiles that are done and of all tiles."""

ModuleProgress = Callable[[int, str], None]
"""Called with the number of the image set and the name of the CellProfiler module that has just finished."""

SECONDS_BETWEEN_LINES = 10.0

_LOGGER = logging.getLogger(__name__)


def time_in_words(seconds: float) -> str:
    """Write a time as people say it, such as "40 s", "7 min" or "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{minutes} min"


class LoggedProgress:
    """A `TileProgress` that writes a line into the log every ten seconds, and so none about images that take less."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, done: int, count: int) -> None:
        """Take note that `done` of `count` tiles are done."""
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            _LOGGER.info("%d of %d tiles are done (%d %%)", done, count, 100 * done // count)
