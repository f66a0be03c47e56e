"""How far a large image is, in the log."""

from __future__ import annotations

import logging
import time

LOGGER = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10.0


class LoggedProgress:
    """Writes a line into the log every ten seconds, and so none about images that take less; see `segment.Progress`."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, done: int, count: int) -> None:
        """Take note that `done` of `count` tiles are done."""
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN_LINES:
            self._told = now
            LOGGER.info("%d of %d tiles are done (%d %%)", done, count, 100 * done // count)
