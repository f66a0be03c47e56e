"""How far a large image is, in the log."""

from __future__ import annotations

import logging
import time
from typing import Callable

TileProgress = Callable[[int, int], None]
"""Called after each tile of a large image with the number of tiles that are done and the number of all."""

LOGGER = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10.0


class LoggedProgress:
    """Writes a line into the log every ten seconds, and so none about images that take less; see `TileProgress`."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, done: int, count: int) -> None:
        """Take note that `done` of `count` tiles are done."""
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            LOGGER.info("%d of %d tiles are done (%d %%)", done, count, 100 * done // count)
