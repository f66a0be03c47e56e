"""The demonstration: the classic and the deep way to find nuclei, side by side in a real CellProfiler run.

Without images of one's own a small plate with known truth is simulated. Own images are only read: CellProfiler gets
grey copies of those that passed the strict reader, and those that did not are reported by name.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import pandas as pd
import tifffile

from nucdl_core.arrays import AnyArray
from nucdl_core.cellprofiler.headless import (
    DONE_NAME,
    LOG_NAME,
    HeadlessError,
    HeadlessRun,
    check_tables,
    execution_seconds,
    run_cellprofiler,
)
from nucdl_core.cellprofiler.supplied import supplied_folder
from nucdl_core.config import require
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.folders import image_files
from nucdl_core.files.reading import read_image
from nucdl_core.files.writing import make_folder, replaced_folder, write_json, write_table
from nucdl_core.progress import ModuleProgress
from nucdl_core.reports.folders import evaluate_folders
from nucdl_core.simulate.plate import simulate_plate

DEMO_MARKER = "demo.json"
PLATE_FOLDER = "plate"
COMPARISON = "comparison.csv"
COMPARED_MODULES = {"IdentifyPrimaryObjects": ("NucleiClassic", "_classic"), "IdentifyNucleiDL": ("Nuclei", "_deep")}
"""The modules of ``compare.cppipe`` with the names of their objects and the endings of their folders."""

SCORES = ("mean_f1", "f1_0.50", "f1_0.70", "f1_0.90")

_OWN_FOLDERS = (
    PLATE_FOLDER,
    *(f"{kind}{ending}" for kind in ("labels", "overlays") for _, ending in COMPARED_MODULES.values()),
)
_OWN_FILES = (DEMO_MARKER, "*.csv", LOG_NAME, DONE_NAME)


@dataclass(frozen=True)
class DemoConfig:
    """What the demonstration runs on.

    Attributes
    ----------
    output : Path
        Folder for everything that is written. It must be empty, absent, or made by a former demonstration, which is
        replaced once the new one is complete.
    images : Path or None
        Folder with a person's own images; None simulates a plate.
    fields : int
        Number of simulated fields.
    size : (int, int)
        Height and width of a simulated field in pixels.
    seed : int
        The same seed gives the same plate.
    pipeline : Path, optional
        Instead of ``compare.cppipe`` one with the same modules and names but other settings.
    """

    output: Path
    images: Optional[Path] = None
    fields: int = 12
    size: Tuple[int, int] = (520, 696)
    seed: int = 1
    pipeline: Optional[Path] = None

    def __post_init__(self) -> None:
        require(self.fields >= 1, f"fields is {self.fields}; give at least 1")
        if self.images is not None:
            require(self.images.is_dir(), f"{self.images} is not a folder; give the folder of your images")
            inside = self.output.resolve() in (self.images.resolve(), *self.images.resolve().parents)
            require(not inside, f"your images lie in {self.output}, which is overwritten; choose another output")


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found.

    Attributes
    ----------
    comparison : DataFrame
        One row per module: number of nuclei, processor seconds per image and, for a simulated plate, the scores.
    failed : dict of str to str
        Name and reason of each image that could not be used.
    """

    comparison: pd.DataFrame
    failed: Dict[str, str] = field(default_factory=dict)


def run_demo(config: DemoConfig, progress: Optional[ModuleProgress] = None) -> DemoResult:
    """Make or read the images, run CellProfiler on both sides, and compare the sides.

    Parameters
    ----------
    config : DemoConfig
    progress : callable, optional
        Called after each module of each image set, as in `run_cellprofiler`.

    Returns
    -------
    DemoResult

    Raises
    ------
    ConfigError
        If the output folder holds something else.
    ImageError
        If none of the images can be used.
    HeadlessError
        If CellProfiler did not finish its work. Its log is kept beside the output folder then.
    """
    refuse_other_files(config.output)
    with replaced_folder(config.output, _is_of_demonstration) as folder:
        result = _demonstrate(config, folder, progress)
        _name_place(folder, config.output.resolve())
    return result


def refuse_other_files(output: Path) -> None:
    """Raise a `ConfigError` if a folder holds files but no mark of a demonstration."""
    if output.is_dir() and any(output.iterdir()) and not (output / DEMO_MARKER).is_file():
        raise ConfigError(f"{output} holds files that no demonstration made; choose another folder or empty it")


def _is_of_demonstration(path: Path) -> bool:
    """Tell whether a file of a former demonstration, named by its path in the folder, goes when a new one comes."""
    return path.parts[0] in _OWN_FOLDERS or (len(path.parts) == 1 and any(map(path.match, _OWN_FILES)))


def _demonstrate(config: DemoConfig, folder: Path, progress: Optional[ModuleProgress]) -> DemoResult:
    """Fill an empty folder with a demonstration."""
    source = "simulated" if config.images is None else str(config.images)
    write_json(
        folder / DEMO_MARKER, {"images": source, "fields": config.fields, "size": config.size, "seed": config.seed}
    )
    plate = folder / PLATE_FOLDER
    failed: Dict[str, str] = {}
    if config.images is None:
        simulate_plate(plate, fields=config.fields, size=config.size, seed=config.seed)
    else:
        failed = copy_images(config.images, plate)
    images = _run_both_sides(config, folder, progress)
    comparison = compare_sides(folder, images)
    write_table(folder / COMPARISON, comparison)
    return DemoResult(comparison, failed)


def _run_both_sides(config: DemoConfig, folder: Path, progress: Optional[ModuleProgress]) -> pd.DataFrame:
    """Run CellProfiler and return its table of images; if it fails its log is kept beside the output folder."""
    images = folder / PLATE_FOLDER / "load_data.csv"
    kept = config.output.with_name(f"{config.output.name}_{LOG_NAME}")
    kept.unlink(missing_ok=True)
    try:
        pipeline = config.pipeline or supplied_folder("pipelines") / "compare.cppipe"
        run_cellprofiler(HeadlessRun(pipeline, images, folder, supplied_folder("plugins")), progress)
        return check_tables(folder, len(pd.read_csv(images)), [name for name, _ in COMPARED_MODULES.values()])
    except HeadlessError as error:
        log = folder / LOG_NAME
        if not log.is_file():
            raise
        shutil.copyfile(log, kept)
        raise HeadlessError(str(error).replace(str(log), str(kept))) from error


def _name_place(folder: Path, final: Path) -> None:
    """Name in all tables the place where a folder will lie, instead of the one where it was filled."""
    # CellProfiler writes paths, and URLs as well.
    spellings = [(str(folder), str(final)), (_in_url(folder), _in_url(final))]
    for path in (*folder.glob("*.csv"), folder / PLATE_FOLDER / "load_data.csv"):
        text = path.read_bytes()
        for before, after in spellings:
            text = text.replace(os.fsencode(before), os.fsencode(after))
        path.write_bytes(text)


def _in_url(folder: Path) -> str:
    return folder.as_uri().partition("//")[2]


def copy_images(source: Path, plate: Path) -> Dict[str, str]:
    """Write grey copies of a person's images and their list for LoadData.

    Parameters
    ----------
    source : Path
        Folder of the images; nothing in it is changed.
    plate : Path
        Folder for the copies (``images``) and the list (``load_data.csv``).

    Returns
    -------
    dict of str to str
        Name and reason of each image that could not be read.

    Raises
    ------
    ImageError
        If no image can be read.
    """
    copies = plate / "images"
    make_folder(copies)
    failed: Dict[str, str] = {}
    names: List[str] = []
    for path in image_files([source]):
        try:
            image = read_image(path)
        except ImageError as error:
            failed[path.name] = str(error)
            continue
        # Two images may differ in nothing but the ending of their names.
        name = f"{path.stem}.tif" if f"{path.stem}.tif" not in names else f"{path.name.replace('.', '_')}.tif"
        tifffile.imwrite(copies / name, as_cellprofiler_reads(image), compression="zlib")
        names.append(name)
    if not names:
        raise ImageError(f"no image in {source} can be used: " + "; ".join(failed.values()))
    rows = {"Image_FileName_DNA": names, "Image_PathName_DNA": str(copies.resolve())}
    write_table(plate / "load_data.csv", pd.DataFrame(rows))
    return failed


def as_cellprofiler_reads(image: AnyArray) -> AnyArray:
    """Convert an image to a number format that CellProfiler scales without loss of its upper end.

    Parameters
    ----------
    image : uint8, uint16, uint32 or float array (H, W)
        Not negative.

    Returns
    -------
    uint8 or uint16 array (H, W)
        8 and 16 bits as they are; others stretched so that their maximum becomes 65,535, since CellProfiler cuts
        numbers above 1 off and reads 32 bits wrongly.
    """
    if image.dtype in (np.uint8, np.uint16):
        return image
    highest = float(image.max(initial=0))
    if highest == 0:
        return np.zeros(image.shape, np.uint16)
    return np.round(image.astype(np.float64) * (65535.0 / highest)).astype(np.uint16)


def compare_sides(output: Path, images: pd.DataFrame) -> pd.DataFrame:
    """Compare the two modules: counts, time and, where the truth is known, scores.

    Parameters
    ----------
    output : Path
        Folder of the demonstration.
    images : DataFrame
        ``Image.csv`` of the run.

    Returns
    -------
    DataFrame
        One row per module.
    """
    truth = output / PLATE_FOLDER / "labels"
    rows: List[Dict[str, Any]] = []
    for module, (objects, ending) in COMPARED_MODULES.items():
        row: Dict[str, Any] = {"module": module, "nuclei": int(images[f"Count_{objects}"].sum())}
        if truth.is_dir():
            _, summary = evaluate_folders(truth, output / f"labels{ending}")
            row.update({name: summary[name] for name in SCORES})
        row["cpu_seconds_per_image"] = float(execution_seconds(images, module).median())
        rows.append(row)
    return pd.DataFrame(rows)


def describe_result(output: Path, result: DemoResult) -> str:
    """Render the comparison, and where to look, as text for a person."""
    lines = [result.comparison.to_string(index=False, float_format="{:.3f}".format)]
    if "mean_f1" not in result.comparison:
        lines.append("IdentifyPrimaryObjects looked for nuclei of 20 to 60 px; set your own range in the pipeline.")
    lines += [
        f"Outlines to look at: {output}/overlays_classic and {output}/overlays_deep",
        f"Tables: {output}/Image.csv, {output}/Nuclei.csv, {output}/NucleiClassic.csv, {output}/{COMPARISON}",
    ]
    return "\n".join(lines)
