"""Segmentation of many image files without CellProfiler: label images, one table, one record of the run."""

from __future__ import annotations

import dataclasses
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, TypeVar

import numpy as np
import pandas as pd
import torch

from nucdl_core import __version__
from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.batch.class_masks import CLASS_COLUMN, ClassMasks
from nucdl_core.batch.extra_outputs import NOTHING_MORE, ExtraOutputs
from nucdl_core.batch.outputs import OutputWriter, extra_columns, finish_nuclei
from nucdl_core.batch.plane_choice import FIRST_ALONE, PlaneChoice
from nucdl_core.batch.stacks import images_in
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ImageError, OutOfMemoryError
from nucdl_core.files.folders import LABEL_SUFFIX, refuse_same_names
from nucdl_core.files.writing import make_folder, write_json, write_labels, write_table
from nucdl_core.labels import centroids
from nucdl_core.model.bundle import Bundle, find_bundle, read_bundle
from nucdl_core.model.device import format_name, resolve_device
from nucdl_core.model.doubt import DOUBT_COLUMNS, Doubt, doubt_about
from nucdl_core.model.fitness import misfits, traits_of
from nucdl_core.model.loading import dtype_for, load_model
from nucdl_core.progress import TileProgress
from nucdl_core.results import Segmentation
from nucdl_core.segment import segment_unfiltered
from nucdl_core.steps.filters import filter_nuclei

MICRONUCLEUS_FLAG = "NucDL_Micronucleus"
OBJECT_COLUMNS = (
    "ImageNumber",
    "ObjectNumber",
    "FileName",
    "Location_Center_X",
    "Location_Center_Y",
    "AreaShape_Area",
    "AreaShape_EquivalentDiameter",
    "NucDL_Confidence",
    MICRONUCLEUS_FLAG,
)
IMAGE_COLUMNS = ("ImageNumber", "FileName", "Count_Nuclei", "NucDL_Diameter", *DOUBT_COLUMNS)
AnyJob = TypeVar("AnyJob")
OWN_LIBRARIES = ("numpy", "scipy", "scikit-image", "torch", "tifffile", "Pillow")


@dataclasses.dataclass(frozen=True)
class ImageRecord:
    """What happened to one file.

    Attributes
    ----------
    file : str
        Its path.
    seconds : float
        From reading to writing.
    nuclei : int or None
        None where it failed.
    diameter : float or None
        Typical nucleus diameter in pixels; None where it failed or no nucleus was found.
    error : str or None
        Why it failed.
    warnings : tuple of str
        Where it differs from the images that the model was made for, see `fitness.misfits`, and why it is doubted.
    doubt : Doubt or None
        How far it cannot be trusted; None where it failed or that was not measured.
    """

    file: str
    seconds: float
    nuclei: Optional[int] = None
    diameter: Optional[float] = None
    error: Optional[str] = None
    warnings: Tuple[str, ...] = ()
    doubt: Optional[Doubt] = None


@dataclasses.dataclass(frozen=True)
class ImageResult:
    """What was found in one file.

    Attributes
    ----------
    labels : int32 array (H, W)
        1..N without gaps.
    objects : pandas.DataFrame
        One row per nucleus.
    diameter : float or None
    warnings : tuple of str
    doubt : Doubt or None
        See `ImageRecord`.
    """

    labels: Labels
    objects: pd.DataFrame
    diameter: Optional[float] = None
    warnings: Tuple[str, ...] = ()
    doubt: Optional[Doubt] = None


def segment_files(
    files: Sequence[Path],
    output: Path,
    config: SegmentConfig,
    progress: Callable[[Iterable[Path]], Iterable[Path]] = iter,
    tile_progress: Optional[TileProgress] = None,
    outputs: ExtraOutputs = NOTHING_MORE,
    choice: PlaneChoice = FIRST_ALONE,
) -> List[ImageRecord]:
    """Segment image files one by one; a file that cannot be used does not stop the others.

    Parameters
    ----------
    files : sequence of Path
    output : Path
        Receives ``STEM_labels.tif`` for each file, ``objects.csv``, ``images.csv`` and ``run.json``.
    config : SegmentConfig
    progress : callable
        Wraps the iteration over the images, for example in a progress bar.
    tile_progress : callable, optional
        See `segment.segment`; called for images that are larger than a tile.
    outputs : ExtraOutputs
        What is written besides.
    choice : PlaneChoice
        Which images of files with several are taken.

    Returns
    -------
    list of ImageRecord
        One per file, in order.

    Raises
    ------
    ImageError
        If two files would write the same label image.
    BundleError, DeviceError
        If the model or the device cannot be used; nothing is written then.
    """

    def find(named: Tuple[Path, Callable[[], AnyArray]], number: int) -> ImageResult:
        path, read = named
        image = read()
        everything = segment_unfiltered(image, config, progress=tile_progress)
        found = filter_nuclei(everything, config).segmentation
        table = object_table(found, number, path.name)
        if masks is not None:
            table[CLASS_COLUMN] = masks.classes_of(path.stem, found.labels)
        found, table = finish_nuclei(found, table, image, outputs)
        writer.add(path.stem, image, found)
        diameter = None if np.isnan(found.diameter) else round(found.diameter, 2)
        made_for, traits = bundle.description.made_for, traits_of(image, found.diameter)
        doubt = doubt_about(image, everything.labels, everything.diameter, made_for)
        warnings = (*misfits(made_for, traits, config.polarity).values(), *doubt.warnings)
        return ImageResult(found.labels, table, diameter, warnings, doubt)

    images = [named for path in files for named in images_in(path, choice)]
    refuse_same_names([path for path, _ in images])
    config = dataclasses.replace(config, keep_probability=outputs.probability)
    masks = ClassMasks(Path(outputs.classes)) if outputs.classes else None
    bundle = read_bundle(find_bundle(config.model))
    load_model(bundle.folder, resolve_device(config.device))
    make_folder(output)
    writer = OutputWriter(output, outputs)
    columns = (*OBJECT_COLUMNS, *((CLASS_COLUMN,) if masks else ()), *extra_columns(outputs))
    readers = dict(images)
    jobs = ((path, (path, readers[path])) for path in progress(list(readers)))
    records = do_each(jobs, find, output, columns)
    writer.finish()
    write_table(output / "images.csv", image_table(records))
    described = {**describe_run(config, bundle, records), "outputs": dataclasses.asdict(outputs)}
    write_json(output / "run.json", described)
    return records


def do_each(
    jobs: Iterable[Tuple[Path, AnyJob]], do: Callable[[AnyJob, int], ImageResult], output: Path, columns: Sequence[str]
) -> List[ImageRecord]:
    """Find or refine nuclei job by job; one that cannot be done does not stop the others.

    Parameters
    ----------
    jobs : iterable of (Path, any)
        The file that a job is named after, and what `do` needs to know about it.
    do : callable
        Called with what it needs to know and the number of the job, from 1; an error about an image is recorded.
    output : Path
        Receives ``STEM_labels.tif`` for each file, and ``objects.csv``.
    columns : sequence of str
        Of the tables that `do` returns.

    Returns
    -------
    list of ImageRecord
        One per job, in order.
    """
    records, tables = [], [pd.DataFrame(columns=list(columns))]
    for number, (path, job) in enumerate(jobs, start=1):
        start = time.perf_counter()
        try:
            result = do(job, number)
        except (ImageError, OutOfMemoryError, OSError, MemoryError) as error:
            records.append(ImageRecord(str(path), seconds_since(start), error=str(error) or type(error).__name__))
            continue
        write_labels(output / f"{path.stem}{LABEL_SUFFIX}", result.labels)
        tables.append(result.objects)
        record = ImageRecord(str(path), seconds_since(start), len(result.objects), result.diameter)
        records.append(dataclasses.replace(record, warnings=result.warnings, doubt=result.doubt))
    filled = [table for table in tables if len(table)] or tables
    write_table(output / "objects.csv", pd.concat(filled, ignore_index=True))
    return records


def object_table(found: Segmentation, image_number: int, file_name: str) -> pd.DataFrame:
    """List the nuclei of an image under CellProfiler's column names.

    Parameters
    ----------
    found : Segmentation
    image_number : int
        Position of the image in the run, from 1.
    file_name : str

    Returns
    -------
    pandas.DataFrame
        One row per nucleus, with the columns `OBJECT_COLUMNS`; positions and sizes in pixels, flags 1 or 0.
    """
    centres = centroids(found.labels, found.regions.areas)
    columns: Dict[str, Any] = {
        "ImageNumber": np.full(found.count, image_number),
        "ObjectNumber": np.arange(1, found.count + 1),
        "FileName": np.full(found.count, file_name, dtype=object),
        "Location_Center_X": centres[:, 1].round(3),
        "Location_Center_Y": centres[:, 0].round(3),
        "AreaShape_Area": found.regions.areas,
        "AreaShape_EquivalentDiameter": found.regions.diameters.round(3),
        "NucDL_Confidence": found.scores.astype(np.float64).round(4),
        MICRONUCLEUS_FLAG: found.micronuclei.astype(np.int64),
    }
    return pd.DataFrame(columns, columns=list(OBJECT_COLUMNS))


def image_table(records: Sequence[ImageRecord]) -> pd.DataFrame:
    """List the images that did not fail under CellProfiler's column names.

    Parameters
    ----------
    records : sequence of ImageRecord
        In the order of their numbers.

    Returns
    -------
    pandas.DataFrame
        One row per image, with the columns `IMAGE_COLUMNS`.
    """
    rows = [
        (number, Path(record.file).name, record.nuclei, record.diameter, *doubt_columns(record.doubt).values())
        for number, record in enumerate(records, start=1)
        if record.error is None
    ]
    return pd.DataFrame(rows, columns=list(IMAGE_COLUMNS))


def doubt_columns(doubt: Optional[Doubt]) -> Dict[str, Any]:
    """Return how far an image cannot be trusted, by column of a table of images."""
    return dict(zip(DOUBT_COLUMNS, (np.nan, "") if doubt is None else (doubt.value, doubt.reason)))


def describe_run(config: SegmentConfig, bundle: Bundle, records: Sequence[ImageRecord]) -> Dict[str, Any]:
    """Collect all that is needed to repeat a run and to trust it, as plain values for JSON."""
    device = resolve_device(config.device)
    settings = dataclasses.asdict(config)
    # JSON knows no infinity.
    settings["maximum_diameter"] = None if np.isinf(config.maximum_diameter) else config.maximum_diameter
    return {
        "nucdl": __version__,
        "config": settings,
        "model": {"name": bundle.description.name, "sha256": bundle.sha256},
        "device": device,
        "number_format": format_name(dtype_for(bundle.description, device)),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in OWN_LIBRARIES},
        },
        "images": len(records),
        "failed": sum(record.error is not None for record in records),
        "warned": sum(bool(record.warnings) for record in records),
        "results": [dataclasses.asdict(record) for record in records],
    }


def seconds_since(start: float) -> float:
    """Return the seconds since a value of `time.perf_counter`, rounded for a table."""
    return round(time.perf_counter() - start, 4)
