"""One image set of the fast path: read strictly, segmented, its label image written, its rows of the tables made."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import pandas as pd

from nucdl_core.arrays import AnyArray
from nucdl_core.batch.outputs import OutputWriter, finish_nuclei
from nucdl_core.batch.segment_files import MICRONUCLEUS_FLAG, doubt_columns, object_table
from nucdl_core.config import VIEWS
from nucdl_core.errors import ImageError, OutOfMemoryError
from nucdl_core.model.batching import Group
from nucdl_core.model.doubt import doubt_about
from nucdl_core.model.fitness import MadeFor, misfits, traits_of
from nucdl_core.model.loading import load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.results import Segmentation
from nucdl_core.screen.core.columns import METADATA, files_of_image_set, image_columns
from nucdl_core.screen.core.inspection import ImageFacts, ImageSetInspection, read_file
from nucdl_core.screen.core.left_out import left_out_reason, other_kind_reason
from nucdl_core.screen.core.plan import ScreenError, ScreenLimits
from nucdl_core.screen.core.records import Stopwatch
from nucdl_core.screen.core.verify import IMAGE_NUMBER
from nucdl_core.screen.core.wells import NUCLEI
from nucdl_core.screen.fast.culprits import Culprit
from nucdl_core.screen.fast.label_images import NONE, label_name, write_label_image
from nucdl_core.screen.fast.messages import READ, WAS_READ, Tell, tell_nobody, told
from nucdl_core.screen.fast.settings import FastSettings
from nucdl_core.segment import segment_unfiltered
from nucdl_core.steps.filters import filter_nuclei

NUCLEUS_AGREEMENT, TYPICAL_DIAMETER = "NucDL_Agreement", "NucDL_Diameter"
UNLIKE_MODEL = "_unlike_model"
"""End of the flags of an image that differs from those that its model was made for."""
LoadModel = Callable[[Path, str], Predictor]


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
    culprit : Culprit or None
        How an earlier process died of it; it is not touched then.
    """

    image_number: int
    row: Mapping[str, str]
    folder: Path
    later: Path
    culprit: Optional[Culprit] = None


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
    left_out : str or None
        Why the field was not wanted, see `plan.FieldLimits`.
    """

    inspection: ImageSetInspection
    failure: Optional[str]
    image: Mapping[str, Any]
    nuclei: Optional[pd.DataFrame]
    begun: float
    ended: float
    seconds: Mapping[str, float]
    left_out: Optional[str] = None


@dataclass(frozen=True)
class ImageWork:
    """What is done to image sets, and how.

    Attributes
    ----------
    settings : FastSettings
    limits : ScreenLimits
    turn : context manager
        See `batching.Group`.
    tell : Tell
        Told which images are being read.
    made_for : MadeFor or None
        What the model was made for, where it says so; images of another kind get flags.
    """

    settings: FastSettings
    limits: ScreenLimits
    turn: ContextManager[Any]
    tell: Tell = tell_nobody
    made_for: Optional[MadeFor] = None


def do_batch(images: Sequence[ImageSet], work: ImageWork) -> List[DoneImageSet]:
    """Do image sets that go through the network at once; a single one runs the network by itself.

    Parameters
    ----------
    images : sequence of ImageSet
    work : ImageWork

    Returns
    -------
    list of DoneImageSet
        In the order of `images`.
    """
    if work.settings.batch == 1:
        return [do_image_set(image, work) for image in images]
    group = Group(len(images), work.turn)

    def do(member: int) -> DoneImageSet:
        def load(folder: Path, device: str) -> Predictor:
            return load_model(folder, device).through(group.gate(member))

        try:
            return do_image_set(images[member], work, load)
        finally:
            group.leave()

    with ThreadPoolExecutor(len(images)) as pool:
        return list(pool.map(do, range(len(images))))


def do_image_set(image: ImageSet, work: ImageWork, load: LoadModel = load_model) -> DoneImageSet:
    """Do one image set, in whatever thread.

    Parameters
    ----------
    image : ImageSet
    work : ImageWork
    load : callable
        Gives the predictor of a bundle, see `loading.load_model`.

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
    if image.culprit is not None:
        return _left_out(image.culprit, begun)
    failure, described, nuclei, settings = None, {}, None, work.settings
    with watch.step("reading"):
        inspection, pixels = read_channel(image, work)
    left_out = None if pixels is None else left_out_reason(inspection.images[0], work.limits.fields)
    if pixels is not None and left_out is None:
        try:
            with watch.step("segmentation"):
                everything = segment_unfiltered(pixels, settings.config, load=load)
                found = filter_nuclei(everything, settings.config).segmentation
                inspection = flag_misfits(inspection, pixels, found.diameter, work.made_for)
            left_out = other_kind_reason(inspection.images[0].flags, work.limits.fields)
            if left_out is not None:
                return DoneImageSet(inspection, None, {}, None, begun, time.time(), watch.seconds, left_out)
            with watch.step("tables and label images"):
                several_views = settings.config.views != VIEWS[0]
                wanted = (pixels, settings.outputs, settings.channel)
                found, nuclei = finish_nuclei(found, nuclei_table(found, several_views, settings.flags), *wanted)
                described = image_row(image, inspection.images[0], found)
                if settings.flags:
                    doubt = doubt_about(pixels, everything.labels, everything.diameter, work.made_for)
                    described.update(doubt_columns(doubt))
                if settings.labels != NONE:
                    described.update(write_nuclei(image, inspection.images[0], found, settings.labels))
                name = label_name(image.image_number, Path(inspection.images[0].path), NONE)
                OutputWriter(image.folder, settings.outputs).add(name, pixels, found)
        except (ImageError, OutOfMemoryError, MemoryError) as error:
            failure, described, nuclei = str(error) or type(error).__name__, {}, None
    return DoneImageSet(inspection, failure, described, nuclei, begun, time.time(), watch.seconds, left_out)


def _left_out(culprit: Culprit, now: float) -> DoneImageSet:
    """Say why an image set was not touched."""
    if culprit.reading:
        return DoneImageSet(ImageSetInspection((), culprit.reason), None, {}, None, now, now, {})
    return DoneImageSet(ImageSetInspection(()), culprit.reason, {}, None, now, now, {})


def read_channel(image: ImageSet, work: ImageWork) -> Tuple[ImageSetInspection, Optional[AnyArray]]:
    """Read the one image of an image set that is segmented; its pixels are None where it cannot be used.

    It may take any time here, for Python can interrupt its main thread only. The process that watches this one is told
    which file is being read, and kills this one where that takes too long.
    """
    channel = work.settings.channel
    columns = [each for each in image_columns(list(image.row)) if each.name == channel and not each.objects]
    try:
        (file,) = files_of_image_set(image.row, columns)
        with told(work.tell, (READ, WAS_READ), [image.image_number], f"{channel}: {file.path}"):
            facts, pixels = read_file(file, work.limits)
    except (ScreenError, ImageError) as error:
        return ImageSetInspection((), f"{channel}: {error}"), None
    return ImageSetInspection((facts,)), pixels


def flag_misfits(
    inspection: ImageSetInspection, pixels: AnyArray, diameter: float, made_for: Optional[MadeFor]
) -> ImageSetInspection:
    """Add a flag to an image for each way in which it differs from those that its model was made for.

    Parameters
    ----------
    inspection : ImageSetInspection
        Of the one image that was read.
    pixels : array (H, W)
        The image as it was read.
    diameter : float
        Typical nucleus diameter in pixels, NaN where there is none.
    made_for : MadeFor or None
        See `ImageWork`.

    Returns
    -------
    ImageSetInspection
    """
    (facts,) = inspection.images
    flags = tuple(f"{name}{UNLIKE_MODEL}" for name in misfits(made_for, traits_of(pixels, diameter)))
    return replace(inspection, images=(replace(facts, flags=facts.flags + flags),))


def image_row(image: ImageSet, facts: ImageFacts, found: Segmentation) -> Dict[str, Any]:
    """Describe an image set under the names of CellProfiler's columns.

    Files of all its images are named, so that the table can be LoadData's list for measuring the nuclei.
    """
    described: Dict[str, Any] = {
        f"Count_{NUCLEI}": found.count,
        f"Height_{facts.name}": facts.height,
        f"Width_{facts.name}": facts.width,
        TYPICAL_DIAMETER: round(found.diameter, 2),
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


def nuclei_table(found: Segmentation, several_views: bool, flags: bool = True) -> pd.DataFrame:
    """List the nuclei of an image: `segment_files.object_table` without what the table of images has."""
    left_out = [IMAGE_NUMBER, "FileName", *(() if flags else (MICRONUCLEUS_FLAG,))]
    table = object_table(found, 0, "").drop(columns=left_out)
    if several_views:
        # The column is there in every image, or the tables of the chunks could not be joined.
        table[NUCLEUS_AGREEMENT] = np.nan if found.agreement is None else found.agreement.astype(np.float64).round(4)
    return table


def write_nuclei(image: ImageSet, facts: ImageFacts, found: Segmentation, kind: str) -> Dict[str, str]:
    """Write a label image; return the columns that name it, from which LoadData makes objects."""
    name = label_name(image.image_number, Path(facts.path), kind)
    write_label_image(image.folder / name, found.labels)
    return {f"ObjectsFileName_{NUCLEI}": name, f"ObjectsPathName_{NUCLEI}": str(image.later)}
