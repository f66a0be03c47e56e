"""The study of Caicedo et al. (Cytometry A 2019) on a data folder: classic pipelines beside each bundled deep model.

    .venv/bin/python benchmarks/compare.py --data ../shared/data/dsb2018/test --output benchmark_output/compare

With `--study FOLDER` also the networks of a study (`nucdl study`), each by the model of its first training in the grid
``networks``.

`--data` holds the folders ``images`` and ``masks`` and ``index.csv`` with the columns ``id`` and ``modality``.
Prints the tables for the documentation (accuracy, errors, running time) and writes ``report.html`` with figures,
pictures and tests. The classic pipelines run in CellProfiler, the models as `nucdl segment` does, on the CPU and,
where there is one, on the accelerator.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import click
import pandas as pd
import torch
from classic import CLASSIC_RANGE, choose_images, finding_seconds, run_pipeline, with_range
from machine import describe_machine

from nucdl_core.batch.segment_files import segment_files
from nucdl_core.cellprofiler.demo import copy_images
from nucdl_core.cellprofiler.supplied import supplied_folder
from nucdl_core.config import SegmentConfig
from nucdl_core.files.folders import image_files, image_stem
from nucdl_core.files.writing import write_table
from nucdl_core.model.bundle import list_bundles
from nucdl_core.reports.methods import ALL, Evaluation, Inputs
from nucdl_core.reports.page import ReportConfig, write_method_report
from nucdl_core.scores.author_rules import SIZE_CLASSES
from nucdl_core.study.folder import TRAINED_MODEL, StudyFolder, read_study_plan

# Each classic method: its pipeline, and the last of the modules that find nuclei.
CLASSIC = {
    "classic basic": ("classic_basic", "IdentifyPrimaryObjects"),
    "classic advanced": ("classic_advanced", "FilterObjects"),
}
SCORES = ("mean_f1", "f1_0.50", "f1_0.70", "f1_0.90", "dsb_score", "aji")
COUNTS = ("missed_0.70", "merges", "splits", "hollandi_merges", "hollandi_splits")
RATES = ("kromp_over_rate", "kromp_under_rate", *(f"missed_share_0.70_{size}" for size in SIZE_CLASSES))

Methods = List[Tuple[str, Path]]
Times = List[pd.DataFrame]


def run_classic(images: Path, output: Path) -> Tuple[Methods, Times]:
    """Run both classic pipelines; return their label images and the processor seconds of finding nuclei."""
    failed = copy_images(images, output / "plate")
    if failed:
        raise click.ClickException("; ".join(failed.values()))
    methods, times = [], []
    for name, (pipeline, last_module) in CLASSIC.items():
        path = supplied_folder("pipelines") / f"{pipeline}.cppipe"
        if pipeline == "classic_basic":
            path = with_range(path, output / path.name)
        table = run_pipeline(path, output / "plate" / "load_data.csv", output / pipeline)
        methods.append((name, output / pipeline / "labels"))
        stems = [image_stem(file) for file in table["FileName_DNA"]]
        seconds = finding_seconds(table, last_module)
        times.append(pd.DataFrame({"method": name, "image": stems, "seconds": seconds}))
    return methods, times


def models_of_study(root: Path) -> Dict[str, str]:
    """Name the model of each network of a study: that of its first training in the grid of networks."""
    folder = StudyFolder(root)
    cells = read_study_plan(folder).grids().get("networks", [])
    finished = [cell for cell in cells if cell.replicate == 0 and folder.is_finished(cell.name)]
    if not finished:
        raise click.ClickException(f"{root} has no finished trainings in a grid called networks")
    # Of a network that stands there several times the first one counts.
    return {f"{cell.network} (study)": str(folder.training(cell.name) / TRAINED_MODEL) for cell in reversed(finished)}


def run_models(images: Path, output: Path, models: Dict[str, str]) -> Tuple[Methods, Times]:
    """Run models, by the names they are shown with, on each device.

    Returns their label images, and the seconds from reading to writing.
    """
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    methods, times = [], []
    files = image_files([images])
    for number, (shown, model) in enumerate(models.items()):
        for device in devices:
            name = shown if device == "cpu" else f"{shown} ({device})"
            found = output / f"model_{number}_{device}"
            config = SegmentConfig(model=model, device=device)
            # The first image of a process also pays for what is set up once.
            segment_files(files[:1], output / "warm_up", config)
            records = segment_files(files, found, config)
            methods.append((name, found))
            rows = {"image": [image_stem(record.file) for record in records], "seconds": [r.seconds for r in records]}
            times.append(pd.DataFrame({"method": name, **rows}))
    return methods, times


def markdown(titles: List[str], rows: List[List[str]]) -> str:
    """Format a table for the documentation."""
    lines = [f"| {' | '.join(row)} |" for row in (titles, *rows)]
    lines.insert(1, "|---" * len(titles) + "|")
    return "\n".join(lines)


def score_table(evaluation: Evaluation) -> str:
    """Scores with the confidence interval of the mean F1, and the test against the method above."""
    table = evaluation.comparisons
    table = table[(table["category"] == ALL) & (table["score"] == "mean_f1")].set_index(["method", "other"])
    rows, above = [], None
    for method in evaluation.methods:
        row = evaluation.overall(method)
        cells = [method, *(f"{row[name]:.3f}" for name in SCORES)]
        cells.insert(2, f"{row['mean_f1_low']:.3f} to {row['mean_f1_high']:.3f}")
        rows.append(cells + _test_cells(table, above, method))
        above = method
    titles = ["method", "mean_f1", "95 %", *SCORES[1:], "better than the one above on", "p", "rank-biserial"]
    return markdown(titles, rows)


def _test_cells(table: pd.DataFrame, above: Optional[str], method: str) -> List[str]:
    if above is None:
        return ["", "", ""]
    test = table.loc[(above, method)]
    # The table compares the upper with the lower method.
    return [f"{test['worse']} of {test['images']}", f"{test['p_value']:.1e}", f"{-test['rank_biserial']:+.2f}"]


def error_table(evaluation: Evaluation) -> str:
    """Errors as each author counts them, and missed nuclei by size."""
    rows = []
    for method in evaluation.methods:
        row = evaluation.overall(method)
        rows.append([method, *(f"{row[name]}" for name in COUNTS), *(f"{row[name]:.1%}" for name in RATES)])
    return markdown(["method", *COUNTS, *RATES], rows)


def time_table(times: pd.DataFrame, classic: str) -> str:
    """Median, mean and slowest time per image, and the median ratio to a classic method on the same image."""
    wide = times.pivot(index="image", columns="method", values="seconds")
    # CellProfiler's clock has steps of 10 ms.
    base = wide[classic].clip(lower=0.01)
    rows = []
    for method in dict.fromkeys(times["method"]):
        seconds = wide[method]
        cells = (seconds.median(), seconds.mean(), seconds.max(), (seconds / base).median())
        rows.append([method, *(f"{value:.2f}" for value in cells)])
    return markdown(["method", "median s", "mean s", "slowest s", f"ratio to {classic}"], rows)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--modality", default="fluorescence", show_default=True)
@click.option("--limit", default=0, help="Take only so many images, to try the command out.")
@click.option("--strata", type=click.Path(exists=True, path_type=Path), default=None, help="As of nucdl evaluate.")
@click.option("--study", type=click.Path(exists=True, path_type=Path), default=None, help="Folder of a study.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A new folder.")
def main(data: Path, modality: str, limit: int, strata: Optional[Path], study: Optional[Path], output: Path) -> None:
    index = choose_images(data, modality, output / "chosen", limit)
    images = output / "chosen" / "images"
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n{len(index)} images\n")
    models = {name: name for name in list_bundles()}
    if study is not None:
        models.update(models_of_study(study))
    methods, times = run_classic(images, output)
    deep_methods, deep_times = run_models(images, output, models)
    methods, times = methods + deep_methods, times + deep_times
    seconds = pd.concat(times, ignore_index=True)
    write_table(output / "times.csv", seconds)
    inputs = Inputs(output / "chosen" / "masks", methods, strata)
    evaluation = write_method_report(ReportConfig(inputs, images, output / "report.html", output / "times.csv"))
    notes: Dict[str, str] = {"Accuracy": score_table(evaluation), "Errors": error_table(evaluation)}
    notes["Time per image"] = time_table(seconds, "classic basic")
    for title, table in notes.items():
        click.echo(f"{title}\n\n{table}\n")
    click.echo(
        f"classic basic: diameters {CLASSIC_RANGE} px, otherwise defaults. Time of the pipelines: processor time "
        "of the modules that find nuclei; of the models: from reading an image to writing its label image."
    )


if __name__ == "__main__":
    main()
