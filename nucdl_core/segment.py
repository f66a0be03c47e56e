"""Segmentation of one image: the data flow of the whole engine, in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Callable, Optional

from nucdl_core.arrays import AnyArray, Mask
from nucdl_core.config import SegmentConfig
from nucdl_core.labels import offset_outlines
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.device import in_smaller_tiles, on_the_cpu_if_short
from nucdl_core.model.loading import load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.progress import TileProgress
from nucdl_core.results import Segmentation
from nucdl_core.steps.filters import filter_nuclei, without_specks
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.steps.prepare import PreparedImage, prepare_image
from nucdl_core.steps.scales import combine, differ
from nucdl_core.steps.size import SMALLEST_DIAMETER
from nucdl_core.steps.stitch import StitchedSegmentation
from nucdl_core.steps.tiling import Window
from nucdl_core.steps.views import VIEW_SETS

AUTOMATIC = SegmentConfig()

Load = Callable[[Path, str], Predictor]


@dataclass(frozen=True)
class Job:
    """What the steps below work on: an image, the model to use, the settings, and who is told about tiles."""

    image: NormalizedImage
    predictor: Predictor
    config: SegmentConfig = AUTOMATIC
    progress: Optional[TileProgress] = None


def segment(
    image: AnyArray,
    config: SegmentConfig = AUTOMATIC,
    mask: Optional[Mask] = None,
    progress: Optional[TileProgress] = None,
) -> Segmentation:
    """Find the nuclei of an image.

    Parameters
    ----------
    image : array (H, W), any real dtype
        One channel, finite values of any range.
    config : SegmentConfig
    mask : bool array (H, W), optional
        Only pixels where it is true count.
    progress : callable, optional
        Called after each tile with the number of tiles that are done and the number of all.

    Returns
    -------
    Segmentation

    Raises
    ------
    ImageError
        If the image cannot be used.
    BundleError, DeviceError
        If the model or the device cannot.
    """
    return filter_nuclei(segment_unfiltered(image, config, mask, progress), config, mask).segmentation


def segment_unfiltered(
    image: AnyArray,
    config: SegmentConfig = AUTOMATIC,
    mask: Optional[Mask] = None,
    progress: Optional[TileProgress] = None,
    load: Load = load_model,
) -> Segmentation:
    """Find all nuclei, before the size and border filters of `config`; see `segment` (`load` as `load_model`)."""
    return segment_prepared(prepare_image(image, config, mask), config, progress, load)


def segment_prepared(
    prepared: PreparedImage,
    config: SegmentConfig = AUTOMATIC,
    progress: Optional[TileProgress] = None,
    load: Load = load_model,
) -> Segmentation:
    """Find all nuclei in what `prepare_image` made with the same treatments and polarity; see `segment_unfiltered`."""
    asked = prepared.settings(config)
    compute = partial(_segment_on, find_bundle(config.model), prepared.image, asked, progress, load)
    return prepared.on_original(on_the_cpu_if_short(compute, config.device))


def _segment_on(
    folder: Path,
    image: NormalizedImage,
    config: SegmentConfig,
    progress: Optional[TileProgress],
    load: Load,
    device: str,
) -> Segmentation:
    return segment_normalized(Job(image, load(folder, device), config, progress))


def segment_normalized(job: Job) -> Segmentation:
    """Find the nuclei of a normalized image.

    Without a diameter it is estimated, and once more from the nuclei that were found if these prove the estimate wrong;
    the configuration's model and device are not looked at.
    """
    if job.config.diameter is not None:
        return segment_at(job, job.config.diameter)
    estimate, *others = job.predictor.size_model.estimate_diameters(job.image)
    found = segment_at(job, estimate)
    if found.count == 0:
        return replace(found, diameter=float("nan"))
    measured = max(SMALLEST_DIAMETER, found.median_diameter)
    if differ(measured, estimate):
        found = segment_at(job, measured)
    for diameter in others if job.config.several_scales else ():
        if differ(diameter, found.diameter):
            found = combine(found, segment_at(job, diameter))
    # What was found tells the size better than the estimate by which it was found.
    return replace(found, diameter=found.median_diameter)


def segment_at(job: Job, diameter: float) -> Segmentation:
    """Find the nuclei of an image whose typical diameter in pixels is known, in smaller tiles if memory is short."""
    compute, predictor = partial(segment_tiles, job, diameter), job.predictor
    return without_specks(in_smaller_tiles(compute, predictor.tile_sides, predictor.device))


def segment_tiles(job: Job, diameter: float, side: int) -> Segmentation:
    """Find the nuclei of an image in tiles whose side in network pixels is given; see `segment_at`."""
    plan = job.predictor.plan_tiles(job.image.shape, diameter, side)
    if len(plan) == 1:
        return segment_tile(job, diameter, plan[0].outer)
    stitched = StitchedSegmentation(job.image.shape, diameter)
    for done, tile in enumerate(plan, start=1):
        stitched.add(tile, segment_tile(job, diameter, tile.outer))
        if job.progress is not None:
            job.progress(done, len(plan))
    return stitched.result()


def segment_tile(job: Job, diameter: float, window: Window) -> Segmentation:
    """Find the nuclei in a window of an image that fits into memory; see `segment_at`."""
    image, predictor, config = job.image, job.predictor, job.config
    pixels, views, decision = image[window], VIEW_SETS[config.views], predictor.decision(config.probability_threshold)
    found = predictor.find(predictor.predict(pixels, diameter, views), decision)
    if config.refine:
        found = predictor.correct_outlines(found, pixels, diameter, views, decision)
    if config.contour_offset:
        found = found.redrawn(offset_outlines(found.labels, config.contour_offset))
    if image.mask is not None:
        found = found.inside(image.mask[window])
    return found.segmentation(diameter, config.keep_probability)
