"""Planning a screen on the command line, and the options by which it is planned."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, Sequence, Tuple

import click

from nucdl_core.cli.limit_options import Command, limit_options, limits_of
from nucdl_core.cli.words import EXISTING_FILE, EXISTING_FOLDER, FOLDER
from nucdl_core.errors import ConfigError

if TYPE_CHECKING:
    from nucdl_core.screen.cellprofiler.planner import PlanRequest

CORES = click.option("--cores", type=click.IntRange(min=1), default=None, help="Processes at once  [all cores].")


def planning_options(command: Command) -> Command:
    """Give a command the argument and the options that a plan is made from."""
    options = (
        click.argument("pipeline", type=EXISTING_FILE),
        click.option("--csv", type=EXISTING_FILE, default=None, help="List of image sets, as for LoadData."),
        click.option("--images", type=EXISTING_FOLDER, default=None, help="Folder of images, instead of a list."),
        click.option(
            "--naming",
            default=None,
            help="How the files in it are named: yokogawa, imagexpress, operetta, nucdl, or a regular expression.",
        ),
        click.option(
            "--channel",
            "channels",
            multiple=True,
            metavar="NAME=CHANNEL",
            help="With --images: what the pipeline calls a channel, such as DNA=w1; may be repeated.",
        ),
        click.option("--output", type=FOLDER, required=True, help="Folder of the screen."),
        click.option("--plugins", type=EXISTING_FOLDER, default=None, help="Folder of CellProfiler plugins."),
        click.option(
            "--chunk-size", type=click.IntRange(min=1), default=None, help="Image sets per process  [computed]."
        ),
        click.option("--group", default=None, help="Metadata kept in one chunk, such as Plate,Well  [the pipeline's]."),
        click.option(
            "--costs", default=None, help="Measured seconds START,IMAGE_SET of a process, for the chunk size."
        ),
        click.option("--allow-missing", is_flag=True, help="Plan although image files are missing; they will fail."),
        limit_options(),
    )
    for option in reversed(options):
        command = option(command)
    return command


def plan_request(options: Any) -> PlanRequest:
    """Turn the values of `planning_options` into what `planner.plan_screen` takes.

    Raises
    ------
    ConfigError
        If options contradict each other or cannot be understood.
    """
    from nucdl_core.screen.cellprofiler.planner import PlanRequest
    from nucdl_core.screen.core.plan import Costs

    costs = None if options["costs"] is None else Costs(*_two_numbers(options["costs"]))
    return PlanRequest(
        pipeline=options["pipeline"],
        output=options["output"],
        csv=options["csv"],
        images=options["images"],
        naming=options["naming"],
        channels=_channel_names(options["channels"]),
        plugins=options["plugins"],
        chunk_size=options["chunk_size"],
        grouping=None if options["group"] is None else _names(options["group"]),
        limits=limits_of(options),
        costs=costs,
        cores=options["cores"] or os.cpu_count() or 1,
        allow_missing=options["allow_missing"],
    )


@click.command(name="plan")
@planning_options
@CORES
def plan_command(**options: Any) -> None:
    """Check everything that can be checked before the work, and write the plan.

    Nothing is run. Give the image sets by --csv, or by --images with --naming: yokogawa, imagexpress, operetta,
    nucdl, or a regular expression with the groups Well and Channel, and if you like Plate, Site and others.
    """
    from nucdl_core.screen.cellprofiler.planner import plan_screen

    made = plan_screen(plan_request(options))
    for change in made.procedure.changes:
        click.echo(f"note: {change}")
    click.echo(
        f"{made.images.image_sets} image sets in {made.chunks} chunks of about {made.chunk_size}; the plan is in "
        f"{options['output']}"
    )
    click.echo(f"planned, not started; go on with: nucdl screen resume --output {options['output']}")


def _two_numbers(text: str) -> Tuple[float, float]:
    try:
        start, image_set = map(float, text.split(","))
    except ValueError:
        raise ConfigError(f"--costs is {text!r}; give two numbers of seconds such as 4.5,0.8") from None
    return start, image_set


def _channel_names(given: Sequence[str]) -> Dict[str, str]:
    pairs = [text.partition("=") for text in given]
    names = {name.strip(): channel.strip() for name, _, channel in pairs}
    if len(names) < len(given) or not all(name and channel for name, channel in names.items()):
        raise ConfigError(f"--channel is {', '.join(given)}; give each name once, and its channel, such as DNA=w1")
    return names


def _names(text: str) -> Tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise ConfigError(f"--group is {text!r}; give different names such as Plate,Well")
    return names
