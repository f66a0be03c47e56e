"""Which images ``nucdl segment`` takes of a file, and what it writes beside label images: options, their meaning."""

from __future__ import annotations

from typing import Any, Dict

import click

from nucdl_core.batch.extra_outputs import OBJECT_KINDS, ExtraOutputs
from nucdl_core.batch.plane_choice import PROJECTIONS, PlaneChoice
from nucdl_core.cli.limit_options import Command
from nucdl_core.config import require


def output_options(command: Command) -> Command:
    """Give a command the options of `ExtraOutputs`."""
    options = (
        click.option("--overlay", is_flag=True, help="Also NAME_overlay.png: the image with outlines."),
        click.option("--probability", is_flag=True, help="Also NAME_probability.tif: 0 to 1 as 0 to 65535."),
        click.option("--rois", is_flag=True, help="Also NAME_RoiSet.zip: ROIs for ImageJ."),
        click.option(
            "--objects-as", type=click.Choice(OBJECT_KINDS), multiple=True, help="Also in this form; may be repeated."
        ),
        click.option("--measure", is_flag=True, help="Shape, intensity and bounding box in the table of nuclei."),
        click.option("--classes", default="", help="Folder of masks, NAME.tif: each nucleus's class in the table."),
        click.option("--keep", default="", help="Keep nuclei for which this is true: 'area > 50 and solidity > 0.8'."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def choice_options(command: Command) -> Command:
    """Give a command the options of `PlaneChoice` but for the channel."""
    planes = f"Of files with several planes: a number from 1, or {', '.join(PROJECTIONS)}."
    options = (
        click.option("--plane", default=None, help=planes),
        click.option("--series", type=int, default=None, help="Of files with several series: a number from 1."),
        click.option("--recursive", is_flag=True, help="Also the images of folders in folders."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def choice_of(options: Dict[str, Any]) -> PlaneChoice:
    """Return which images of files with several are wanted.

    Raises
    ------
    ConfigError
        If there cannot be such ones.
    """
    channel = options["channel"]
    require(
        channel is None or channel.isdecimal(),
        f"channel is {channel!r}; give its number, from 1. Names are those of a list of image sets (--csv)",
    )
    return PlaneChoice(None if channel is None else int(channel), options["plane"], options["series"])


def outputs_of(options: Dict[str, Any]) -> ExtraOutputs:
    """Return what the options want.

    Raises
    ------
    ConfigError
        If the rule cannot be understood.
    """
    return ExtraOutputs(
        overlay=options["overlay"],
        probability=options["probability"],
        rois=options["rois"],
        objects_as=tuple(options["objects_as"]),
        measure=options["measure"],
        keep=options["keep"],
        classes=options["classes"],
    )
