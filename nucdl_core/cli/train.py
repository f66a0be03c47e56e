"""The commands that make models: training, and tuning to annotated images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nucdl_core.cli.words import EXISTING_FILE, EXISTING_FOLDER, FOLDER
from nucdl_core.config import DEFAULT_MODEL, DEVICES


@click.command(name="train")
@click.argument("config", type=EXISTING_FILE)
@click.option("--data", type=EXISTING_FOLDER, required=True, help="Folder with 'images' and 'masks'.")
@click.option("--output", type=FOLDER, required=True, help="Folder for checkpoint, log and the finished model.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
@click.option("--workers", type=click.IntRange(min=0), default=1, show_default=True, help="Processes that make crops.")
def train_command(config: Path, data: Path, output: Path, device: str, workers: int) -> None:
    """Train a model from a CONFIG file; goes on from the checkpoint in the output folder if there is one."""
    from nucdl_core.training.recipe import read_train_config, train

    folder = train(read_train_config(config), data, output, device, workers)
    click.echo(f"the model is in {folder}; use it with --model {folder}")


@click.command(name="tune")
@click.option("--data", type=EXISTING_FOLDER, required=True, help="Folder with 'images' and 'masks'.")
@click.option("--output", type=FOLDER, required=True, help="New folder for the tuned model; its name is the model's.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Bundled model, or folder of a model.")
@click.option("--generations", default=10, show_default=True, help="Of the genetic algorithm.")
@click.option("--population", default=40, show_default=True, help="Candidates per generation.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same result.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
def tune_command(data: Path, output: Path, **settings: Any) -> None:
    """Fit a model's decisions and contour correction to your annotated images, without training.

    A quarter of the images judges the result and takes no part in the search.
    """
    from tqdm import tqdm

    from nucdl_core.training.tune import TuneConfig, tune

    config = TuneConfig(**settings)
    with tqdm(total=config.generations, unit="generation", disable=None) as bar:

        def show(score: float) -> None:
            bar.set_postfix(best=f"{score:.3f}")
            bar.update()

        result = tune(data, output, config, show)
    click.echo(
        f"DSB score on {result.judges} images that took no part: {result.before:.3f} before, {result.after:.3f} after; "
        f"the model is in {result.bundle}, use it with --model {result.bundle}"
    )
