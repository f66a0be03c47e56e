"""Segmentation of one image: the data flow of the whole engine, in order."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import AnyArray, Floats, Labels, Mask
from nucdl_core.bundle import find_bundle
from nucdl_core.config import SegmentConfig
from nucdl_core.contours import CONTOURS_ONLY, Refinement, correct_and_clean, origins
from nucdl_core.device import in_smaller_tiles, on_the_cpu_if_short
from nucdl_core.errors import ImageError
from nucdl_core.filters import filter_nuclei
from nucdl_core.instances import Decision, decode, find_instances, mean_inside
from nucdl_core.labels import areas, equivalent_diameters, offset_outlines, relabel
from nucdl_core.normalize import NormalizedImage
from nucdl_core.predict import Predictor, load_predictor
from nucdl_core.results import Segmentation
from nucdl_core.size import SMALLEST_DIAMETER, estimate_diameter
from nucdl_core.stitch import Mosaic
from nucdl_core.tiling import Window, tiles
from nucdl_core.tta import VIEW_SETS, agreement

# Found nuclei that differ from the estimate by more than this factor prove it wrong.
WRONG_ESTIMATE = 1.7
AUTOMATIC = SegmentConfig()
# Sides of tiles in network pixels: the next one is tried where memory does not suffice for the one before.
TILES = (1536, 768, 384)
# Outlines are corrected at the scale at which a typical nucleus is so many pixels across.
FINE_DIAMETER = 48.0
# The halo is wider than the default network sees (190 px), so that a tile gives what the whole image would give.
HALO = 224

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
) -> Segmentation:
    """Find all nuclei, before the size and border filters of `config`; see `segment`."""
    check_image(image, mask)
    folder, normal = find_bundle(config.model), NormalizedImage.of(image, mask)
    return on_the_cpu_if_short(
        lambda device: segment_normalized(normal, load_predictor(folder, device), config, progress), config.device
    )


def segment_normalized(
    image: NormalizedImage,
    predictor: Predictor,
    config: SegmentConfig = AUTOMATIC,
    progress: Optional[Progress] = None,
) -> Segmentation:
    """Find the nuclei of a normalized image.

    Parameters
    ----------
    image : NormalizedImage
    predictor : Predictor
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
    canonical = predictor.description.canonical_diameter
    estimate = estimate_diameter(image, canonical, predictor.maps_at)
    found = segment_at(image, predictor, config, canonical if estimate is None else estimate, progress)
    if found.count == 0:
        return replace(found, diameter=float("nan"))
    measured = max(SMALLEST_DIAMETER, median_diameter(found))
    if max(measured / found.diameter, found.diameter / measured) > WRONG_ESTIMATE:
        found = segment_at(image, predictor, config, measured, progress)
    # What was found tells the size better than the estimate by which it was found.
    return replace(found, diameter=median_diameter(found))


def median_diameter(found: Segmentation) -> float:
    """Return the median equivalent diameter of the nuclei in pixels, NaN where there is none."""
    return float(np.median(equivalent_diameters(found.labels))) if found.count else float("nan")


def segment_at(
    image: NormalizedImage,
    predictor: Predictor,
    config: SegmentConfig,
    diameter: float,
    progress: Optional[Progress] = None,
) -> Segmentation:
    """Find the nuclei of an image whose typical diameter in pixels is known, in smaller tiles if memory is short."""
    return in_smaller_tiles(
        lambda side: segment_tiles(image, predictor, config, diameter, side, progress), TILES, predictor.device
    )


def segment_tiles(
    image: NormalizedImage,
    predictor: Predictor,
    config: SegmentConfig,
    diameter: float,
    side: int,
    progress: Optional[Progress] = None,
) -> Segmentation:
    """Find the nuclei of an image in tiles whose side in network pixels is given; see `segment_at`."""
    block = predictor.block(predictor.description.canonical_diameter / diameter)
    core, halo = (round(length / predictor.stride) * block for length in (side, HALO))
    plan = list(tiles(image.shape, core, halo, block))
    if len(plan) == 1:
        return segment_tile(image, plan[0].outer, predictor, config, diameter)
    mosaic = Mosaic(image.shape)
    probability = np.empty(image.shape, np.float32) if config.keep_probability else None
    scores, agreements = [], []
    for done, tile in enumerate(plan, start=1):
        part = segment_tile(image, tile.outer, predictor, config, diameter)
        added = mosaic.add(tile, part.labels)
        scores.append(part.scores[added])
        agreements.append(part.agreement[added] if part.agreement is not None else None)
        if probability is not None and part.probability is not None:
            probability[tile.core] = part.probability[tile.inner]
        if progress is not None:
            progress(done, len(plan))
    agreed = [values for values in agreements if values is not None]
    return Segmentation(
        mosaic.labels, np.concatenate(scores), probability, float(diameter), np.concatenate(agreed) if agreed else None
    )


def segment_tile(
    image: NormalizedImage, window: Window, predictor: Predictor, config: SegmentConfig, diameter: float
) -> Segmentation:
    """Find the nuclei in a window of an image that fits into memory; see `segment_at`."""
    decision, canonical = decision_of(predictor, config), predictor.description.canonical_diameter
    views = VIEW_SETS[config.views]
    prediction = predictor.predict(image[window], diameter, views)
    labels = decode(prediction, decision, canonical)
    numbers = np.arange(int(labels.max(initial=0)) + 1)
    if config.refine:
        finer = predictor.predict(image[window], diameter * canonical / FINE_DIAMETER, views)
        labels, numbers = corrected(labels, finer.probability, refinement_of(predictor, decision))
    labels = offset_outlines(labels, config.contour_offset)
    probability = prediction.probability
    if image.mask is not None:
        labels, probability = labels * image.mask[window], probability * image.mask[window]
    agreed = None
    if len(prediction.views) > 1:
        seen = [find_instances(maps, decision, canonical) for maps in prediction.views]
        everything = agreement(find_instances(prediction.maps, decision, canonical), seen)
        agreed = everything[numbers[np.flatnonzero(areas(labels)) + 1] - 1]
    labels = relabel(labels)
    scores = mean_inside(probability, labels)
    return Segmentation(labels, scores, probability if config.keep_probability else None, float(diameter), agreed)


def decision_of(predictor: Predictor, config: SegmentConfig) -> Decision:
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


def refinement_of(predictor: Predictor, decision: Decision) -> Refinement:
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
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ImageError("the image holds NaN or infinite values; repair or remove them")
    if mask is not None and mask.shape != image.shape:
        raise ImageError(f"the image is {image.shape} but its mask is {mask.shape}; both must have the same shape")
