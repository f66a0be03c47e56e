"""Segmentation of one image: the data flow of the whole engine, in order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple

import numpy as np
import torch
from numpy.typing import NDArray

from nucdl_core.arrays import AnyArray, Floats, Labels, Mask
from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ImageError
from nucdl_core.labels import areas, equivalent_diameters, offset_outlines, relabel
from nucdl_core.large import let_go, strips, zeros
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.device import in_smaller_tiles, on_the_cpu_if_short
from nucdl_core.model.maskrcnn_predictor import AnyPredictor, InstancePredictor, load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.results import Segmentation
from nucdl_core.steps.contours import CONTOURS_ONLY, Refinement, correct_and_clean, origins
from nucdl_core.steps.detections import decode_views, merge_views
from nucdl_core.steps.filters import filter_nuclei
from nucdl_core.steps.instances import Decision, find_instances, mean_inside, on_image_pixels
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.steps.scales import combine
from nucdl_core.steps.size import SMALLEST_DIAMETER, estimate_diameters
from nucdl_core.steps.stitch import Mosaic
from nucdl_core.steps.tiling import Tile, Window, tiles
from nucdl_core.steps.views import VIEW_SETS, View, agreement

# Found nuclei that differ from the estimate by more than this factor prove it wrong.
WRONG_ESTIMATE = 1.7
AUTOMATIC = SegmentConfig()
# Height and width of a tile with its halo, in pixels of the image, that are not exceeded without need: where nuclei are
# large, the network sees the image much reduced, and what is a small tile to it takes gigabytes.
LARGEST_TILE = 5000
# Outlines are corrected at the scale at which a typical nucleus is so many pixels across.
FINE_DIAMETER = 48.0
# Views of a tile in which nuclei are looked for at the same time: each takes some memory.
MOST_AT_ONCE = 4

Progress = Callable[[int, int], None]


def segment(
    image: AnyArray,
    config: SegmentConfig = AUTOMATIC,
    mask: Optional[Mask] = None,
    progress: Optional[Progress] = None,
) -> Segmentation:
    """Find the nuclei of an image.

    Parameters
    ----------
    image : array (H, W), any real dtype
        One fluorescence channel, nuclei brighter than the background; finite values of any range.
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
    progress: Optional[Progress] = None,
    load: Callable[[Path, str], AnyPredictor] = load_model,
) -> Segmentation:
    """Find all nuclei, before the size and border filters of `config`; see `segment` (`load` as `load_model`)."""
    check_image(image, mask)
    folder, normal = find_bundle(config.model), NormalizedImage.of(image, mask)
    return on_the_cpu_if_short(
        lambda device: segment_normalized(normal, load(folder, device), config, progress), config.device
    )


def segment_normalized(
    image: NormalizedImage,
    predictor: AnyPredictor,
    config: SegmentConfig = AUTOMATIC,
    progress: Optional[Progress] = None,
) -> Segmentation:
    """Find the nuclei of a normalized image.

    Parameters
    ----------
    image : NormalizedImage
    predictor : Predictor or InstancePredictor
        Takes the place of the configuration's model and device.
    config : SegmentConfig
        Without a diameter it is estimated, and once more from the nuclei that were found if these prove the
        estimate wrong.
    progress : callable, optional
        See `segment`.

    Returns
    -------
    Segmentation
    """
    if config.diameter is not None:
        return segment_at(image, predictor, config, config.diameter, progress)
    eye = predictor.companion
    canonical = eye.description.canonical_diameter
    estimate, *others = estimate_diameters(image, canonical, eye.maps_at) or [canonical]
    found = segment_at(image, predictor, config, estimate, progress)
    if found.count == 0:
        return replace(found, diameter=float("nan"))
    measured = max(SMALLEST_DIAMETER, median_diameter(found))
    if differ(measured, found.diameter):
        found = segment_at(image, predictor, config, measured, progress)
    for diameter in others if config.several_scales else ():
        if differ(diameter, found.diameter):
            found = combine(found, segment_at(image, predictor, config, diameter, progress))
    # What was found tells the size better than the estimate by which it was found.
    return replace(found, diameter=median_diameter(found))


def differ(diameter: float, other: float) -> bool:
    """Tell whether two diameters are too far from each other for one scale."""
    return max(diameter / other, other / diameter) > WRONG_ESTIMATE


def median_diameter(found: Segmentation) -> float:
    """Return the median equivalent diameter of the nuclei in pixels, NaN where there is none."""
    return float(np.median(equivalent_diameters(found.labels))) if found.count else float("nan")


def segment_at(
    image: NormalizedImage,
    predictor: AnyPredictor,
    config: SegmentConfig,
    diameter: float,
    progress: Optional[Progress] = None,
) -> Segmentation:
    """Find the nuclei of an image whose typical diameter in pixels is known, in smaller tiles if memory is short."""
    return in_smaller_tiles(
        lambda side: segment_tiles(image, predictor, config, diameter, side, progress),
        predictor.tile_sides,
        predictor.device,
    )


def segment_tiles(
    image: NormalizedImage,
    predictor: AnyPredictor,
    config: SegmentConfig,
    diameter: float,
    side: int,
    progress: Optional[Progress] = None,
) -> Segmentation:
    """Find the nuclei of an image in tiles whose side in network pixels is given; see `segment_at`."""
    plan = plan_tiles(image.shape, predictor, diameter, side)
    if len(plan) == 1:
        return segment_tile(image, plan[0].outer, predictor, config, diameter)
    mosaic = Mosaic(image.shape)
    probability = zeros(image.shape, np.float32) if config.keep_probability else None
    scores, agreements = [], []
    for done, tile in enumerate(plan, start=1):
        part = segment_tile(image, tile.outer, predictor, config, diameter)
        added = mosaic.add(tile, part.labels)
        scores.append(part.scores[added])
        agreements.append(part.agreement[added] if part.agreement is not None else None)
        if probability is not None and part.probability is not None:
            probability[tile.core] = part.probability[tile.inner]
            let_go(probability)
        if progress is not None:
            progress(done, len(plan))
    agreed = [values for values in agreements if values is not None]
    return Segmentation(
        mosaic.labels, np.concatenate(scores), probability, float(diameter), np.concatenate(agreed) if agreed else None
    )


def plan_tiles(shape: Tuple[int, int], predictor: AnyPredictor, diameter: float, side: int) -> List[Tile]:
    """Cut an image into tiles with the given side in network pixels; see `segment_at`.

    Tiles overlap, so that an image that is not much larger than one is taken whole, unless memory has been too short
    for that.
    """
    block = predictor.block(predictor.description.canonical_diameter / diameter)
    core, halo = (round(length / predictor.stride) * block for length in (side, predictor.halo))
    pixels = shape[0] * shape[1] * (predictor.stride / block) ** 2
    whole = side == predictor.tile_sides[0] and pixels <= predictor.whole_pixels and max(shape) <= LARGEST_TILE
    core = max(shape) if whole else min(core, max(halo, LARGEST_TILE - 2 * halo))
    return list(tiles(shape, core, halo, block))


def segment_tile(
    image: NormalizedImage, window: Window, predictor: AnyPredictor, config: SegmentConfig, diameter: float
) -> Segmentation:
    """Find the nuclei in a window of an image that fits into memory; see `segment_at`."""
    decision, pixels = decision_of(predictor, config), image[window]
    if isinstance(predictor, InstancePredictor):
        sighted = see_instances(pixels, predictor, config, decision, diameter)
    else:
        sighted = see_maps(pixels, predictor, config, decision, diameter)
    labels, probability = sighted.labels, sighted.probability
    numbers = np.arange(int(labels.max(initial=0)) + 1)
    if config.refine:
        eye = predictor.companion
        finer = eye.predict(pixels, diameter * eye.description.canonical_diameter / FINE_DIAMETER, sighted.views)
        threshold = decision if eye is predictor else eye.description.decision
        labels, numbers = corrected(labels, finer.probability, refinement_of(eye, threshold))
    labels = offset_outlines(labels, config.contour_offset)
    if image.mask is not None:
        labels, probability = labels * image.mask[window], probability * image.mask[window]
    # The number less one that each nucleus had when it was sighted.
    origin = numbers[np.flatnonzero(areas(labels)) + 1] - 1
    labels = relabel(labels)
    scores = mean_inside(probability, labels) if sighted.scores is None else sighted.scores[origin]
    agreed = None if sighted.agreement is None else sighted.agreement[origin]
    return Segmentation(labels, scores, probability if config.keep_probability else None, float(diameter), agreed)


@dataclass(frozen=True)
class Sighted:
    """What a model sees in a tile, before outlines are corrected.

    Attributes
    ----------
    labels : int32 array (H, W)
        1..N, gaps are possible.
    probability : float32 array (H, W)
    views : sequence of View
        That it looked at.
    scores : float32 array (N,) or None
        None where the mean probability of a nucleus's pixels, as its final outline has them, is its score.
    agreement : float32 array (N,) or None
        See `Segmentation`.
    """

    labels: Labels
    probability: Floats
    views: Sequence[View]
    scores: Optional[Floats]
    agreement: Optional[Floats]


def see_maps(
    pixels: Floats, predictor: Predictor, config: SegmentConfig, decision: Decision, diameter: float
) -> Sighted:
    """Find the nuclei of a tile in the maps of a U-Net; several views are averaged."""
    canonical, views = predictor.description.canonical_diameter, VIEW_SETS[config.views]
    prediction = predictor.predict(pixels, diameter, views)
    found, agreed = find_instances(prediction.maps, decision, canonical), None
    if len(views) > 1:
        with ThreadPoolExecutor(min(len(views), MOST_AT_ONCE, torch.get_num_threads())) as pool:
            seen = list(pool.map(lambda maps: find_instances(maps, decision, canonical), prediction.views))
        agreed = agreement(found, seen)
    return Sighted(on_image_pixels(found, prediction, decision), prediction.probability, views, None, agreed)


def see_instances(
    pixels: Floats, predictor: InstancePredictor, config: SegmentConfig, decision: Decision, diameter: float
) -> Sighted:
    """Find the nuclei of a tile one by one with a Mask R-CNN; several views vote."""
    views = VIEW_SETS[config.views]
    prediction = predictor.predict(pixels, diameter, views)
    found = decode_views(prediction, decision, predictor.description.canonical_diameter)
    nuclei, agreed = (found[0], None) if len(views) == 1 else merge_views(found)
    return Sighted(nuclei.labels, nuclei.probability, views, nuclei.scores, agreed)


def decision_of(predictor: AnyPredictor, config: SegmentConfig) -> Decision:
    """Return the model's calibrated decision, with the threshold that a person chose instead of it."""
    decision = predictor.description.decision
    if config.probability_threshold is None:
        return decision
    return Decision(**{**vars(decision), "foreground": config.probability_threshold})


def corrected(labels: Labels, probability: Floats, refinement: Refinement) -> Tuple[Labels, NDArray[np.int32]]:
    """Correct and clean up the nuclei of a tile.

    Returns
    -------
    int32 array (H, W)
        1..N without gaps.
    int32 array (N + 1,)
        The number that each of them, and the background, had before.
    """
    cleaned = correct_and_clean(labels, probability, refinement)
    return cleaned, np.concatenate([np.zeros(1, np.int32), origins(labels, cleaned)])


def refinement_of(predictor: AnyPredictor, decision: Decision) -> Refinement:
    """Return how outlines are corrected: as it was tuned with the model, or else by the published pixel and no more.

    The published numbers for merging and dropping objects suit the network of their authors, who tuned them on it; a
    probability means something else in every network, so that the threshold is that of the decision.
    """
    return predictor.description.refinement or replace(CONTOURS_ONLY, threshold=decision.foreground)


def check_image(image: AnyArray, mask: Optional[Mask] = None) -> None:
    """Refuse what is not an image of one channel.

    Raises
    ------
    ImageError
        If the image is not two-dimensional, empty, complex, or holds NaN or infinite values, or if the mask has
        another shape.
    """
    if image.ndim != 2 or image.size == 0:
        raise ImageError(f"an image of shape {image.shape} came; one grey image of shape (H, W) is needed")
    if image.dtype.kind not in "uif":
        raise ImageError(f"an image of type {image.dtype} came; grey values (integer or float) are needed")
    if image.dtype.kind == "f" and not all(np.isfinite(strip).all() for (strip,) in strips(image)):
        raise ImageError("the image holds NaN or infinite values; repair or remove them")
    if mask is not None and mask.shape != image.shape:
        raise ImageError(f"the image is {image.shape} but its mask is {mask.shape}; both must have the same shape")
