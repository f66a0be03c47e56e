"""What ``nucdl segment --csv`` adds to the command: the fast path over whole plates, in a process that is watched."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

import click

from nucdl_core.batch.extra_outputs import ExtraOutputs
from nucdl_core.cli.limit_options import Command, limit_options, limits_given, limits_of, option_of_limit
from nucdl_core.cli.words import EXISTING_FILE, NOT_FINISHED
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.screen.core.plan import FieldLimits

LABEL_KINDS = ("tiff", "zarr", "none")
OF_LISTS = ("labels", "workers", "lanes", "allow_missing", "retry_failed")
"""Options that mean something with ``--csv`` only; the limits do as well."""
OF_FILES = ("plane", "series", "recursive")
"""Options that mean something without it only."""
WITH_CSV = "With --csv: "


def list_options(command: Command) -> Command:
    """Give a command the options of the fast path."""
    at_least_1 = click.IntRange(min=1)
    options = (
        click.option("--csv", type=EXISTING_FILE, default=None, help="List of image sets, as for LoadData."),
        click.option("--channel", default=None, help="Which shows nuclei: number, or name in a list  [the only one]."),
        click.option("--labels", type=click.Choice(LABEL_KINDS), default=None, help=f"{WITH_CSV}label files  [tiff]."),
        click.option("--workers", type=at_least_1, default=None, help=f"{WITH_CSV}images at a time  [chosen]."),
        # The former name of --workers.
        click.option("--lanes", type=at_least_1, default=None, hidden=True),
        click.option("--allow-missing", is_flag=True, help=f"{WITH_CSV}files may be missing; they will fail."),
        click.option("--retry-failed", is_flag=True, help=f"{WITH_CSV}do chunks with failed image sets again."),
        limit_options(WITH_CSV),
        click.option("--min-focus", type=float, default=None, help=f"{WITH_CSV}leave out fields of less focus."),
        click.option(
            "--max-saturated", type=float, default=None, help=f"{WITH_CSV}leave out fields of a larger saturated share."
        ),
        click.option("--skip-empty", is_flag=True, help=f"{WITH_CSV}leave out images without contrast."),
        click.option(
            "--skip-other-kinds", is_flag=True, help=f"{WITH_CSV}leave out images of another kind (brightfield)."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def fields_given(options: Mapping[str, Any]) -> Dict[str, Any]:
    """Return by which limits fields are left out, by their names in `FieldLimits`."""
    names = [each.name for each in dataclasses.fields(FieldLimits)]
    return {name: options[name] for name in names if options[name] is not None and options[name] is not False}


def choose_source(inputs: Sequence[Path], options: Dict[str, Any]) -> Optional[Path]:
    """Return the list if the images come from one, or None if they come from files and folders.

    Raises
    ------
    ConfigError
        If both or neither is given, or an option for lists without a list.
    """
    csv: Optional[Path] = options["csv"]
    if inputs and csv is not None:
        raise ConfigError("image files and a list came; give either files and folders, or a list by --csv")
    if not inputs and csv is None:
        raise ConfigError("no images came; give image files and folders, or a list by --csv")
    if csv is not None:
        idle = [f"--{name}" for name in OF_FILES if options[name]]
        if idle:
            raise ConfigError(f"{idle[0]} goes with files only; a list says itself which images, frames and series")
    else:
        idle = [f"--{name.replace('_', '-')}" for name in OF_LISTS if options[name]]
        idle += [f"--{name.replace('_', '-')}" for name in fields_given(options)]
        idle += map(option_of_limit, limits_given(options))
        if idle:
            raise ConfigError(f"{idle[0]} goes with --csv only; leave it out, or give a list")
    return csv


def segment_list(
    csv: Path, output: Path, config: SegmentConfig, outputs: ExtraOutputs, options: Dict[str, Any]
) -> None:
    """Segment all image sets of a list, or go on with that, and end as 'nucdl screen run' does.

    The work is done by another process, `cli.fast_worker`, which tells how it ends.
    """
    from nucdl_core.screen.core.process import StopRequest
    from nucdl_core.screen.fast.task import FastRequest, FastTask
    from nucdl_core.screen.fast.watch import UnfinishedError, watch_run

    labels = options["labels"] or LABEL_KINDS[0]
    limits = dataclasses.replace(limits_of(options), fields=FieldLimits(**fields_given(options)))
    given = (options["channel"], labels, limits, options["allow_missing"])
    request = FastRequest(csv, output, config, *given, outputs=outputs)
    level, workers = logging.getLogger().getEffectiveLevel(), options["workers"] or options["lanes"]
    try:
        code = watch_run(FastTask(request, workers, options["retry_failed"], log_level=level))
    except StopRequest as request_to_stop:
        click.echo("stopped; the same command goes on", err=True)
        code = request_to_stop.code
    except UnfinishedError as error:
        click.echo(f"{error}; the same command goes on", err=True)
        code = NOT_FINISHED
    if code != 0:
        raise SystemExit(code)
