"""What the command of the fast path hands to the process that does the work; imported before anything heavy."""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from nucdl_core.config import SegmentConfig, from_mapping
from nucdl_core.screen.core.plan import ScreenLimits

CHUNK_SIZE = 64
"""Image sets that are published together: what a killed run loses of each of two chunks at most."""
LANES, BEGIN, END = "lanes", "begin", "end"

Trace = Callable[[str, List[int]], None]
"""Told with `LANES` how many of them work, with `BEGIN` and `END` numbers of image sets that are begun and ended."""


@dataclass(frozen=True)
class FastRequest:
    """What the fast path is planned from.

    Attributes
    ----------
    csv, output : Path
        LoadData's list of image sets; the folder of the results.
    config : SegmentConfig
    channel : str or None
        Name of the image that shows nuclei; None where the list has only one.
    labels : str
        See `fast_plan.FastSettings`.
    limits : ScreenLimits
    allow_missing : bool
        Plan although image files are missing.
    chunk_size : int
    together : int or None
        See `fast_plan.FastSettings`; None takes what suits the device.
    """

    csv: Path
    output: Path
    config: SegmentConfig
    channel: Optional[str] = None
    labels: str = "tiff"
    limits: ScreenLimits = field(default_factory=ScreenLimits)
    allow_missing: bool = False
    chunk_size: int = CHUNK_SIZE
    together: Optional[int] = None


@dataclass(frozen=True)
class FastTask:
    """What one process is to do.

    Attributes
    ----------
    request : FastRequest
    lanes : int or None
        See `fast_run.Crew`.
    retry_failed : bool
        Whether chunks with failed image sets are done again.
    alone : int or None
        Global number of an image set that is only tried, in a planned folder; None does all that is missing.
    log_level : int
        Of `logging`.
    """

    request: FastRequest
    lanes: Optional[int] = None
    retry_failed: bool = False
    alone: Optional[int] = None
    log_level: int = logging.WARNING


def format_task(task: FastTask) -> str:
    """Write a task as one line of JSON."""
    return json.dumps(dataclasses.asdict(task), default=str)


def parse_task(text: str) -> FastTask:
    """Read what `format_task` has written.

    Raises
    ------
    ConfigError
        If it holds other settings than this version knows.
    """
    values: Dict[str, Any] = json.loads(text)
    request = dict(values["request"])
    for name in ("csv", "output"):
        request[name] = Path(request[name])
    request["config"] = from_mapping(SegmentConfig, request["config"])
    request["limits"] = from_mapping(ScreenLimits, request["limits"])
    return from_mapping(FastTask, {**values, "request": from_mapping(FastRequest, request)})
