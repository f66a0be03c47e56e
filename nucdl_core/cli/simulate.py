"""The command that simulates a plate."""

from __future__ import annotations

from pathlib import Path
from typing import Tuple

import click

from nucdl_core.cli.words import FOLDER
from nucdl_core.errors import ConfigError


@click.command(name="simulate")
@click.option("--output", type=FOLDER, required=True, help="Folder for images, truth and the CSV for LoadData.")
@click.option("--fields", type=click.IntRange(min=1), required=True, help="Number of fields.")
@click.option("--size", default="520x696", show_default=True, help="Height x width of a field in pixels.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same plate.")
def simulate_command(output: Path, fields: int, size: str, seed: int) -> None:
    """Simulate a plate of fluorescence fields with known truth."""
    from nucdl_core.simulate.plate import simulate_plate

    simulate_plate(output, fields, _height_and_width(size), seed)
    click.echo(f"{fields} fields of {size} px in {output}")


def _height_and_width(text: str) -> Tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) > 0 and int(width) > 0):
        raise ConfigError(f"size is {text!r}; give height x width in pixels, such as 520x696")
    return int(height), int(width)
