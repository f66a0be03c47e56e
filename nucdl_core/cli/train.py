"""The commands that make models: training, and tuning to annotated images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Tuple

import click

from nucdl_core.cli.convert import FORMAT_NAMES
from nucdl_core.cli.words import EXISTING, EXISTING_FILE, EXISTING_FOLDER, FOLDER
from nucdl_core.config import DEFAULT_MODEL, DEVICES
from nucdl_core.errors import ConfigError
from nucdl_core.files.folders import image_files
from nucdl_core.model.registry import FAMILIES

# Ten numbers are soon fitted to a few images; that these help with so many was measured (docs/training.md).
FEWEST_FOR_ALL = 16
_MISSING = "a folder images or a folder masks"


@click.command(name="train")
@click.argument("recipe", type=EXISTING_FILE, required=False)
@click.option("--images", type=EXISTING_FOLDER, default=None, help="Folder of your images.")
@click.option(
    "--masks", type=EXISTING, default=None, help="Their annotations: label images, ROI sets, COCO, GeoJSON ..."
)
@click.option(
    "--data",
    multiple=True,
    help="Instead of both: folder with 'images' and 'masks'. With a RECIPE several: FOLDER=SHARE.",
)
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
    data: Tuple[str, ...],
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
    from --data without being compared, as the bundled models were made: OUTPUT/NAME is the model then. --data may be
    given several times then, with how often each folder counts: --data cultured=3 --data tissue.
    """
    if recipe is not None:
        if not data or images or masks or settings.pop("repeats") != 1 or any(settings.values()):
            raise ConfigError("a recipe is trained with --data, --output, --device and --workers, and nothing else")
        from nucdl_core.training.collections import collection_of
        from nucdl_core.training.recipe import read_train_config, train

        config, collections = read_train_config(recipe), [collection_of(each) for each in data]
        folder = train(config, collections, output, device, workers)
        click.echo(f"the model is in {folder}; use it with --model {folder}")
        return
    if data and (images or masks):
        raise ConfigError("--data was given with --images or --masks; give the one or the other two")
    if len(data) > 1:
        raise ConfigError(f"--data was given {len(data)} times; a model of your own learns from one folder")
    if data:
        images, masks = Path(data[0]) / "images", Path(data[0]) / "masks"
    if images is None or masks is None:
        raise ConfigError("give the folders of your images (--images) and of their annotations (--masks)")
    if data and not (images.is_dir() and masks.is_dir()):
        raise ConfigError(f"{data[0]} lacks {_MISSING}; give both with --images and --masks")
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
@click.option(
    "--outlines/--everything",
    default=None,
    help=f"Only how far out outlines lie, or all numbers.  [only outlines with fewer than {FEWEST_FOR_ALL} images]",
)
@click.option("--generations", default=10, show_default=True, help="Of the genetic algorithm.")
@click.option("--population", default=40, show_default=True, help="Candidates per generation.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same result.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
def tune_command(data: Path, output: Path, outlines: Optional[bool], **settings: Any) -> None:
    """Fit a model's decisions to your annotated images, without training.

    One or two annotated images tell how far out your laboratory draws outlines, which decides most of what is lost at a
    high IoU. With more of them the numbers by which nuclei are parted and contours corrected are searched as well: a
    quarter of the images judges the result and takes no part in the search. Where the new numbers are not clearly
    better, the model keeps its own.
    """
    if not ((data / "images").is_dir() and (data / "masks").is_dir()):
        raise ConfigError(f"{data} lacks {_MISSING}; put images and annotations into two folders of these names")
    if outlines is None:
        outlines = len(image_files([data / "images"])) < FEWEST_FOR_ALL
    if outlines:
        from nucdl_core.training.tune_outlines import tune_outlines

        found = tune_outlines(data, output, settings["model"], settings["device"])
        click.echo(f"{found.sentence} The model is in {found.bundle}, use it with --model {found.bundle}")
        return
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
