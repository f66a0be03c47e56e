"""The commands that make models: training, and tuning to annotated images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import click

from nucdl_core.cli.convert import FORMAT_NAMES
from nucdl_core.cli.words import EXISTING, EXISTING_FILE, EXISTING_FOLDER, FOLDER
from nucdl_core.config import DEFAULT_MODEL, DEVICES
from nucdl_core.errors import ConfigError
from nucdl_core.model.registry import FAMILIES


@click.command(name="train")
@click.argument("recipe", type=EXISTING_FILE, required=False)
@click.option("--images", type=EXISTING_FOLDER, default=None, help="Folder of your images.")
@click.option(
    "--masks", type=EXISTING, default=None, help="Their annotations: label images, ROI sets, COCO, GeoJSON ..."
)
@click.option("--data", type=EXISTING_FOLDER, default=None, help="Instead of both: folder with 'images' and 'masks'.")
@click.option("--output", type=FOLDER, required=True, help="Folder of the new model; its name is the model's.")
@click.option("--start", default=None, help="Name or folder of the model to begin with, or none.  [the bundled one]")
@click.option("--architecture", default=None, help=f"One of {', '.join(FAMILIES)}.  [that of --start]")
@click.option("--max-minutes", type=float, default=None, help="How long it may take.")
@click.option(
    "--validation-images",
    type=int,
    default=None,
    help="How many images judge.  [a quarter; of fewer than 24 all, in turn]",
)
@click.option("--repeats", default=1, show_default=True, help="Train so often, with other chance; the best one counts.")
@click.option("--augmentation", default=None, help="all, none, or classes: scale,turns or -blur,-noise.  [all]")
@click.option(
    "--synthetic", type=float, default=None, help="Share of crops with artificial crowds of your nuclei.  [0]"
)
@click.option("--config", type=EXISTING_FILE, default=None, help="JSON file with all settings.")
@click.option("--from", "masks_format", type=click.Choice(FORMAT_NAMES), help="Format of the masks.  [recognized]")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
@click.option("--workers", type=click.IntRange(min=0), default=1, show_default=True, help="Processes that make crops.")
def train_command(
    recipe: Optional[Path],
    images: Optional[Path],
    masks: Optional[Path],
    data: Optional[Path],
    output: Path,
    device: str,
    workers: int,
    **settings: Any,
) -> None:
    """Make a model of your own from annotated images, and see how much better it is.

    From two annotated images on. The bundled model learns further from them and is judged on some that it did not learn
    from, beside the bundled model as it comes and the classic pipeline. What came of it is said in one line and on a
    page (OUTPUT_training/report.html). A model that is not better is kept apart. If the training is stopped, the same
    command goes on with it.

    With a RECIPE (a JSON file as --config takes it) instead of --images and --masks, a model is trained and calibrated
    from --data without being compared, as the bundled models were made: OUTPUT/NAME is the model then.
    """
    if recipe is not None:
        if data is None or images or masks or settings.pop("repeats") != 1 or any(settings.values()):
            raise ConfigError("a recipe is trained with --data, --output, --device and --workers, and nothing else")
        from nucdl_core.training.recipe import read_train_config, train

        folder = train(read_train_config(recipe), data, output, device, workers)
        click.echo(f"the model is in {folder}; use it with --model {folder}")
        return
    if data is not None and (images or masks):
        raise ConfigError("--data was given with --images or --masks; give the one or the other two")
    images, masks = images or (data and data / "images"), masks or (data and data / "masks")
    if images is None or masks is None:
        raise ConfigError("give the folders of your images (--images) and of their annotations (--masks)")
    if data is not None and not (images.is_dir() and masks.is_dir()):
        raise ConfigError(f"{data} lacks a folder images or a folder masks; give both with --images and --masks")
    from nucdl_core.cellprofiler.classic import CLASSIC_NAME, classic_nuclei
    from nucdl_core.training.own_images import OwnImages, train_on_own_images

    request = OwnImages(images, masks, output, device=device, workers=workers, **settings)
    try:
        outcome = train_on_own_images(request, {CLASSIC_NAME: classic_nuclei})
    except KeyboardInterrupt as error:
        raise click.ClickException("stopped; the same command goes on with it") from error
    click.echo("\n".join([outcome.verdict.sentence, *outcome.notes]))
    place = "is in" if outcome.verdict.better else "is kept apart, in"
    click.echo(f"Your model {place} {outcome.model}; use it with --model {outcome.model}. Look at {outcome.page}")


@click.command(name="tune")
@click.option("--data", type=EXISTING_FOLDER, required=True, help="Folder with 'images' and 'masks'.")
@click.option("--output", type=FOLDER, required=True, help="New folder for the tuned model; its name is the model's.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name of a model, or its folder.")
@click.option("--generations", default=10, show_default=True, help="Of the genetic algorithm.")
@click.option("--population", default=40, show_default=True, help="Candidates per generation.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same result.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
def tune_command(data: Path, output: Path, **settings: Any) -> None:
    """Fit a model's decisions and contour correction to your annotated images, without training.

    A quarter of the images judges the result and takes no part in the search. Where the new numbers are not clearly
    better there, the model keeps its own.
    """
    from tqdm import tqdm

    from nucdl_core.training.tune import TuneConfig, tune

    config = TuneConfig(**settings)
    with tqdm(total=config.generations, unit="generation", disable=None) as bar:

        def show(score: float) -> None:
            bar.set_postfix(best=f"{score:.3f}")
            bar.update()

        result = tune(data, output, config, show)
    numbers = "new numbers" if result.better else "numbers as before, since the new ones are not clearly better"
    click.echo(f"{result.told[0].upper()}{result.told[1:]}.")
    if result.warning is not None:
        click.echo(f"warning: {result.warning}", err=True)
    click.echo(f"The model, with {numbers}, is in {result.bundle}; use it with --model {result.bundle}")
