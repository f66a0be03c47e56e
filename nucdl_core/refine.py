"""Refinement of the objects of one image: outlines, and on request the objects themselves, as the network sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import AnyArray, Floats, Labels, Mask
from nucdl_core.errors import ImageError
from nucdl_core.labels import (
    areas,
    as_labels,
    equivalent_diameters,
    gapless,
    highest,
    largest_component,
    mean_inside,
    offset_outlines,
    relabel,
    renumbered,
    tidied,
)
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.device import in_smaller_tiles, on_the_cpu_if_short
from nucdl_core.model.loading import load_map_model
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.progress import TileProgress
from nucdl_core.regions import median_of_nuclei
from nucdl_core.steps.contours import RefineConfig, Refinement, contour_shift, correct_contours, origins
from nucdl_core.steps.edits import edit_objects
from nucdl_core.steps.instances import find_instances, transfer
from nucdl_core.steps.normalize import NormalizedImage, check_image
from nucdl_core.steps.polarity import with_bright_nuclei
from nucdl_core.steps.size import SMALLEST_DIAMETER
from nucdl_core.steps.stitch import Mosaic
from nucdl_core.steps.tiling import Tile, Window
from nucdl_core.steps.views import VIEW_SETS, View, agreement, vote

REFINE_DEFAULTS = RefineConfig()


@dataclass(frozen=True)
class Refined:
    """The refined nuclei of one image, also when there are none.

    Attributes
    ----------
    labels : int32 array (H, W)
        0 is background, nuclei are numbered 1..N without gaps: in the order of their parents, added ones at the end.
    parents : int32 array (N,)
        Number of the object that nucleus ``i + 1`` stems from, as it was given; 0 for an added one.
    agreement : float32 array (N,)
        How much the views agree on the nucleus, in [0, 1], see `views.agreement`; NaN where there was one view.
    shift : float32 array (N,)
        Mean distance in pixels that its outline has moved, see `contours.contour_shift`; NaN for an added one.
    probability_mean : float32 array (N,)
        Mean probability of its pixels, in [0, 1].
    probability : float32 array (H, W)
        Probability of each pixel to lie in a nucleus, averaged over the views.
    """

    labels: Labels
    parents: NDArray[np.int32]
    agreement: Floats
    shift: Floats
    probability_mean: Floats
    probability: Floats

    @property
    def count(self) -> int:
        """Number of nuclei."""
        return len(self.parents)

    @property
    def median_diameter(self) -> float:
        """Median equivalent diameter in pixels of the nuclei that are no micronuclei, NaN where there is none."""
        return median_of_nuclei(equivalent_diameters(self.labels))


@dataclass(frozen=True)
class Evidence:
    """What the network says about an image of which the objects are to be refined.

    Attributes
    ----------
    views : list of int32 arrays (h, w)
        Nuclei that each view holds, at the network's scale, turned back, numbered 1..M without gaps.
    probability : float32 array (H, W)
        See `Refined`.
    scale : float
        Pixels of the views per image pixel; both begin at the same corner.
    """

    views: List[Labels]
    probability: Floats
    scale: float


def refine(
    image: AnyArray,
    labels: AnyArray,
    config: RefineConfig = REFINE_DEFAULTS,
    mask: Optional[Mask] = None,
    progress: Optional[TileProgress] = None,
) -> Refined:
    """Correct the outlines of objects, and on request split, merge, remove and add objects.

    The last step of nucleAIzer (Hollandi et al., Cell Systems 2020) with test-time augmentation (Moshkov et al., Sci.
    Rep. 2020), for objects from any source. The network sees the image tile by tile; the rest is done on the whole
    image at once, for which the memory must suffice.

    Parameters
    ----------
    image : array (H, W), any real dtype
        One fluorescence channel, nuclei brighter than the background; finite values of any range.
    labels : array (H, W) of whole numbers, any real dtype
        The objects: 0 is background, each object has one number; gaps are allowed.
    config : RefineConfig
    mask : bool array (H, W), optional
        Only pixels where it is true count: no nucleus is found or widened outside.
    progress : callable, optional
        See `progress.TileProgress`; called where the image is larger than a tile.

    Returns
    -------
    Refined

    Raises
    ------
    ImageError
        If the image or the objects cannot be used, or differ in shape.
    BundleError, DeviceError, OutOfMemoryError
        If the model, the device or its memory cannot.
    """
    check_image(image, mask)
    given, numbers = check_objects(labels, image.shape)
    bright = with_bright_nuclei(image, config.polarity, mask)
    folder, normal = find_bundle(config.model), NormalizedImage.of(bright, mask)
    refined = on_the_cpu_if_short(partial(_refine_on, folder, normal, given, config, progress), config.device)
    return replace(refined, parents=numbers[refined.parents])


def _refine_on(
    folder: Path,
    image: NormalizedImage,
    objects: Labels,
    config: RefineConfig,
    progress: Optional[TileProgress],
    device: str,
) -> Refined:
    return refine_normalized(image, objects, load_map_model(folder, device), config, progress)


def check_objects(labels: AnyArray, shape: Tuple[int, ...]) -> Tuple[Labels, NDArray[np.int32]]:
    """Take objects in whatever type they come.

    Parameters
    ----------
    labels : array (H, W) of whole numbers, any real dtype
    shape : (int, int)
        Of their image.

    Returns
    -------
    objects : int32 array (H, W)
        Numbered 1..N without gaps, in the old order.
    numbers : int32 array (N + 1,)
        The old number of each object, and 0 for the background.

    Raises
    ------
    ImageError
        If the shapes differ or the numbers are not whole, negative or too large.
    """
    if labels.shape != shape:
        raise ImageError(
            f"the image is {shape} but the objects are {labels.shape}; take the objects that were found in this image, "
            "or crop and resize both in the same way"
        )
    if labels.dtype.kind == "f":
        labels = _whole_numbers(labels)
    old = as_labels(labels)
    objects = relabel(old)
    numbers = np.zeros(int(objects.max(initial=0)) + 1, np.int32)
    numbers[objects] = old
    return objects, numbers


def refine_normalized(
    image: NormalizedImage,
    objects: Labels,
    predictor: MapPredictor,
    config: RefineConfig = REFINE_DEFAULTS,
    progress: Optional[TileProgress] = None,
) -> Refined:
    """Refine the objects of a normalized image.

    Parameters
    ----------
    image : NormalizedImage
    objects : int32 array (H, W)
        1..N without gaps; `Refined.parents` are these numbers.
    predictor : MapPredictor
        Takes the place of the configuration's model and device.
    config : RefineConfig
    progress : callable, optional
        As `refine`.

    Returns
    -------
    Refined
    """
    views, diameter = VIEW_SETS[config.views], object_diameter(image, objects, predictor)
    evidence = gather_evidence(image, predictor, views, diameter, progress)
    edited = edit_objects(objects, majority(evidence, predictor), config) if config.edits else objects
    edited, parents = _ordered(edited, origins(objects, edited))
    corrected = correct_contours(edited, evidence.probability, chosen_refinement(predictor, config))
    if offset := config.contour_offset + predictor.description.contour_offset:
        corrected = largest_component(offset_outlines(corrected, offset))
    if image.mask is not None:
        corrected = np.where(image.mask | (objects > 0), corrected, 0)
    sizes = areas(corrected, len(parents))
    refined, parents = renumbered(corrected, gapless(sizes > 0)), parents[sizes > 0]
    shift, agreed = contour_shift(objects, refined, parents), _agreement(refined, evidence)
    probability_mean = mean_inside(evidence.probability, refined, sizes[sizes > 0])
    return Refined(refined, parents, agreed, shift, probability_mean, evidence.probability)


def object_diameter(image: NormalizedImage, objects: Labels, predictor: MapPredictor) -> float:
    """Return the typical diameter of the objects in pixels, that of the nuclei where there is no object."""
    if objects.any():
        return max(SMALLEST_DIAMETER, median_of_nuclei(equivalent_diameters(objects)))
    return predictor.estimate_diameters(image)[0]


def chosen_refinement(predictor: MapPredictor, config: RefineConfig) -> Refinement:
    """Return the numbers that a person chose, or else the model's, see `MapPredictor.refinement`."""
    return config.refinement or predictor.refinement(predictor.description.decision.foreground)


def gather_evidence(
    image: NormalizedImage,
    predictor: MapPredictor,
    views: Sequence[View],
    diameter: float,
    progress: Optional[TileProgress] = None,
) -> Evidence:
    """Let the network see an image, in smaller tiles if memory is short.

    Parameters
    ----------
    image : NormalizedImage
    predictor : MapPredictor
    views : sequence of View
    diameter : float
        Of a typical nucleus, in pixels.
    progress : callable, optional
        As `refine`.

    Returns
    -------
    Evidence

    Raises
    ------
    OutOfMemoryError
        If the memory does not suffice for the smallest tiles.
    """
    compute = partial(gather_in_tiles, image, predictor, views, diameter, progress=progress)
    return in_smaller_tiles(compute, predictor.tile_sides, predictor.device)


def gather_in_tiles(
    image: NormalizedImage,
    predictor: MapPredictor,
    views: Sequence[View],
    diameter: float,
    side: int,
    progress: Optional[TileProgress] = None,
) -> Evidence:
    """Let the network see an image in tiles whose side in network pixels is given; see `gather_evidence`."""
    description, block = predictor.description, predictor.block_at(diameter)
    probability = np.empty(image.shape, np.float32)
    whole = _at_views((slice(0, image.shape[0]), slice(0, image.shape[1])), predictor.stride, block)
    mosaics = [Mosaic((whole[0].stop, whole[1].stop)) for _ in views]
    plan = predictor.plan_tiles(image.shape, diameter, side)
    for done, tile in enumerate(plan, start=1):
        prediction = predictor.predict(image[tile.outer], diameter, views)
        probability[tile.core] = prediction.probability[tile.inner]
        place = Tile(*(_at_views(window, predictor.stride, block) for window in tile))
        rows, cols = (part.stop - part.start for part in place.outer)
        for mosaic, maps in zip(mosaics, prediction.views):
            found = find_instances(maps, description.decision, description.canonical_diameter)[:rows, :cols]
            mosaic.add(place, found, areas(found))
        if progress is not None and len(plan) > 1:
            progress(done, len(plan))
    if image.mask is not None:
        probability[~image.mask] = 0
    return Evidence([mosaic.labels for mosaic in mosaics], probability, predictor.stride / block)


def majority(evidence: Evidence, predictor: MapPredictor) -> Labels:
    """Return the nuclei that the majority of the views holds on the image's own pixels; int32 (H, W), 1..N."""
    voted = vote(evidence.views).labels
    threshold = predictor.description.decision.foreground
    return tidied(transfer(voted, evidence.probability, threshold, evidence.scale))[0]


def _whole_numbers(labels: AnyArray) -> NDArray[np.int64]:
    whole = np.isfinite(labels) & (np.abs(labels) < 2**53)
    whole[whole] = labels[whole] == np.floor(labels[whole])
    if not whole.all():
        raise ImageError(
            f"the objects hold {labels[~whole][0]}, but a number of an object is a whole one; take a label image, in "
            "which each object has one number, not an intensity or probability image"
        )
    return labels.astype(np.int64)


def _ordered(labels: Labels, parents: NDArray[np.int32]) -> Tuple[Labels, NDArray[np.int32]]:
    """Renumber nuclei 1..N in the order of their parents, those without one at the end; gaps are closed."""
    present = np.flatnonzero(areas(labels))
    order = present[np.argsort(np.where(parents[present] > 0, parents[present], len(parents)), kind="stable")]
    number = np.zeros(len(parents) + 1, np.int32)
    number[order + 1] = 1 + np.arange(order.size)
    return number[labels], parents[order]


def _agreement(labels: Labels, evidence: Evidence) -> Floats:
    """Measure how much the views agree on each nucleus, at their scale; float32 (N,), see `Refined`."""
    count = highest(labels)
    if len(evidence.views) == 1:
        return np.full(count, np.nan, np.float32)
    rows, cols = (
        np.minimum(((np.arange(new) + 0.5) / evidence.scale).astype(np.intp), old - 1)
        for new, old in zip(evidence.views[0].shape, labels.shape)
    )
    agreed = agreement(labels[np.ix_(rows, cols)], evidence.views)
    # Objects smaller than a pixel of the views may be missing there.
    return np.pad(agreed, (0, count - agreed.size))


def _at_views(window: Window, stride: int, block: int) -> Window:
    """Return where a window of the image that begins at multiples of `block` lies in the views."""
    rows, cols = (slice(part.start // block * stride, -(-part.stop * stride // block)) for part in window)
    return rows, cols
