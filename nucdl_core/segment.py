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
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.lobes import join_lobes
from nucdl_core.steps.micronuclei import chosen_decision, with_micronuclei
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.steps.prepare import PreparedImage, prepare_image
from nucdl_core.steps.scales import at_other_scales, differ
from nucdl_core.steps.size import SMALLEST_DIAMETER
from nucdl_core.steps.stitch import StitchedSegmentation
from nucdl_core.steps.tiling import Window
from nucdl_core.steps.views import VIEW_SETS

AUTOMATIC = SegmentConfig()

Load = Callable[[Path, str], Predictor]


@dataclass(frozen=True)
class Job:
    """What the steps below work on: an image, the model to use, the settings, and who is told about tiles.

    `micronuclei_alone` says that nothing else is looked for.
    """

    image: NormalizedImage
    predictor: Predictor
    config: SegmentConfig = AUTOMATIC
    progress: Optional[TileProgress] = None
    micronuclei_alone: bool = False

    @property
    def decision(self) -> Decision:
        """The model's calibrated decision, as the configuration changes it."""
        calibrated = self.predictor.decision(self.config.probability_threshold)
        return chosen_decision(calibrated, self.config, self.micronuclei_alone)

    def look(self, diameter: float) -> Segmentation:
        """Find the nuclei at the scale of a diameter in pixels."""
        return segment_at(self, diameter)

    def look_for_micronuclei(self, diameter: float) -> Segmentation:
        """Find micronuclei at the scale of a diameter in pixels; nuclei are found as well, and less surely."""
        return segment_at(replace(self, micronuclei_alone=True), diameter)


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
        return with_micronuclei(job.look(job.config.diameter), job.config, job.look_for_micronuclei)
    estimate, *others = job.predictor.size_model.estimate_diameters(job.image)
    found = job.look(estimate)
    if found.count == 0:
        return replace(found, diameter=float("nan"))
    measured = max(SMALLEST_DIAMETER, found.median_diameter)
    # Joined lobes are larger than what is to be looked for.
    if differ(measured, estimate) and not job.config.lobed_diameter:
        found = job.look(measured)
    found = at_other_scales(found, others, job.config, job.look)
    # What was found tells the size better than the estimate by which it was found.
    return with_micronuclei(replace(found, diameter=found.median_diameter), job.config, job.look_for_micronuclei)


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
    pixels, views, decision = image[window], VIEW_SETS[config.views], job.decision
    found = predictor.find(predictor.predict(pixels, diameter, views), decision)
    if config.refine:
        found = predictor.correct_outlines(found, pixels, diameter, views, decision)
    if offset := config.contour_offset + predictor.description.contour_offset:
        found = found.redrawn(offset_outlines(found.labels, offset))
    found = join_lobes(found, pixels, config.lobed_diameter)
    if image.mask is not None:
        found = found.inside(image.mask[window])
    return found.segmentation(diameter, config.keep_probability)
