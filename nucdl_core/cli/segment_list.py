"""What ``nucdl segment --csv`` adds to the command: the fast path over whole plates, in a process that is watched."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import click

from nucdl_core.cli.screen_plan import Command
from nucdl_core.cli.words import EXISTING_FILE, NOT_FINISHED
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError

LABELS = ("tiff", "zarr", "none")
LIMITS = {"colour": "colour", "max_pixels": "pixels", "image_set_seconds": "seconds", "memory": "memory_mb"}
"""Options that are limits, and the names that `ScreenLimits` gives them."""
OF_LISTS = ("channel", "labels", "lanes", "allow_missing", "retry_failed", *LIMITS)
"""Options that mean something with ``--csv`` only."""


def list_options(command: Command) -> Command:
    """Give a command the options of the fast path."""
    options = (
        click.option("--csv", type=EXISTING_FILE, default=None, help="List of image sets, as for LoadData."),
        click.option("--channel", default=None, help="Which image of the list shows nuclei  [its only one]."),
        click.option("--labels", type=click.Choice(LABELS), default=None, help="With --csv: label images  [tiff]."),
        click.option("--lanes", type=click.IntRange(min=1), default=None, help="With --csv: images at a time."),
        click.option("--allow-missing", is_flag=True, help="With --csv: files may be missing; they will fail."),
        click.option("--retry-failed", is_flag=True, help="With --csv: do chunks with failed image sets again."),
        click.option("--colour", is_flag=True, help="With --csv: images may be in colour."),
        click.option(
            "--max-pixels", type=click.IntRange(min=1), default=None, help="With --csv: largest image  [100,000,000]."
        ),
        click.option(
            "--image-set-seconds", type=float, default=None, help="With --csv: time limit of one image set  [600]."
        ),
        click.option(
            "--memory",
            type=click.IntRange(min=1),
            default=None,
            help="With --csv: MiB of memory, of all lanes  [8192].",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def choose_source(inputs: Sequence[Path], options: Dict[str, Any]) -> Optional[Path]:
    """Return the list if the images come from one, or None if they come from files and folders.

    Raises
    ------
    ConfigError
        If both or neither is given, or an option for lists without a list.
    """
    csv: Optional[Path] = options["csv"]
    if bool(inputs) == (csv is not None):
        raise ConfigError("give either image files and folders, or a list by --csv, not both and not neither")
    idle = [name for name in OF_LISTS if options[name]] if csv is None else []
    if idle:
        raise ConfigError(f"--{idle[0].replace('_', '-')} goes with --csv only; leave it out, or give a list")
    return csv


def segment_list(csv: Path, output: Path, config: SegmentConfig, options: Dict[str, Any]) -> None:
    """Segment all image sets of a list, or go on with that, and end as 'nucdl screen run' does.

    The work is done by another process, `cli_fast_worker`, which tells how it ends.
    """
    from nucdl_core.screen.core.plan import ScreenLimits
    from nucdl_core.screen.core.process import StopRequest
    from nucdl_core.screen.fast.task import FastRequest, FastTask
    from nucdl_core.screen.fast.watch import UnfinishedError, watch_run

    limits = ScreenLimits(**{LIMITS[name]: options[name] for name in LIMITS if options[name] is not None})
    labels = options["labels"] or LABELS[0]
    request = FastRequest(csv, output, config, options["channel"], labels, limits, options["allow_missing"])
    level = logging.getLogger().getEffectiveLevel()
    try:
        code = watch_run(FastTask(request, options["lanes"], options["retry_failed"], log_level=level))
    except StopRequest as request_to_stop:
        click.echo("stopped; the same command goes on", err=True)
        code = request_to_stop.code
    except UnfinishedError as error:
        click.echo(f"{error}; the same command goes on", err=True)
        code = NOT_FINISHED
    if code != 0:
        raise SystemExit(code)
