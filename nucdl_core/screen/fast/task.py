"""What the command of the fast path hands to the process that does the work; imported before anything heavy."""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from nucdl_core.batch.extra_outputs import BOXES, NOTHING_MORE, ExtraOutputs
from nucdl_core.config import SegmentConfig, from_mapping, require
from nucdl_core.screen.core.plan import ScreenLimits

CHUNK_SIZE = 16
"""Image sets that are published together: a killed run loses those of two chunks at most, some seconds' work."""


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
        See `settings.FastSettings`.
    limits : ScreenLimits
    allow_missing : bool
        Plan although image files are missing.
    chunk_size : int or None
        None takes that of the folder, where the work has begun there, or `CHUNK_SIZE`.
    batch : int or None
        See `settings.FastSettings`; None takes what suits the device.
    outputs : ExtraOutputs
        What is written besides; without boxes, which the table can have.
    """

    csv: Path
    output: Path
    config: SegmentConfig
    channel: Optional[str] = None
    labels: str = "tiff"
    limits: ScreenLimits = field(default_factory=ScreenLimits)
    allow_missing: bool = False
    chunk_size: Optional[int] = None
    batch: Optional[int] = None
    outputs: ExtraOutputs = NOTHING_MORE

    def __post_init__(self) -> None:
        require(
            BOXES not in self.outputs.objects_as,
            "boxes of a list of image sets stand in its table of nuclei: give --measure instead of --objects-as boxes",
        )


@dataclass(frozen=True)
class FastTask:
    """What one process is to do.

    Attributes
    ----------
    request : FastRequest
    workers : int or None
        How many threads work on images; None takes what suits the device, see `run.choose_threads`.
    retry_failed : bool
        Whether chunks with failed image sets are done again.
    alone : int or None
        Global number of an image set that is only tried, in a planned folder; None does all that is missing.
    log_level : int
        Of `logging`.
    """

    request: FastRequest
    workers: Optional[int] = None
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
    return from_mapping(FastTask, json.loads(text))
