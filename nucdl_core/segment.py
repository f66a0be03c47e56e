"""Segmentation of one image: the data flow of the whole engine, in order."""

from __future__ import annotations

from typing import Optional

import numpy as np

from nucdl_core.arrays import AnyArray, Floats, Mask
from nucdl_core.bundle import find_bundle
from nucdl_core.config import SegmentConfig
from nucdl_core.device import resolve_device
from nucdl_core.errors import ImageError
from nucdl_core.filters import filter_nuclei
from nucdl_core.instances import Decision, find_instances, mean_inside, transfer
from nucdl_core.labels import equivalent_diameters, largest_component, relabel
from nucdl_core.normalize import normalize
from nucdl_core.predict import Predictor, load_predictor, resize
from nucdl_core.results import Segmentation
from nucdl_core.size import estimate_diameter

# Found nuclei that differ from the estimate by more than this factor prove it wrong.
WRONG_ESTIMATE = 1.7
AUTOMATIC = SegmentConfig()


def segment(image: AnyArray, config: SegmentConfig = AUTOMATIC, mask: Optional[Mask] = None) -> Segmentation:
    """Find the nuclei of an image.

    Parameters
    ----------
    image : array (H, W), any real dtype
        One fluorescence channel, nuclei brighter than the background; finite values of any range.
    config : SegmentConfig
    mask : bool array (H, W), optional
        Only pixels where it is true count.

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
    return filter_nuclei(segment_unfiltered(image, config, mask), config, mask).segmentation


def segment_unfiltered(image: AnyArray, config: SegmentConfig = AUTOMATIC, mask: Optional[Mask] = None) -> Segmentation:
    """Find all nuclei, before the size and border filters of `config`; see `segment`."""
    check_image(image, mask)
    predictor = load_predictor(find_bundle(config.model), resolve_device(config.device))
    normal = normalize(image, mask)
    if mask is not None:
        normal[~mask] = 0
    found = segment_normalized(normal, predictor, decision_of(predictor, config), config.diameter)
    if mask is None:
        return found
    labels = relabel(np.where(mask, found.labels, 0))
    return Segmentation(labels, mean_inside(found.probability, labels), found.probability * mask, found.diameter)


def segment_normalized(
    image: Floats, predictor: Predictor, decision: Decision, diameter: Optional[float] = None
) -> Segmentation:
    """Find the nuclei of a normalized image.

    Parameters
    ----------
    image : float32 array (H, W)
    predictor : Predictor
    decision : Decision
    diameter : float, optional
        Typical nucleus diameter in pixels; estimated if not given, and once more from the nuclei that were
        found if these prove the estimate wrong.

    Returns
    -------
    Segmentation
    """
    canonical = predictor.description.canonical_diameter
    if diameter is not None:
        return segment_at(image, predictor, decision, diameter)
    estimate = estimate_diameter(image, canonical, predictor.maps_at)
    found = segment_at(image, predictor, decision, canonical if estimate is None else estimate)
    if found.count == 0:
        return Segmentation(found.labels, found.scores, found.probability, float("nan"))
    measured = float(np.median(equivalent_diameters(found.labels)))
    if max(measured / found.diameter, found.diameter / measured) > WRONG_ESTIMATE:
        found = segment_at(image, predictor, decision, measured)
    return found


def segment_at(image: Floats, predictor: Predictor, decision: Decision, diameter: float) -> Segmentation:
    """Find the nuclei of a normalized image (H, W) whose typical diameter in pixels is known."""
    canonical = predictor.description.canonical_diameter
    maps = predictor.maps_at(image, canonical / diameter)
    labels = find_instances(maps, decision, canonical)
    probability = resize(maps.foreground, (image.shape[0], image.shape[1]))
    labels = relabel(largest_component(transfer(labels, probability, decision.foreground)))
    return Segmentation(labels, mean_inside(probability, labels), probability, float(diameter))


def decision_of(predictor: Predictor, config: SegmentConfig) -> Decision:
    """Return the model's calibrated decision, with the threshold that a person chose instead of it."""
    decision = predictor.description.decision
    if config.probability_threshold is None:
        return decision
    return Decision(**{**vars(decision), "foreground": config.probability_threshold})


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
