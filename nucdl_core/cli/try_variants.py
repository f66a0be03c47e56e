"""The command that tries treatments, models and settings on some images, before many are done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, cast

import click

from nucdl_core.cli.evaluate import NamedFolder
from nucdl_core.cli.output_options import choice_of, choice_options
from nucdl_core.cli.segment import polarity_option
from nucdl_core.cli.words import EXISTING, EXISTING_FOLDER, exit_with_failures
from nucdl_core.config import DEVICES, TREATMENTS, VIEWS
from nucdl_core.errors import ConfigError, ImageError

if TYPE_CHECKING:
    from nucdl_core.explore.trial import Sample

NO_TREATMENT_WORD, AUTOMATIC_WORD = "none", "auto"
MOST_IMAGES = 6


@click.command(name="try")
@click.argument("inputs", nargs=-1, type=EXISTING, required=True, metavar="IMAGES...")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The HTML file.")
@click.option("--masks", type=EXISTING_FOLDER, default=None, help="True label images: sort by the real F1.")
@click.option(
    "--preprocess",
    default=f"{NO_TREATMENT_WORD},{','.join(TREATMENTS)}",
    show_default="all",
    help=f"Treatments, with commas: {NO_TREATMENT_WORD}, {', '.join(TREATMENTS)}; in a row with +: bin2+median3.",
)
@click.option("--model", default=None, show_default="all", help="Names or folders of models, with commas.")
@click.option("--diameter", default=AUTOMATIC_WORD, show_default=True, help="Diameters in pixels, with commas.")
@click.option("--threshold", default=AUTOMATIC_WORD, show_default=True, help="Probability thresholds, with commas.")
@click.option(
    "--views", default=NO_TREATMENT_WORD, show_default=True, help=f"Views to look at, with commas: {', '.join(VIEWS)}."
)
@click.option(
    "--labels",
    "others",
    type=NamedFolder(),
    multiple=True,
    help="Label images of another tool, as one more way; may be repeated.",
)
@click.option("--images", "most", default=MOST_IMAGES, show_default=True, help="Images to try, evenly chosen.")
@click.option("--channel", default=None, help="Which shows nuclei: its number  [the only one].")
@polarity_option
@click.option(
    "--device", type=click.Choice(DEVICES), default=AUTOMATIC_WORD, show_default=True, help="Where to compute."
)
@click.option("--yes", is_flag=True, help="Also more than 200 combinations.")
@choice_options
def try_command(
    inputs: Tuple[Path, ...],
    output: Path,
    masks: Optional[Path],
    others: Tuple[Tuple[Optional[str], Path], ...],
    **options: Any,
) -> None:
    """Try treatments, models and settings on some images, and see on one page what suits them.

    Every combination is tried on each image; what several have in common is computed once. The page shows the
    outlines side by side, sorted by a score that needs no truth, or by the mean F1 where --masks gives it, and for
    each way the command and the CellProfiler pipeline that use it. Beside it, NAME_files holds the table and the
    pipelines. An image that cannot be used is named, and the exit code is 3.
    """
    from nucdl_core.explore.trial import try_variants
    from nucdl_core.explore.variants import Grid, all_variants, shown_model_name
    from nucdl_core.explore.write_page import TryRequest, write_trial
    from nucdl_core.reports.page import require_libraries

    require_libraries()
    grid = Grid(
        models=_models(options["model"]),
        treatments=tuple(_words(options["preprocess"])),
        diameters=_numbers("diameter", options["diameter"]),
        thresholds=_numbers("threshold", options["threshold"]),
        views=tuple(_words(options["views"])),
        polarity=options["polarity"],
        device=options["device"],
    )
    variants = all_variants(grid, _others(others), options["yes"])
    load_all(grid.models, options["device"])
    samples, left = sample_images(inputs, options, masks)
    images = f"{len(samples)}" + (f" of {len(samples) + left}, evenly chosen" if left else "")
    facts = {
        "images": images,
        "ways": f"{len(variants)}",
        "treatments": ", ".join(grid.treatments),
        "models": ", ".join(shown_model_name(model) for model in grid.models),
    }
    request = TryRequest(output, _spelled(inputs, options), facts)
    click.echo(f"{len(variants)} ways to find nuclei on {images} images", err=True)
    trial = try_variants(samples, variants, _progress())
    ranked = write_trial(request, trial, variants)
    click.echo(f"best: {ranked[0].variant.name} ({ranked[0].order:.3f})")
    click.echo(f"written to {output}; table and pipelines in {request.files_folder}")
    exit_with_failures(list(trial.failed.values()))


def sample_images(inputs: Sequence[Path], options: Dict[str, Any], masks: Optional[Path]) -> Tuple[List[Sample], int]:
    """Choose the images to try variants on, evenly from all that are there.

    Parameters
    ----------
    inputs : sequence of Path
        Files and folders.
    options : dict
        Of the command.
    masks : Path or None
        Folder of true label images; images without one are left out then.

    Returns
    -------
    list of Sample
    left_out : int
        How many more images there are.

    Raises
    ------
    ImageError
        If there is no image, or no mask for any.
    """
    from nucdl_core.batch.stacks import images_in
    from nucdl_core.explore.trial import Sample
    from nucdl_core.files.folders import image_files, image_stem, label_images

    if options["most"] < 1:
        raise ConfigError(f"images is {options['most']}; give at least 1")
    choice = choice_of(options)
    images = [named for path in image_files(inputs, options["recursive"]) for named in images_in(path, choice)]
    truths = {} if masks is None else label_images(masks)
    if masks is not None:
        images = [(path, read) for path, read in images if image_stem(path) in truths]
    if not images:
        reason = "no images came" if masks is None else f"none of the images has a mask in {masks}"
        raise ImageError(f"{reason}; give image files or folders, with masks of the same names")
    step = max(1.0, len(images) / options["most"])
    chosen = [images[int((number + 0.5) * step)] for number in range(min(options["most"], len(images)))]
    samples = [Sample(path, read, truths.get(image_stem(path))) for path, read in chosen]
    return samples, len(images) - len(samples)


def load_all(models: Sequence[str], device: str) -> None:
    """Load the models, so that one that cannot be used is refused before anything is computed."""
    from nucdl_core.model.bundle import find_bundle
    from nucdl_core.model.device import resolve_device
    from nucdl_core.model.loading import load_model

    for model in models:
        load_model(find_bundle(model), resolve_device(device))


def _models(text: Optional[str]) -> Tuple[str, ...]:
    """Return the models that were named, or all of this computer that can be used."""
    from importlib import util

    from nucdl_core.model.bundle import read_description
    from nucdl_core.model.listing import list_models

    if text is not None:
        return tuple(_words(text))
    usable = [each for each in list_models() if each.problem is None]
    if util.find_spec("torchvision") is None:
        usable = [each for each in usable if read_description(each.folder).companion is None]
    return tuple(each.name for each in usable)


def _words(text: str) -> List[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(name: str, text: str) -> Tuple[Optional[float], ...]:
    try:
        return tuple(None if word == AUTOMATIC_WORD else float(word) for word in _words(text))
    except ValueError:
        raise ConfigError(f"{name} is {text!r}; give numbers or 'auto', with commas between them") from None


def _others(named: Sequence[Tuple[Optional[str], Path]]) -> Dict[str, Path]:
    folders = {name or folder.name: folder for name, folder in named}
    if len(folders) < len(named):
        raise ConfigError("two folders of label images have the same name; tell them apart: --labels NAME=FOLDER")
    return folders


def _spelled(inputs: Sequence[Path], options: Dict[str, Any]) -> List[str]:
    """Return files, folders and options that choose images as they stand in a command."""
    words = [str(path) for path in inputs]
    for name in ("channel", "plane", "series"):
        words += [f"--{name}", str(options[name])] if options[name] is not None else []
    return [*words, *(["--recursive"] if options["recursive"] else [])]


def _progress() -> Any:
    """Return what shows how many results are there and how much time is left: a bar, or lines in the log."""
    from tqdm import tqdm

    bar = tqdm(unit="result", disable=None, smoothing=0.05)

    def show(done: int, count: int) -> None:
        bar.total = count
        bar.update(done - bar.n)
        if done == count:
            bar.close()

    return cast(Any, show)
