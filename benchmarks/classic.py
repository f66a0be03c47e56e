"""What benchmarks share: choosing annotated images, and running a classic pipeline of CellProfiler on them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import click
import pandas as pd

from nucdl_core.cellprofiler.headless import HeadlessRun, check_tables, run_cellprofiler
from nucdl_core.cellprofiler.supplied import supplied_folder
from nucdl_core.files.folders import image_files

CLASSIC_RANGE = "10,60"
_SETTING = "Typical diameter of objects, in pixel units (Min,Max):"
_RANGE_IN_FILES = "20,60"


def choose_images(data: Path, modality: str, folder: Path, limit: int = 0) -> pd.DataFrame:
    """Copy the images of a modality and their masks beside each other; return their rows of the index.

    A `limit` above 0 takes that many images, spread evenly over the index.
    """
    index = pd.read_csv(data / "index.csv")
    index = index[index["modality"] == modality]
    if 0 < limit < len(index):
        index = index.iloc[[number * len(index) // limit for number in range(limit)]]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        chosen = [path for path in image_files([data / kind]) if path.stem in set(index["id"])]
        for path in chosen:
            shutil.copyfile(path, folder / kind / path.name)
    return index.set_index("id")


def with_range(pipeline: Path, copy: Path) -> Path:
    """Write a copy of a pipeline with the diameter range that suits these images rather than the demonstration's."""
    text = pipeline.read_text(encoding="utf-8")
    if f"{_SETTING}{_RANGE_IN_FILES}" not in text:
        raise click.ClickException(f"{pipeline} lacks the setting {_SETTING}{_RANGE_IN_FILES}")
    copy.write_text(text.replace(f"{_SETTING}{_RANGE_IN_FILES}", f"{_SETTING}{CLASSIC_RANGE}"), encoding="utf-8")
    return copy


def run_pipeline(pipeline: Path, images: Path, output: Path) -> pd.DataFrame:
    """Run a pipeline that finds Nuclei on a list of images (load_data.csv); return CellProfiler's table of images."""
    output.mkdir(parents=True)
    run_cellprofiler(HeadlessRun(pipeline, images, output, supplied_folder("plugins")))
    return check_tables(output, len(pd.read_csv(images)), ["Nuclei"])


def finding_seconds(images: pd.DataFrame, last_module: str) -> pd.Series:
    """Sum the processor time per image of all modules after the first (LoadData) up to the last that finds nuclei."""
    modules = sorted(name for name in images.columns if re.fullmatch(r"ExecutionTime_\d+[A-Za-z]+", name))
    (last,) = [number for number, name in enumerate(modules) if re.fullmatch(rf"\w+_\d+{last_module}", name)]
    return images[modules[1 : last + 1]].astype("float64").sum(axis=1)
