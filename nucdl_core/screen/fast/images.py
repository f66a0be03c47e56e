"""One image set of the fast path: read strictly, segmented, its label image written, its rows of the tables made."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Mapping, Optional, Sequence

import numpy as np
import pandas as pd

from nucdl_core.arrays import AnyArray
from nucdl_core.batch.segment_files import object_table
from nucdl_core.config import VIEWS
from nucdl_core.errors import ImageError, OutOfMemoryError
from nucdl_core.model.batching import Group
from nucdl_core.model.loading import load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.results import Segmentation
from nucdl_core.screen.core.columns import METADATA, image_columns, image_files
from nucdl_core.screen.core.inspection import ImageFacts, ImageSetInspection, read_file
from nucdl_core.screen.core.plan import ScreenError, ScreenLimits
from nucdl_core.screen.core.records import Stopwatch
from nucdl_core.screen.core.verify import IMAGE_NUMBER
from nucdl_core.screen.core.wells import NUCLEI
from nucdl_core.screen.fast.label_images import NONE, label_name, write_label_image
from nucdl_core.screen.fast.plan import FastSettings
from nucdl_core.segment import segment_unfiltered
from nucdl_core.steps.filters import filter_nuclei

AGREEMENT, DIAMETER = "NucDL_Agreement", "NucDL_Diameter"
Load = Callable[[Path, str], Predictor]


@dataclass(frozen=True)
class ImageSet:
    """An image set to be done.

    Attributes
    ----------
    image_number : int
        Global, from 1.
    row : mapping of str to str
        Of the chunk's list.
    folder, later : Path
        Where its label image is to be written, and where it will lie when the chunk is published.
    blame : str or None
        How the process died of it; it is not touched then.
    """

    image_number: int
    row: Mapping[str, str]
    folder: Path
    later: Path
    blame: Optional[str] = None


@dataclass(frozen=True)
class DoneImageSet:
    """What became of an image set.

    Attributes
    ----------
    inspection : ImageSetInspection
        Its reason tells why the image cannot be used.
    failure : str or None
        Why an image that can be read could not be segmented.
    image : dict
        Its row of the table of images by column, without ``ImageNumber``; empty where it failed.
    nuclei : DataFrame or None
        Its rows of the table of nuclei, without ``ImageNumber``.
    begun, ended : float
        Seconds since 1970.
    seconds : dict of str to float
        Processor seconds of its thread for each step.
    """

    inspection: ImageSetInspection
    failure: Optional[str]
    image: Mapping[str, Any]
    nuclei: Optional[pd.DataFrame]
    begun: float
    ended: float
    seconds: Mapping[str, float]


def do_together(
    images: Sequence[ImageSet], settings: FastSettings, limits: ScreenLimits, turn: ContextManager[Any]
) -> List[DoneImageSet]:
    """Do image sets whose network calls are computed together; one alone runs the network by itself.

    Parameters
    ----------
    images : sequence of ImageSet
    settings : FastSettings
    limits : ScreenLimits
    turn : context manager
        See `together.Group`.

    Returns
    -------
    list of DoneImageSet
        In the order of `images`.
    """
    if settings.together == 1:
        return [do_image_set(image, settings, limits) for image in images]
    group = Group(len(images), turn)

    def do(member: int) -> DoneImageSet:
        def load(folder: Path, device: str) -> Predictor:
            return load_model(folder, device).through(group.gate(member))

        try:
            return do_image_set(images[member], settings, limits, load)
        finally:
            group.leave()

    with ThreadPoolExecutor(len(images)) as pool:
        return list(pool.map(do, range(len(images))))


def do_image_set(
    image: ImageSet, settings: FastSettings, limits: ScreenLimits, load: Load = load_model
) -> DoneImageSet:
    """Do one image set, in whatever thread.

    Parameters
    ----------
    image : ImageSet
    settings : FastSettings
    limits : ScreenLimits
    load : callable
        Gives the predictor of a bundle, see `predict_instances.load_model`.

    Returns
    -------
    DoneImageSet
        What is wrong with the image becomes a reason.

    Raises
    ------
    NucDLError
        If the label image cannot be written.
    """
    begun, watch = time.time(), Stopwatch(now=time.thread_time)
    if image.blame is not None:
        return DoneImageSet(ImageSetInspection(()), image.blame, {}, None, begun, begun, {})
    failure, described, nuclei = None, {}, None
    with watch.step("reading"):
        inspection, pixels = read_channel(image.row, settings.channel, limits)
    if pixels is not None:
        try:
            with watch.step("segmentation"):
                found = segment_unfiltered(pixels, settings.config, load=load)
                found = filter_nuclei(found, settings.config).segmentation
            with watch.step("tables and label images"):
                described = image_row(image, inspection.images[0], found)
                nuclei = nuclei_table(found, settings.config.views != VIEWS[0])
                if settings.labels != NONE:
                    described.update(write_nuclei(image, inspection.images[0], found, settings.labels))
        except (ImageError, OutOfMemoryError, MemoryError) as error:
            failure, described, nuclei = str(error) or type(error).__name__, {}, None
    return DoneImageSet(inspection, failure, described, nuclei, begun, time.time(), watch.seconds)


def read_channel(
    row: Mapping[str, str], channel: str, limits: ScreenLimits
) -> tuple[ImageSetInspection, Optional[AnyArray]]:
    """Read the one image of an image set that is segmented; its pixels are None where it cannot be used."""
    columns = [image for image in image_columns(list(row)) if image.name == channel and not image.objects]
    try:
        facts, pixels = read_file(image_files(row, columns)[0], limits)
    except (ScreenError, ImageError) as error:
        return ImageSetInspection((), f"{channel}: {error}"), None
    return ImageSetInspection((facts,)), pixels


def image_row(image: ImageSet, facts: ImageFacts, found: Segmentation) -> Dict[str, Any]:
    """Describe an image set under the names of CellProfiler's columns.

    Files of all its images are named, so that the table can be LoadData's list for measuring the nuclei.
    """
    described: Dict[str, Any] = {
        f"Count_{NUCLEI}": found.count,
        f"Height_{facts.name}": facts.height,
        f"Width_{facts.name}": facts.width,
        DIAMETER: round(found.diameter, 2),
    }
    for columns in image_columns(list(image.row)):
        kind = "Objects" if columns.objects else ""
        for part, column in (("FileName", columns.file), ("PathName", columns.path), ("URL", columns.url)):
            if column is not None:
                described[f"{kind}{part}_{columns.name}"] = image.row[column]
        for column in (columns.frame, columns.series):
            if column is not None:
                described[column] = image.row[column]
    described.update({name: value for name, value in image.row.items() if name.startswith(METADATA)})
    return described


def nuclei_table(found: Segmentation, several_views: bool) -> pd.DataFrame:
    """List the nuclei of an image: `batch.object_table` without what the table of images has."""
    table = object_table(found, 0, "").drop(columns=[IMAGE_NUMBER, "FileName"])
    if several_views:
        # The column is there in every image, or the tables of the chunks could not be joined.
        table[AGREEMENT] = np.nan if found.agreement is None else found.agreement.astype(np.float64).round(4)
    return table


def write_nuclei(image: ImageSet, facts: ImageFacts, found: Segmentation, kind: str) -> Dict[str, str]:
    """Write a label image; return the columns that name it, from which LoadData makes objects."""
    name = label_name(image.image_number, Path(facts.path), kind)
    write_label_image(image.folder / name, found.labels)
    return {f"ObjectsFileName_{NUCLEI}": name, f"ObjectsPathName_{NUCLEI}": str(image.later)}
