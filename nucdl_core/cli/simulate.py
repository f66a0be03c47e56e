"""The command that simulates a plate."""

from __future__ import annotations

from pathlib import Path

import click

from nucdl_core.cli.words import FOLDER, height_and_width


@click.command(name="simulate")
@click.option("--output", type=FOLDER, required=True, help="Folder for images, truth and the CSV for LoadData.")
@click.option("--fields", type=click.IntRange(min=1), required=True, help="Number of fields.")
@click.option("--size", default="520x696", show_default=True, help="Height x width of a field in pixels.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same plate.")
def simulate_command(output: Path, fields: int, size: str, seed: int) -> None:
    """Simulate a plate of fluorescence fields with known truth."""
    from nucdl_core.simulate.plate import simulate_plate

    simulate_plate(output, fields, height_and_width(size), seed)
    click.echo(f"{fields} fields of {size} px in {output}")
