"""The command ``nucdl``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, Tuple

import click

from nucdl_core import __version__
from nucdl_core.cli.evaluate import evaluate, report
from nucdl_core.cli.screen import screen
from nucdl_core.cli.segment_list import choose_source, list_options, segment_list
from nucdl_core.cli.words import (
    EXISTING,
    EXISTING_FILE,
    EXISTING_FOLDER,
    FOLDER,
    LOG_FORMAT,
    Commands,
    exit_with_failures,
)
from nucdl_core.config import DEFAULT_MODEL, DEVICES, FAMILIES, PRESETS, VIEWS, SegmentConfig
from nucdl_core.errors import ConfigError

if TYPE_CHECKING:
    from nucdl_core.batch.segment_files import ImageRecord


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nucdl")
@click.option("--verbose", is_flag=True, help="Show what is being done.")
def main(verbose: bool) -> None:
    """Find cell nuclei in fluorescence images with deep learning."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format=LOG_FORMAT)


main.add_command(evaluate)
main.add_command(report)
main.add_command(screen)


@main.command()
@click.option("--output", type=FOLDER, required=True, help="Folder for images, truth and the CSV for LoadData.")
@click.option("--fields", type=click.IntRange(min=1), required=True, help="Number of fields.")
@click.option("--size", default="520x696", show_default=True, help="Height x width of a field in pixels.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same plate.")
def simulate(output: Path, fields: int, size: str, seed: int) -> None:
    """Simulate a plate of fluorescence fields with known truth."""
    from nucdl_core.simulate.plate import simulate_plate

    simulate_plate(output, fields, _height_and_width(size), seed)
    click.echo(f"{fields} fields of {size} px in {output}")


@main.command()
@click.argument("inputs", nargs=-1, type=EXISTING, metavar="[IMAGES...]")
@click.option("--output", type=FOLDER, required=True, help="Folder for label images, objects.csv and run.json.")
@click.option(
    "--family", type=click.Choice(list(FAMILIES)), default=None, help="Use its bundled model.  [default: unet]"
)
@click.option("--model", default=None, help="Bundled model, or folder of a model, instead of the family's.")
@click.option("--preset", type=click.Choice(list(PRESETS)), default="fast", show_default=True, help="How much care.")
@click.option("--diameter", default="auto", show_default=True, help="Typical nucleus diameter in pixels, or 'auto'.")
@click.option(
    "--scales",
    type=click.Choice(["auto", "one"]),
    default="auto",
    show_default=True,
    help="Search at other scales where nuclei differ strongly in size, or do not.",
)
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
@click.option("--min-diameter", default=0.0, show_default=True, help="Discard smaller nuclei (pixels).")
@click.option("--max-diameter", default=float("inf"), show_default="none", help="Discard larger nuclei (pixels).")
@click.option("--discard-border", is_flag=True, help="Discard nuclei that touch the image border.")
@click.option("--threshold", type=float, default=None, help="Probability threshold instead of the model's own.")
@click.option("--contour-offset", default=0.0, show_default=True, help="Move outlines outwards (pixels; < 0: inwards).")
@click.option("--views", type=click.Choice(VIEWS), default=None, help="Views to look at, instead of the preset's.")
@click.option("--refine", type=click.Choice(["on", "off"]), default=None, help="Correct outlines, or do not.")
@list_options
def segment(inputs: Tuple[Path, ...], output: Path, diameter: str, **settings: Any) -> None:
    """Find the nuclei in image files and in the images of folders.

    Writes NAME_labels.tif for each image, objects.csv and run.json. An image that cannot be used does not stop the
    others; it is listed at the end and the exit code is 3. The preset 'balanced' looks at four mirrored views of each
    image, 'best' at all eight mirrored and turned ones; both take up to as many times as long as there are views.

    With --csv instead of files, whole plates are done, several images at a time, as screens are: checked before the
    work, resumed by the same command, with merged tables and a report. Exit codes are those of 'nucdl screen run'.
    """
    csv = choose_source(inputs, settings)
    care = dict(PRESETS[settings["preset"]])
    if settings["views"] is not None:
        care["views"] = settings["views"]
    if settings["refine"] is not None:
        care["refine"] = settings["refine"] == "on"
    config = SegmentConfig(
        model=_model(settings["model"], settings["family"]),
        diameter=_diameter(diameter),
        probability_threshold=settings["threshold"],
        minimum_diameter=settings["min_diameter"],
        maximum_diameter=settings["max_diameter"],
        discard_border=settings["discard_border"],
        contour_offset=settings["contour_offset"],
        several_scales=settings["scales"] == "auto",
        device=settings["device"],
        **care,
    )
    if csv is not None:
        segment_list(csv, output, config, settings)
        return
    from tqdm import tqdm

    from nucdl_core.batch.segment_files import segment_files
    from nucdl_core.files.folders import image_files

    bars = (lambda files: tqdm(files, unit="image", disable=None), tile_progress())
    records = segment_files(image_files(inputs), output, config, *bars)
    report_records(records, output)


@main.command()
@click.option("--images", type=EXISTING_FOLDER, required=True, help="Folder of images.")
@click.option("--labels", type=EXISTING_FOLDER, required=True, help="Folder of label images: objects of any method.")
@click.option("--output", type=FOLDER, required=True, help="Folder for label images, objects.csv and run.json.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Bundled model, or folder of a model.")
@click.option("--views", type=click.Choice(VIEWS), default="flips", show_default=True, help="Views to look at.")
@click.option("--contour-offset", default=0.0, show_default=True, help="Move outlines outwards (pixels; < 0: inwards).")
@click.option("--split", is_flag=True, help="Part objects that hold several nuclei.")
@click.option("--merge", is_flag=True, help="Join objects that are parts of one nucleus.")
@click.option("--remove", is_flag=True, help="Drop objects where there is no nucleus.")
@click.option("--add", is_flag=True, help="Add nuclei where there is no object.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
def refine(images: Path, labels: Path, output: Path, **settings: Any) -> None:
    """Correct the outlines of objects that any method has found.

    NAME.png is paired with NAME_labels.tif or NAME.tif. Writes NAME_labels.tif for each image, objects.csv and
    run.json. An image that cannot be used does not stop the others; it is listed at the end and the exit code is 3.
    """
    from tqdm import tqdm

    from nucdl_core.batch.refine_files import refine_files
    from nucdl_core.steps.contours import RefineConfig

    config = RefineConfig(**settings)
    bars = (lambda pairs: tqdm(pairs, unit="image", disable=None), tile_progress())
    records = refine_files(images, labels, output, config, *bars)
    report_records(records, output)


@main.command()
@click.option("--output", type=FOLDER, default=Path("demo_output"), show_default=True, help="Folder for the results.")
@click.option("--images", type=EXISTING_FOLDER, default=None, help="Your own images, instead of a simulated plate.")
@click.option("--fields", type=click.IntRange(min=1), default=12, show_default=True, help="Number of simulated fields.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same plate.")
def demo(output: Path, images: Optional[Path], fields: int, seed: int) -> None:
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


@main.group()
def models() -> None:
    """List and check models."""


@models.command(name="list")
def list_models() -> None:
    """List the bundled models."""
    from nucdl_core.model.bundle import find_bundle, list_bundles, read_bundle

    for name in list_bundles():
        bundle = read_bundle(find_bundle(name))
        click.echo(f"{name}  {bundle.sha256[:12]}  {bundle.description.description}")


@models.command()
@click.argument("bundle")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to run its test.")
def check(bundle: str, device: str) -> None:
    """Verify every file of BUNDLE (a name or a folder) and run the model's own test."""
    from nucdl_core.model.bundle import find_bundle
    from nucdl_core.model.device import resolve_device
    from nucdl_core.model.maskrcnn_predictor import check_model, load_model

    folder = find_bundle(bundle)
    predictor = load_model(folder, resolve_device(device))
    difference = check_model(predictor, folder)
    click.echo(
        f"{bundle}: all files are unaltered; test output within {difference:.4f} of the expected "
        f"(allowed {predictor.description.tolerance})"
    )


@main.command()
@click.argument("config", type=EXISTING_FILE)
@click.option("--data", type=EXISTING_FOLDER, required=True, help="Folder with 'images' and 'masks'.")
@click.option("--output", type=FOLDER, required=True, help="Folder for checkpoint, log and the finished model.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
@click.option("--workers", type=click.IntRange(min=0), default=1, show_default=True, help="Processes that make crops.")
def train(config: Path, data: Path, output: Path, device: str, workers: int) -> None:
    """Train a model from a CONFIG file; goes on from the checkpoint in the output folder if there is one."""
    from nucdl_core.training.recipe import read_train_config
    from nucdl_core.training.recipe import train as train_model

    folder = train_model(read_train_config(config), data, output, device, workers)
    click.echo(f"the model is in {folder}; use it with --model {folder}")


def report_records(records: Sequence[ImageRecord], output: Path) -> None:
    """Sum up a run over image files, and end as `exit_with_failures` does."""
    failed = [record.error for record in records if record.error is not None]
    nuclei = sum(record.nuclei or 0 for record in records)
    click.echo(f"{len(records) - len(failed)} of {len(records)} images, {nuclei} nuclei in {output}")
    exit_with_failures(failed)


@main.command()
@click.option("--data", type=EXISTING_FOLDER, required=True, help="Folder with 'images' and 'masks'.")
@click.option("--output", type=FOLDER, required=True, help="New folder for the tuned model; its name is the model's.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Bundled model, or folder of a model.")
@click.option("--generations", default=10, show_default=True, help="Of the genetic algorithm.")
@click.option("--population", default=40, show_default=True, help="Candidates per generation.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same result.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
def tune(data: Path, output: Path, **settings: Any) -> None:
    """Fit a model's decisions and contour correction to your annotated images, without training.

    A quarter of the images judges the result and takes no part in the search.
    """
    from tqdm import tqdm

    from nucdl_core.training.tune import TuneConfig
    from nucdl_core.training.tune import tune as tune_model

    config = TuneConfig(**settings)
    with tqdm(total=config.generations, unit="generation", disable=None) as bar:

        def show(score: float) -> None:
            bar.set_postfix(best=f"{score:.3f}")
            bar.update()

        result = tune_model(data, output, config, show)
    click.echo(
        f"DSB score on {result.judges} images that took no part: {result.before:.3f} before, {result.after:.3f} after; "
        f"the model is in {result.bundle}, use it with --model {result.bundle}"
    )


def tile_progress() -> Callable[[int, int], None]:
    """Return what tells how far an image of several tiles is: a line on the screen, or lines in the log."""
    from nucdl_core.progress import LoggedProgress

    return show_tiles if sys.stderr.isatty() else LoggedProgress()


def show_tiles(done: int, count: int) -> None:
    """Tell on a line of its own how far an image of several tiles is."""
    click.echo(f"\r  tile {done} of {count}{' ' * 20}", err=True, nl=done == count)


def _height_and_width(text: str) -> Tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) > 0 and int(width) > 0):
        raise ConfigError(f"size is {text!r}; give height x width in pixels, such as 520x696")
    return int(height), int(width)


def _model(model: Optional[str], family: Optional[str]) -> str:
    """Return the model that is asked for, or the bundled one of the family."""
    from nucdl_core.model.bundle import default_model, find_bundle, read_bundle, require_family

    if model is None:
        return default_model(family or "unet")
    if family is not None:
        require_family(read_bundle(find_bundle(model)).description, family)
    return model


def _diameter(text: str) -> Optional[float]:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"diameter is {text!r}; give a number of pixels, or 'auto'") from None
