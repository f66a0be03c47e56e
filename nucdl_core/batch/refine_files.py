"""Refinement of the objects of many images without CellProfiler: label images, one table, one record of the run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import numpy as np
import pandas as pd

from nucdl_core.arrays import AnyArray
from nucdl_core.batch.segment_files import (
    OBJECT_COLUMNS,
    ImageRecord,
    ImageResult,
    describe_run,
    do_each,
    object_table,
)
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.folders import ImageWithLabels, pair_images_with_labels
from nucdl_core.files.reading import read_image, read_nuclei
from nucdl_core.files.writing import make_folder, write_json
from nucdl_core.model.bundle import Bundle, find_bundle, read_bundle
from nucdl_core.model.device import resolve_device
from nucdl_core.model.fitness import misfits, traits_of
from nucdl_core.model.loading import load_map_model
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.progress import TileProgress
from nucdl_core.refine import Refined, chosen_refinement, refine
from nucdl_core.results import Segmentation
from nucdl_core.steps.contours import RefineConfig

REFINED_COLUMNS = (
    *(column for column in OBJECT_COLUMNS if not column.startswith("NucDL_")),
    "Parent_Number",
    "NucDL_Agreement",
    "NucDL_ContourShift",
    "NucDL_ProbabilityMean",
)


def refine_files(
    images: Path,
    labels: Path,
    output: Path,
    config: RefineConfig,
    progress: Callable[[Iterable[ImageWithLabels]], Iterable[ImageWithLabels]] = iter,
    tile_progress: Optional[TileProgress] = None,
) -> List[ImageRecord]:
    """Refine the objects of the images of a folder one by one; a file that cannot be used does not stop the others.

    Parameters
    ----------
    images, labels : Path
        Folders of images and of label images of the same names; see `folders.pair_images_with_labels`.
    output : Path
        Receives ``STEM_labels.tif`` for each image, ``objects.csv`` and ``run.json``.
    config : RefineConfig
    progress : callable
        Wraps the iteration over the pairs of files, for example in a progress bar.
    tile_progress : callable, optional
        See `refine.refine`; called for images that are larger than a tile.

    Returns
    -------
    list of ImageRecord
        One per image, in order.

    Raises
    ------
    ConfigError
        If the results would overwrite the label images that they are made from.
    ImageError
        If a folder has no images, or two of them have the same name.
    BundleError, DeviceError
        If the model or the device cannot be used; nothing is written then.
    """

    def correct(pair: ImageWithLabels, number: int) -> ImageResult:
        pixels, refined = _refine_pair(pair, images, labels, config, tile_progress)
        traits = traits_of(pixels, refined.median_diameter)
        warnings = tuple(misfits(bundle.description.made_for, traits, config.polarity).values())
        return ImageResult(refined.labels, refined_table(refined, number, _name_of(pair).name), warnings=warnings)

    if output.resolve() == labels.resolve():
        raise ConfigError(f"the output folder {output} holds the objects to be refined; name another one to keep them")
    pairs = pair_images_with_labels(images, labels)
    bundle = read_bundle(find_bundle(config.model))
    predictor = load_map_model(bundle.folder, resolve_device(config.device))
    make_folder(output)
    records = do_each(((_name_of(pair), pair) for pair in progress(pairs)), correct, output, REFINED_COLUMNS)
    write_json(output / "run.json", describe_refinement(config, bundle, predictor, records))
    return records


def refined_table(refined: Refined, image_number: int, file_name: str) -> pd.DataFrame:
    """List the refined nuclei of an image under CellProfiler's column names.

    Parameters
    ----------
    refined : Refined
    image_number : int
        Position of the image in the run, from 1.
    file_name : str
        Of the image.

    Returns
    -------
    pandas.DataFrame
        One row per nucleus, with the columns `REFINED_COLUMNS`; positions, sizes and shifts in pixels.
    """
    places = Segmentation(refined.labels, refined.probability_mean, None, float("nan"))
    own: Dict[str, Any] = {
        "Parent_Number": refined.parents,
        "NucDL_Agreement": refined.agreement.astype(np.float64).round(4),
        "NucDL_ContourShift": refined.shift.astype(np.float64).round(3),
        "NucDL_ProbabilityMean": refined.probability_mean.astype(np.float64).round(4),
    }
    return object_table(places, image_number, file_name).assign(**own)[list(REFINED_COLUMNS)]


def describe_refinement(
    config: RefineConfig, bundle: Bundle, predictor: MapPredictor, records: List[ImageRecord]
) -> Dict[str, Any]:
    """Collect what `describe_run` does, and the six numbers of the refinement that were used."""
    used = dataclasses.replace(config, refinement=chosen_refinement(predictor, config))
    return {
        **describe_run(SegmentConfig(device=config.device), bundle, records),
        "config": dataclasses.asdict(used),
    }


def _name_of(pair: ImageWithLabels) -> Path:
    """Return the file that a pair is named by: its image, or its label image where there is no image."""
    return next(path for path in pair if path is not None)


def _refine_pair(
    pair: ImageWithLabels, images: Path, labels: Path, config: RefineConfig, progress: Optional[TileProgress]
) -> Tuple[AnyArray, Refined]:
    """Read an image and its objects, and refine these; return the image as it was read, (H, W), and the result."""
    image, objects = pair
    if image is None:
        raise ImageError(f"{objects}: there is no image of this name in {images}; add it, or take the objects away")
    if objects is None:
        raise ImageError(f"{image}: there are no objects of this name in {labels}; add them, or take the image away")
    pixels, found = read_image(image), read_nuclei(objects)
    try:
        return pixels, refine(pixels, found, config, progress=progress)
    except ImageError as error:
        raise ImageError(f"{image}, {objects}: {error}") from error
