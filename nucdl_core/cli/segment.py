"""The commands that find nuclei and correct outlines in image files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Sequence, Tuple

import click

from nucdl_core.cli.output_options import choice_of, choice_options, output_options, outputs_of
from nucdl_core.cli.segment_list import choose_source, list_options, segment_list
from nucdl_core.cli.words import EXISTING, EXISTING_FOLDER, FOLDER, exit_with_failures
from nucdl_core.config import (
    AUTO_POLARITY,
    DEFAULT_MODEL,
    DEVICES,
    LARGE_ONES,
    MICRONUCLEI,
    POLARITIES,
    PRESETS,
    TREATMENTS,
    VIEWS,
    SegmentConfig,
)
from nucdl_core.errors import ConfigError
from nucdl_core.model.registry import DEFAULT_FAMILY, FAMILIES, default_model

if TYPE_CHECKING:
    from nucdl_core.batch.segment_files import ImageRecord
    from nucdl_core.progress import TileProgress


polarity_option = click.option(
    "--polarity",
    type=click.Choice(POLARITIES),
    default=AUTO_POLARITY,
    show_default=True,
    help="Nuclei are brighter or darker than the background, or found out for each image.",
)


@click.command(name="segment")
@click.argument("inputs", nargs=-1, type=EXISTING, metavar="[IMAGES...]")
@click.option("--output", type=FOLDER, required=True, help="Folder for label images, objects.csv and run.json.")
@click.option(
    "--family",
    type=click.Choice([name for name, family in FAMILIES.items() if family.bundled]),
    default=None,
    help="Use its bundled model.  [default: unet]",
)
@click.option("--model", default=None, help="Name or folder of a model, instead of the family's.")
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
@click.option("--min-confidence", default=0.0, show_default=True, help="Discard nuclei that are less sure (0 to 1).")
@click.option(
    "--micronuclei",
    type=click.Choice(MICRONUCLEI),
    default=LARGE_ONES,
    show_default=True,
    help="Keep micronuclei and debris, below 0.35 of the typical diameter: those that the model was made to find, all "
    "that it can find, or none.",
)
@click.option(
    "--lobed-diameter",
    default=0.0,
    show_default="off",
    help="Join lobes of one nucleus, as of neutrophils, into nuclei of at most this diameter (pixels).",
)
@click.option("--discard-border", is_flag=True, help="Discard nuclei that touch the image border.")
@click.option("--threshold", type=float, default=None, help="Probability threshold instead of the model's own.")
@click.option("--contour-offset", default=0.0, show_default=True, help="Move outlines outwards (pixels; < 0: inwards).")
@click.option("--views", type=click.Choice(VIEWS), default=None, help="Views to look at, instead of the preset's.")
@click.option("--refine", type=click.Choice(["on", "off"]), default=None, help="Correct outlines, or do not.")
@click.option("--preprocess", default="", help=f"Treat images before, with commas: {', '.join(TREATMENTS)}.")
@polarity_option
@choice_options
@output_options
@list_options
def segment_command(inputs: Tuple[Path, ...], output: Path, diameter: str, **settings: Any) -> None:
    """Find the nuclei in image files and in the images of folders.

    Writes NAME_labels.tif for each image, objects.csv and run.json, and on request pictures, maps, ROIs, other forms
    and more measurements. An image that cannot be used does not stop the
    others; it is listed at the end and the exit code is 3. The preset 'balanced' looks at four mirrored views of each
    image, 'best' at all eight mirrored and turned ones; both take up to as many times as long as there are views.
    'nucdl models list' shows the models that --model takes by name; run.json warns of images unlike those that the
    model was made for.

    With --csv instead of files, whole plates are done, several images at a time, as screens are: checked before the
    work, resumed by the same command, with merged tables and a report. Exit codes are those of 'nucdl screen run'.
    """
    csv, outputs = choose_source(inputs, settings), outputs_of(settings)
    if csv is not None and outputs.classes:
        raise ConfigError("--classes is for images that are named one by one or by their folder, not for --csv")
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
        minimum_confidence=settings["min_confidence"],
        micronuclei=settings["micronuclei"],
        lobed_diameter=settings["lobed_diameter"],
        contour_offset=settings["contour_offset"],
        several_scales=settings["scales"] == "auto",
        device=settings["device"],
        polarity=settings["polarity"],
        treatments=tuple(name.strip() for name in settings["preprocess"].split(",") if name.strip()),
        **care,
    )
    if csv is not None:
        segment_list(csv, output, config, outputs, settings)
        return
    from tqdm import tqdm

    from nucdl_core.batch.segment_files import segment_files
    from nucdl_core.files.containers import readable_containers
    from nucdl_core.files.folders import image_files

    bars = (lambda files: tqdm(files, unit="image", disable=None), tile_progress())
    files = image_files(inputs, settings["recursive"], readable_containers())
    records = segment_files(files, output, config, *bars, outputs, choice_of(settings))
    report_records(records, output)


@click.command(name="refine")
@click.option("--images", type=EXISTING_FOLDER, required=True, help="Folder of images.")
@click.option("--labels", type=EXISTING_FOLDER, required=True, help="Folder of label images: objects of any method.")
@click.option("--output", type=FOLDER, required=True, help="Folder for label images, objects.csv and run.json.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Name or folder of a model.")
@click.option("--views", type=click.Choice(VIEWS), default="flips", show_default=True, help="Views to look at.")
@click.option("--contour-offset", default=0.0, show_default=True, help="Move outlines outwards (pixels; < 0: inwards).")
@click.option("--split", is_flag=True, help="Part objects that hold several nuclei.")
@click.option("--merge", is_flag=True, help="Join objects that are parts of one nucleus.")
@click.option("--remove", is_flag=True, help="Drop objects where there is no nucleus.")
@click.option("--add", is_flag=True, help="Add nuclei where there is no object.")
@polarity_option
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where to compute.")
def refine_command(images: Path, labels: Path, output: Path, **settings: Any) -> None:
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


def report_records(records: Sequence[ImageRecord], output: Path) -> None:
    """Sum up a run over image files, and end as `exit_with_failures` does."""
    failed = [record.error for record in records if record.error is not None]
    nuclei = sum(record.nuclei or 0 for record in records)
    click.echo(f"{len(records) - len(failed)} of {len(records)} images, {nuclei} nuclei in {output}")
    warned = [record for record in records if record.warnings]
    if warned:
        first = f"{warned[0].file}: {'; '.join(warned[0].warnings)}"
        others = f" (images with warnings in run.json: {len(warned)})" if len(warned) > 1 else ""
        click.echo(f"warning: {first}{others}", err=True)
    exit_with_failures(failed)


def tile_progress() -> TileProgress:
    """Return what shows how far an image of several tiles has come: a line on the screen, or lines in the log."""
    from nucdl_core.progress import LoggedProgress

    return show_tiles if sys.stderr.isatty() else LoggedProgress()


def show_tiles(done: int, count: int) -> None:
    """Show on one line of the screen how far an image of several tiles has come."""
    click.echo(f"\r  tile {done} of {count}{' ' * 20}", err=True, nl=done == count)


def _model(model: Optional[str], family: Optional[str]) -> str:
    """Return the model that was asked for, or the bundled model of the family."""
    from nucdl_core.model.bundle import find_bundle, read_bundle, require_family

    if model is None:
        return default_model(family or DEFAULT_FAMILY)
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
