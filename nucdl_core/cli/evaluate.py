"""The commands that compare segmentations with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

import click

from nucdl_core.cli.words import EXISTING_FILE, EXISTING_FOLDER, FOLDER

if TYPE_CHECKING:
    from nucdl_core.reports.methods import Evaluation

SHOWN_SCORES = ("image", "n_truth", "n_prediction", "mean_f1", "f1_0.50", "f1_0.70", "f1_0.90", "dsb_score")
_SHOWN_MISSING = 5


class NamedFolder(click.ParamType):
    """The value ``NAME=DIR`` or ``DIR`` of an option: the name, which is None in the second case, and the folder."""

    name = "NAME=DIR"

    def convert(
        self, value: str, param: Optional[click.Parameter], ctx: Optional[click.Context]
    ) -> Tuple[Optional[str], Path]:
        """Separate the name from the folder; an existing folder whose own name contains ``=`` is recognized."""
        name, separator, folder = value.partition("=")
        named = bool(separator) and not Path(value).is_dir()
        path = EXISTING_FOLDER.convert(folder if named else value, param, ctx)
        return name if named else None, Path(str(path))


PREDICTIONS = click.option(
    "--prediction",
    "predictions",
    type=NamedFolder(),
    multiple=True,
    required=True,
    help="Folder of label images of a method; repeat it to compare methods.",
)
TRUTH = click.option("--truth", type=EXISTING_FOLDER, required=True, help="Folder of true label images.")
STRATA = click.option(
    "--strata", type=EXISTING_FILE, default=None, help="CSV with the column 'image' or 'id' and columns of categories."
)
ALLOW_MISSING = click.option("--allow-missing", is_flag=True, help="Count a missing prediction as an empty one.")


@click.command(name="evaluate")
@TRUTH
@PREDICTIONS
@STRATA
@ALLOW_MISSING
@click.option("--output", type=FOLDER, default=None, help="Folder for the tables  [of one prediction: its folder].")
def evaluate_command(
    truth: Path,
    predictions: Tuple[Tuple[Optional[str], Path], ...],
    strata: Optional[Path],
    allow_missing: bool,
    output: Optional[Path],
) -> None:
    """Compare label images with the truth, nucleus by nucleus, and methods with each other.

    Writes evaluation.csv (one row per method and image), summary.csv (means with confidence intervals),
    comparisons.csv (paired tests) and summary.json. Of a single prediction without a name it writes evaluation.csv and
    summary.json.
    """
    from nucdl_core.reports.methods import Inputs, comparison_text, evaluate_methods, write_method_tables

    inputs = Inputs(truth, named_folders(predictions), strata, allow_missing)
    single = len(predictions) == 1 and predictions[0][0] is None and strata is None
    folder = output or (predictions[0][1] if single else None)
    if folder is None:
        raise click.UsageError("several or named predictions and --strata need a folder for the tables: --output DIR")
    evaluation = evaluate_methods(inputs)
    if single:
        _finish_single(evaluation, folder)
    else:
        write_method_tables(folder, evaluation)
        click.echo(comparison_text(evaluation))
        click.echo(f"\nwritten to {output}: evaluation.csv, summary.csv, comparisons.csv, summary.json")
    tell_about_inputs(evaluation)


def named_folders(predictions: Tuple[Tuple[Optional[str], Path], ...]) -> List[Tuple[str, Path]]:
    """Give each folder without a name for its method the name of the folder itself."""
    return [(folder.resolve().name if name is None else name, folder) for name, folder in predictions]


def _finish_single(evaluation: Evaluation, folder: Path) -> None:
    from nucdl_core.reports.folders import summary_text, write_evaluation
    from nucdl_core.scores.all_scores import summarize_all

    table = evaluation.scores.drop(columns=["method"])
    summary = summarize_all(table)
    write_evaluation(folder, table, summary)
    click.echo(table[list(SHOWN_SCORES)].to_string(index=False, float_format="{:.3f}".format))
    click.echo(f"\n{summary_text(summary)}\n\nwritten to {folder}: evaluation.csv, summary.json")


def tell_about_inputs(evaluation: Evaluation) -> None:
    """Say which predictions were missing and which columns are no categories."""
    for method, images in evaluation.missing.items():
        names = ", ".join(images[:_SHOWN_MISSING]) + (", ..." if len(images) > _SHOWN_MISSING else "")
        click.echo(f"{method}: no prediction for {len(images)} images, counted as empty: {names}", err=True)
    if evaluation.strata is not None and evaluation.strata.left_out:
        names = ", ".join(evaluation.strata.left_out)
        click.echo(f"columns with too many different values for categories, not used: {names}", err=True)


@click.command(name="report")
@TRUTH
@click.option("--images", type=EXISTING_FOLDER, required=True, help="Folder of the images.")
@PREDICTIONS
@STRATA
@click.option("--times", type=EXISTING_FILE, default=None, help="CSV with the columns method, image, seconds.")
@ALLOW_MISSING
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The HTML file.")
def report_command(
    truth: Path,
    images: Path,
    predictions: Tuple[Tuple[Optional[str], Path], ...],
    output: Path,
    **options: Any,
) -> None:
    """Compare methods with the truth in one HTML file.

    It holds tables, figures and pictures and needs no other file. Tables (CSV) and figures (SVG, PNG) also go into the
    folder NAME_files beside NAME.html. The time per image is that of run.json, which 'nucdl segment' leaves beside its
    label images, or of --times.
    """
    from nucdl_core.reports.methods import Inputs, comparison_text
    from nucdl_core.reports.page import ReportConfig, write_method_report

    inputs = Inputs(truth, named_folders(predictions), options["strata"], options["allow_missing"])
    config = ReportConfig(inputs, images, output, options["times"])
    evaluation = write_method_report(config)
    click.echo(f"{comparison_text(evaluation)}\n\nwritten to {output}; tables and figures in {config.files_folder}")
    tell_about_inputs(evaluation)
