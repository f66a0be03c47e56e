"""The command that shows the classic and the deep way to find nuclei side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import click

from nucdl_core.cli.words import EXISTING_FOLDER, FOLDER, exit_with_failures


@click.command(name="demo")
@click.option("--output", type=FOLDER, default=Path("demo_output"), show_default=True, help="Folder for the results.")
@click.option("--images", type=EXISTING_FOLDER, default=None, help="Your own images, instead of a simulated plate.")
@click.option("--fields", type=click.IntRange(min=1), default=12, show_default=True, help="Number of simulated fields.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same plate.")
def demo_command(output: Path, images: Optional[Path], fields: int, seed: int) -> None:
    """Run IdentifyNucleiDL beside IdentifyPrimaryObjects in CellProfiler.

    Leaves tables, label images, outlines and a comparison in the output folder. Your own images are only read; those
    that cannot be used are listed at the end, and the exit code is 3.
    """
    from tqdm import tqdm

    from nucdl_core.cellprofiler.demo import DemoConfig, describe_result, run_demo

    click.echo("Preparing the images; CellProfiler takes some seconds to start.")
    config = DemoConfig(output, images, fields, seed=seed)
    with tqdm(desc="CellProfiler", unit="image") as bar:
        result = run_demo(config, lambda number, _: bar.update(number - bar.n))
    click.echo(describe_result(output, result))
    exit_with_failures(result.failed.values())
