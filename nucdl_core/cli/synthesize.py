"""The command that makes annotated images out of annotated images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Tuple

import click

from nucdl_core.cli.words import EXISTING, EXISTING_FOLDER, FOLDER
from nucdl_core.config import DEVICES
from nucdl_core.errors import ConfigError


@click.command(name="synthesize")
@click.option("--images", type=EXISTING_FOLDER, required=True, help="Folder of annotated images.")
@click.option("--masks", type=EXISTING, required=True, help="Their annotations, as for nucdl train.")
@click.option("--output", type=FOLDER, required=True, help="Folder for the new images and their masks.")
@click.option(
    "--mode",
    type=click.Choice(("artificial", "simulated", "pix2pix")),
    default="artificial",
    show_default=True,
    help="Crowds of your own nuclei; all drawn anew; crowds made natural by a network that learns how.",
)
@click.option("--count", default=20, show_default=True, help="Images to make.")
@click.option("--grid", default="3x3", show_default=True, help="Rows x columns of a crowd.")
@click.option(
    "--overlap", default=0.3, show_default=True, help="How far nuclei leave their places: 0 keeps them apart."
)
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same images.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where pix2pix computes.")
def synthesize_command(images: Path, masks: Path, output: Path, grid: str, overlap: float, **settings: Any) -> None:
    """Make images with known nuclei out of annotated images.

    Sparse images, which are quickly annotated, become crowded ones: nuclei are cut out, turned, deformed and laid
    together on background of the same images. nucdl train --data OUTPUT learns from them; to mix them with your own
    images while training, nucdl train --synthetic needs no files.
    """
    from tqdm import tqdm

    from nucdl_core.batch.synthesize_files import SynthesisConfig, synthesize_files
    from nucdl_core.synthesis.artificial import ArtificialConfig

    config = SynthesisConfig(artificial=ArtificialConfig(grid=nodes_of(grid), overlap=overlap), **settings)
    nuclei = synthesize_files(
        images, masks, output, config, lambda made: tqdm(made, total=config.count, unit="image", disable=None)
    )
    click.echo(f"{config.count} images with {nuclei} nuclei are in {output}")


def nodes_of(text: str) -> Tuple[int, int]:
    """Read the rows and columns of a grid, such as ``3x3``.

    Raises
    ------
    ConfigError
    """
    match = re.fullmatch(r"(\d{1,3})x(\d{1,3})", text.strip().lower())
    if match is None:
        raise ConfigError(f"grid is {text!r}; give rows x columns, such as 3x3 or 5x5")
    return int(match[1]), int(match[2])
