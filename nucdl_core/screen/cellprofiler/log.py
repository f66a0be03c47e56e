"""CellProfiler's messages: how far it is, what failed, and whether it hangs."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from nucdl_core.cellprofiler.headless import REASON, STEP
from nucdl_core.screen.core.outcome import Failure
from nucdl_core.screen.core.process import START_SECONDS, took_too_long

_FAILURE = re.compile(r"Error detected during run of module (\w+)")


@dataclass(frozen=True)
class FinishedModule:
    """One line of CellProfiler's log: this module has finished with this image set (from 1)."""

    image: int
    module: str


def find_finished_modules(messages: str) -> List[FinishedModule]:
    """List the modules that CellProfiler's messages say have finished, in their order."""
    return [FinishedModule(int(found.group(1)), found.group(2)) for found in STEP.finditer(messages)]


def find_module_failures(messages: str) -> Dict[int, Failure]:
    """List the image sets (local numbers from 1) in which a module raised an error.

    CellProfiler logs the error first, without a number, and then the module with the number.
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


def last_error(messages: str) -> str:
    """Return the last line of CellProfiler's messages that names an error."""
    reasons = [line for line in messages.splitlines() if REASON.match(line)]
    return reasons[-1].strip() if reasons else "no error was logged"


class GrowingLog:
    """Reads the messages of a CellProfiler that works, to find out whether it hangs; a `process.ProcessLook`.

    Parameters
    ----------
    path : Path
        Where they go; the file exists when this is first called.
    seconds : float
        Longest time in which no new image set is begun; for the first one `START_SECONDS` more.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self._position, self._image, self._begun = 0, 0, time.monotonic()

    def __call__(self) -> Optional[str]:
        """Say that an image set takes too long, if it does."""
        with self._path.open("rb") as stream:
            stream.seek(self._position)
            content = stream.read()
        lines = content[: content.rfind(b"\n") + 1]
        self._position += len(lines)
        finished = find_finished_modules(lines.decode("utf-8", "replace"))
        if finished and finished[-1].image != self._image:
            self._begun, self._image = time.monotonic(), finished[-1].image
        allowance = 0.0 if self._image else START_SECONDS
        late = time.monotonic() - self._begun > self._seconds + allowance
        return took_too_long(self._seconds) if late else None
