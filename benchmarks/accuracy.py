"""Accuracy on annotated images: IdentifyNucleiDL beside the classic pipelines, in CellProfiler, on the same images.

    .venv/bin/python benchmarks/accuracy.py --data ../shared/data/dsb2018/test --output benchmark_output/accuracy

`--data` holds the folders ``images`` and ``masks`` and ``index.csv`` with the columns ``id`` and ``modality``.
Prints a table for the documentation, in which each method is compared with the one that it is to improve on, and
writes the scores of every image and pictures of the worst ones.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import click
import numpy as np
import pandas as pd
from classic import CLASSIC_RANGE, choose_images, run_pipeline, with_range
from machine import describe_machine

from nucdl_core.batch.refine_files import refine_files
from nucdl_core.batch.segment_files import segment_files
from nucdl_core.cellprofiler.demo import COMPARED_MODULES, PLATE_FOLDER, DemoConfig, run_demo
from nucdl_core.cellprofiler.supplied import supplied_folder
from nucdl_core.config import SegmentConfig
from nucdl_core.files.folders import LABEL_SUFFIX, image_files, image_stem
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.files.writing import write_labels, write_png, write_table
from nucdl_core.labels import equivalent_diameters
from nucdl_core.model.registry import FAMILIES
from nucdl_core.reports.folders import evaluate_folders
from nucdl_core.reports.overlay import overlay
from nucdl_core.scores.matching import summarize
from nucdl_core.scores.significance import compare_paired
from nucdl_core.segment import segment
from nucdl_core.steps.contours import RefineConfig

COLUMNS = ("mean_f1", "f1_0.50", "f1_0.70", "f1_0.90", "dsb_score")
ERRORS = ("missed_0.70", "merges", "splits")
SIZE_TOLERANCE = 0.25
WORST = 12
CLASSIC, DEEP = COMPARED_MODULES
# What IdentifyNucleiDL offers beyond its default settings.
VARIANTS = {
    "four views": SegmentConfig(views="flips"),
    "eight views": SegmentConfig(views="all"),
    "finer outlines": SegmentConfig(refine=True),
    "four views and finer outlines": SegmentConfig(views="flips", refine=True),
}
# The second family; its model relies on the U-Net for the size of nuclei, and here also for their outlines.
MASK_RCNN = "Mask R-CNN"
SECOND_FAMILY = {
    "four views": SegmentConfig(model=FAMILIES["maskrcnn"], views="flips"),
    "outlines by the U-Net (both families)": SegmentConfig(model=FAMILIES["maskrcnn"], refine=True),
    "four views, outlines by the U-Net": SegmentConfig(model=FAMILIES["maskrcnn"], views="flips", refine=True),
}
ADVANCED = "classic_advanced"


class Step(NamedTuple):
    """A row of the table: a method, the label images that it wrote, and the method that it is to improve on."""

    name: str
    labels: Path
    builds_on: Optional[str] = None


def run_steps(chosen: Path, output: Path) -> List[Step]:
    """Segment the chosen images in every way."""
    both = output / "cellprofiler"
    pipeline = with_range(supplied_folder("pipelines") / "compare.cppipe", output / "compare.cppipe")
    run_demo(DemoConfig(both, chosen / "images", pipeline=pipeline))
    advanced = supplied_folder("pipelines") / f"{ADVANCED}.cppipe"
    run_pipeline(advanced, both / PLATE_FOLDER / "load_data.csv", output / ADVANCED)
    segment_with_true_size(chosen, output / "labels_true_size")
    folders = {module: both / f"labels{ending}" for module, (_, ending) in COMPARED_MODULES.items()}
    images = chosen / "images"
    return [
        Step(CLASSIC, folders[CLASSIC]),
        Step(f"{CLASSIC} + TTARefine", refined(images, folders[CLASSIC], output / "labels_classic_refined"), CLASSIC),
        Step(ADVANCED, output / ADVANCED / "labels", CLASSIC),
        Step(DEEP, folders[DEEP], ADVANCED),
        Step(f"{DEEP}, true size given", output / "labels_true_size", DEEP),
        *(segmented(f"{DEEP}, {name}", images, config, output, DEEP) for name, config in VARIANTS.items()),
        segmented(MASK_RCNN, images, SegmentConfig(model=FAMILIES["maskrcnn"]), output, DEEP),
        *(
            segmented(f"{MASK_RCNN}, {name}", images, config, output, MASK_RCNN)
            for name, config in SECOND_FAMILY.items()
        ),
    ]


def segmented(name: str, images: Path, config: SegmentConfig, output: Path, builds_on: str) -> Step:
    """Segment a folder of images as `nucdl segment` does."""
    labels = output / f"labels_{file_name(name)}"
    segment_files(image_files([images]), labels, config)
    return Step(name, labels, builds_on)


def file_name(method: str) -> str:
    """Turn the name of a method into one for a file or folder."""
    return re.sub("[^A-Za-z]+", "_", method)


def refined(images: Path, labels: Path, output: Path) -> Path:
    """Refine a folder of label images as `nucdl refine` does; return the folder of label images."""
    refine_files(images, labels, output, RefineConfig())
    return output


def segment_with_true_size(folder: Path, output: Path) -> None:
    """Segment with the diameter that the annotation gives: what a perfect size estimate would reach."""
    output.mkdir()
    masks = {path.stem: path for path in image_files([folder / "masks"])}
    for path in image_files([folder / "images"]):
        diameters = equivalent_diameters(read_labels(masks[path.stem]))
        found = segment(read_image(path), SegmentConfig(diameter=float(np.median(diameters))))
        write_labels(output / f"{path.stem}{LABEL_SUFFIX}", found.labels)


def size_errors(folder: Path, index: pd.DataFrame) -> pd.Series:
    """Ratio of the diameter that is found to the true median diameter of each image."""
    ratios = {
        path.stem: segment(read_image(path)).diameter / float(index.loc[path.stem, "median_diam_px"])
        for path in image_files([folder / "images"])
    }
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


def compare(tables: Dict[str, pd.DataFrame], name: str, other: str) -> Tuple[int, float]:
    """Count the images on which a method has the higher mean F1, and give p of the paired Wilcoxon test."""
    scores, others = (tables[key].set_index("image")["mean_f1"] for key in (name, other))
    found = compare_paired(scores.to_numpy(), others.loc[scores.index].to_numpy())
    return found.better, found.p_value


def markdown(steps: List[Step], tables: Dict[str, pd.DataFrame]) -> str:
    """Format the summaries of all steps as a Markdown table; each is compared with the one that it builds on."""
    header = ["method", *COLUMNS, *ERRORS, "compared with", "better on", "p"]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for step in steps:
        summary = summarize(tables[step.name])
        cells = [step.name, *(f"{summary[key]:.3f}" for key in COLUMNS), *(f"{summary[key]:.0f}" for key in ERRORS)]
        if step.builds_on:
            better, p_value = compare(tables, step.name, step.builds_on)
            cells += [step.builds_on, str(better), f"{p_value:.1e}"]
        lines.append(f"| {' | '.join(cells)} |" + " |" * (len(header) - len(cells)))
    return "\n".join(lines)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--modality", default="fluorescence", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A new folder.")
def main(data: Path, modality: str, output: Path) -> None:
    chosen = output / "chosen"
    index = choose_images(data, modality, chosen)
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n{len(index)} images, {index['n_nuclei'].sum()} nuclei\n")
    steps = run_steps(chosen, output)
    click.echo(f"IdentifyPrimaryObjects: diameters {CLASSIC_RANGE} px, otherwise its defaults; border nuclei kept\n")
    tables = {step.name: evaluate_folders(chosen / "masks", step.labels)[0] for step in steps}
    for step in steps:
        write_table(output / f"{file_name(step.name)}.csv", tables[step.name])
    click.echo(markdown(steps, tables))
    better, p_value = compare(tables, DEEP, CLASSIC)
    click.echo(
        f"\n{DEEP} is better than {CLASSIC} on {better} of {len(index)} images, paired Wilcoxon p = {p_value:.1e}"
    )
    ratios = size_errors(chosen, index)
    good = int(((ratios > 1 - SIZE_TOLERANCE) & (ratios < 1 + SIZE_TOLERANCE)).sum())
    click.echo(f"Size estimate within {SIZE_TOLERANCE:.0%} of the true median: {good} of {len(ratios)} images")
    (deep,) = (step for step in steps if step.name == DEEP)
    draw_worst(chosen, deep.labels, tables[DEEP], output / "worst")


if __name__ == "__main__":
    main()
