"""Accuracy on annotated images: IdentifyNucleiDL beside IdentifyPrimaryObjects, in one CellProfiler run.

    .venv/bin/python benchmarks/accuracy.py --data ../shared/data/dsb2018/test --output benchmark_output/accuracy

`--data` holds the folders ``images`` and ``masks`` and ``index.csv`` with the columns ``id`` and ``modality``.
Prints a table for the documentation and writes the scores of every image, and a sheet of the worst ones.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Dict, List

import click
import numpy as np
import pandas as pd
from machine import describe_machine
from scipy.stats import wilcoxon

from nucdl_core.bundle import find_bundle
from nucdl_core.config import DEFAULT_MODEL, SegmentConfig
from nucdl_core.demo import SIDES, DemoConfig, run_demo
from nucdl_core.evaluate import evaluate_folders
from nucdl_core.files import (
    LABEL_SUFFIX,
    image_files,
    image_stem,
    read_image,
    read_labels,
    write_labels,
    write_png,
    write_table,
)
from nucdl_core.labels import equivalent_diameters
from nucdl_core.normalize import normalize
from nucdl_core.overlay import overlay
from nucdl_core.predict import load_predictor
from nucdl_core.segment import segment
from nucdl_core.size import estimate_diameter

COLUMNS = ("mean_f1", "f1_0.50", "f1_0.70", "f1_0.90", "dsb_score")
ERRORS = ("missed_0.70", "merges", "splits")
SIZE_TOLERANCE = 0.25
WORST = 12
CLASSIC_RANGE = "10,60"


def choose_images(data: Path, modality: str, folder: Path) -> pd.DataFrame:
    """Copy the images of a modality and their masks beside each other; return their rows of the index."""
    index = pd.read_csv(data / "index.csv")
    index = index[index["modality"] == modality]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        chosen = [path for path in image_files([data / kind]) if path.stem in set(index["id"])]
        for path in chosen:
            shutil.copyfile(path, folder / kind / path.name)
    return index.set_index("id")


def write_pipeline(path: Path) -> Path:
    """Write compare.cppipe with the diameter range that suits these images rather than the demonstration's."""
    pipeline = DemoConfig.pipeline.read_text(encoding="utf-8")
    setting = "Typical diameter of objects, in pixel units (Min,Max):"
    if f"{setting}20,60" not in pipeline:
        raise click.ClickException(f"{DemoConfig.pipeline} lacks the setting {setting}20,60")
    path.write_text(pipeline.replace(f"{setting}20,60", f"{setting}{CLASSIC_RANGE}"), encoding="utf-8")
    return path


def segment_with_true_size(folder: Path, output: Path) -> None:
    """Segment with the diameter that the annotation gives: what a perfect size estimate would reach."""
    output.mkdir()
    masks = {path.stem: path for path in image_files([folder / "masks"])}
    for path in image_files([folder / "images"]):
        diameters = equivalent_diameters(read_labels(masks[path.stem]))
        found = segment(read_image(path), SegmentConfig(diameter=float(np.median(diameters))))
        write_labels(output / f"{path.stem}{LABEL_SUFFIX}", found.labels)


def size_errors(folder: Path, index: pd.DataFrame) -> pd.Series:
    """Ratio of the estimated to the true median diameter of each image."""
    predictor = load_predictor(find_bundle(DEFAULT_MODEL), "cpu")
    canonical = predictor.description.canonical_diameter
    ratios: Dict[str, float] = {}
    for path in image_files([folder / "images"]):
        estimate = estimate_diameter(normalize(read_image(path)), canonical, predictor.maps_at)
        ratios[path.stem] = (estimate or float("nan")) / float(index.loc[path.stem, "median_diam_px"])
    return pd.Series(ratios)


def draw_worst(folder: Path, predictions: Path, table: pd.DataFrame, output: Path) -> None:
    """Write overlays of the images with the lowest scores: matched, missed and extra nuclei in colours."""
    output.mkdir()
    images = {path.stem: path for path in image_files([folder / "images"])}
    masks = {path.stem: path for path in image_files([folder / "masks"])}
    predicted = {image_stem(path): path for path in predictions.iterdir()}
    for rank, row in enumerate(table.sort_values("mean_f1").head(WORST).itertuples(), start=1):
        labels = read_labels(predicted[row.image])
        picture = overlay(read_image(images[row.image]), labels, truth=read_labels(masks[row.image]))
        write_png(output / f"{rank:02d}_{row.mean_f1:.2f}_{row.image[:12]}.png", picture)


def markdown(rows: Dict[str, Dict[str, float]]) -> str:
    """Format the summaries of several methods as a Markdown table."""
    lines = [f"| method | {' | '.join(COLUMNS + ERRORS)} |", "|---" * (1 + len(COLUMNS + ERRORS)) + "|"]
    for name, summary in rows.items():
        values: List[str] = [f"{summary[key]:.3f}" for key in COLUMNS] + [f"{summary[key]:.0f}" for key in ERRORS]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--modality", default="fluorescence", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A new folder.")
def main(data: Path, modality: str, output: Path) -> None:
    chosen = output / "chosen"
    index = choose_images(data, modality, chosen)
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n{len(index)} images, {index['n_nuclei'].sum()} nuclei\n")
    run = output / "cellprofiler"
    run_demo(DemoConfig(run, chosen / "images", pipeline=write_pipeline(output / "compare.cppipe")))
    segment_with_true_size(chosen, output / "labels_true_size")
    folders = {module: run / f"labels{ending}" for module, (_, ending) in SIDES.items()}
    click.echo(f"IdentifyPrimaryObjects: diameters {CLASSIC_RANGE} px, otherwise its defaults; border nuclei kept\n")
    folders["IdentifyNucleiDL, true size given"] = output / "labels_true_size"
    tables, summaries = {}, {}
    for name, folder in folders.items():
        tables[name], summaries[name] = evaluate_folders(chosen / "masks", folder)
        write_table(output / f"{folder.name}.csv", tables[name])
    click.echo(markdown(summaries))
    classic, deep = (tables[module].set_index("image")["mean_f1"] for module in SIDES)
    p_value = wilcoxon(deep, classic.loc[deep.index]).pvalue
    better = int((deep > classic.loc[deep.index]).sum())
    click.echo(f"\nIdentifyNucleiDL is better on {better} of {len(deep)} images, paired Wilcoxon p = {p_value:.1e}")
    ratios = size_errors(chosen, index)
    good = int(((ratios > 1 - SIZE_TOLERANCE) & (ratios < 1 + SIZE_TOLERANCE)).sum())
    click.echo(f"Size estimate within {SIZE_TOLERANCE:.0%} of the true median: {good} of {len(ratios)} images")
    draw_worst(chosen, folders["IdentifyNucleiDL"], tables["IdentifyNucleiDL"], output / "worst")


if __name__ == "__main__":
    main()
