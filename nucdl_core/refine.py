"""Refinement of the objects of one image: outlines, and on request the objects themselves, as the network sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import AnyArray, Floats, Labels, Mask
from nucdl_core.errors import ImageError
from nucdl_core.labels import areas, as_labels, equivalent_diameters, largest_component, offset_outlines, relabel
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.device import in_smaller_tiles, on_the_cpu_if_short
from nucdl_core.model.predictor import Predictor, load_predictor
from nucdl_core.segment import Progress, check_image, plan_tiles, refinement_of
from nucdl_core.steps.contours import RefineConfig, Refinement, contour_shift, correct_contours, origins
from nucdl_core.steps.edits import edit_objects
from nucdl_core.steps.instances import find_instances, mean_inside, transfer
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.steps.size import SMALLEST_DIAMETER, estimate_diameter
from nucdl_core.steps.stitch import Mosaic
from nucdl_core.steps.tiling import Tile, Window
from nucdl_core.steps.views import VIEW_SETS, View, agreement, vote

AUTOMATIC = RefineConfig()


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
        How much the views agree on the nucleus, in [0, 1], see `tta.agreement`; NaN where there was one view.
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


@dataclass(frozen=True)
class Sight:
    """What the network sees in an image.

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
    config: RefineConfig = AUTOMATIC,
    mask: Optional[Mask] = None,
    progress: Optional[Progress] = None,
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
        See `segment.Progress`; called where the image is larger than a tile.

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
    folder, normal = find_bundle(config.model), NormalizedImage.of(image, mask)
    refined = on_the_cpu_if_short(
        lambda device: refine_normalized(normal, given, load_predictor(folder, device), config, progress), config.device
    )
    return replace(refined, parents=numbers[refined.parents])


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
    predictor: Predictor,
    config: RefineConfig = AUTOMATIC,
    progress: Optional[Progress] = None,
) -> Refined:
    """Refine the objects of a normalized image.

    Parameters
    ----------
    image : NormalizedImage
    objects : int32 array (H, W)
        1..N without gaps; `Refined.parents` are these numbers.
    predictor : Predictor
        Takes the place of the configuration's model and device.
    config : RefineConfig
    progress : callable, optional
        As `refine`.

    Returns
    -------
    Refined
    """
    sight = look(image, predictor, VIEW_SETS[config.views], typical_diameter(image, objects, predictor), progress)
    edited = edit_objects(objects, majority(sight, predictor), config) if config.edits else objects
    edited, parents = _ordered(edited, origins(objects, edited))
    corrected = correct_contours(edited, sight.probability, chosen_refinement(predictor, config))
    if config.contour_offset:
        corrected = largest_component(offset_outlines(corrected, config.contour_offset))
    if image.mask is not None:
        corrected = np.where(image.mask | (objects > 0), corrected, 0)
    parents = parents[np.flatnonzero(areas(corrected))]
    refined = relabel(corrected)
    shift = contour_shift(objects, refined, parents)
    agreed = _agreement(refined, sight)
    return Refined(refined, parents, agreed, shift, mean_inside(sight.probability, refined), sight.probability)


def typical_diameter(image: NormalizedImage, objects: Labels, predictor: Predictor) -> float:
    """Return the median equivalent diameter of the objects in pixels, that of the nuclei where there is no object."""
    if objects.any():
        return max(SMALLEST_DIAMETER, float(np.median(equivalent_diameters(objects))))
    canonical = predictor.description.canonical_diameter
    return estimate_diameter(image, canonical, predictor.maps_at) or canonical


def chosen_refinement(predictor: Predictor, config: RefineConfig) -> Refinement:
    """Return the numbers that a person chose, or else the model's, see `segment.refinement_of`."""
    return config.refinement or refinement_of(predictor, predictor.description.decision)


def look(
    image: NormalizedImage,
    predictor: Predictor,
    views: Sequence[View],
    diameter: float,
    progress: Optional[Progress] = None,
) -> Sight:
    """Let the network see an image, in smaller tiles if memory is short.

    Parameters
    ----------
    image : NormalizedImage
    predictor : Predictor
    views : sequence of View
    diameter : float
        Of a typical nucleus, in pixels.
    progress : callable, optional
        As `refine`.

    Returns
    -------
    Sight

    Raises
    ------
    OutOfMemoryError
        If the memory does not suffice for the smallest tiles.
    """
    return in_smaller_tiles(
        lambda side: look_in_tiles(image, predictor, views, diameter, side, progress),
        predictor.tile_sides,
        predictor.device,
    )


def look_in_tiles(
    image: NormalizedImage,
    predictor: Predictor,
    views: Sequence[View],
    diameter: float,
    side: int,
    progress: Optional[Progress] = None,
) -> Sight:
    """Let the network see an image in tiles whose side in network pixels is given; see `look`."""
    description = predictor.description
    block = predictor.block(description.canonical_diameter / diameter)
    probability = np.empty(image.shape, np.float32)
    whole = _at_views((slice(0, image.shape[0]), slice(0, image.shape[1])), predictor.stride, block)
    mosaics = [Mosaic((whole[0].stop, whole[1].stop)) for _ in views]
    plan = plan_tiles(image.shape, predictor, diameter, side)
    for done, tile in enumerate(plan, start=1):
        prediction = predictor.predict(image[tile.outer], diameter, views)
        probability[tile.core] = prediction.probability[tile.inner]
        place = Tile(*(_at_views(window, predictor.stride, block) for window in tile))
        rows, cols = (part.stop - part.start for part in place.outer)
        for mosaic, maps in zip(mosaics, prediction.views):
            found = find_instances(maps, description.decision, description.canonical_diameter)
            mosaic.add(place, found[:rows, :cols])
        if progress is not None and len(plan) > 1:
            progress(done, len(plan))
    if image.mask is not None:
        probability[~image.mask] = 0
    return Sight([mosaic.labels for mosaic in mosaics], probability, predictor.stride / block)


def majority(sight: Sight, predictor: Predictor) -> Labels:
    """Return the nuclei that the majority of the views holds on the image's own pixels; int32 (H, W), 1..N."""
    voted = vote(sight.views).labels
    threshold = predictor.description.decision.foreground
    return relabel(largest_component(transfer(voted, sight.probability, threshold, sight.scale)))


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


def _agreement(labels: Labels, sight: Sight) -> Floats:
    """Measure how much the views agree on each nucleus, at their scale; float32 (N,), see `Refined`."""
    count = int(labels.max(initial=0))
    if len(sight.views) == 1:
        return np.full(count, np.nan, np.float32)
    rows, cols = (
        np.minimum(((np.arange(new) + 0.5) / sight.scale).astype(np.intp), old - 1)
        for new, old in zip(sight.views[0].shape, labels.shape)
    )
    agreed = agreement(labels[np.ix_(rows, cols)], sight.views)
    # Objects smaller than a pixel of the views may be missing there.
    return np.pad(agreed, (0, count - agreed.size))


def _at_views(window: Window, stride: int, block: int) -> Window:
    """Return where a window of the image that begins at multiples of `block` lies in the views."""
    rows, cols = (slice(part.start // block * stride, -(-part.stop * stride // block)) for part in window)
    return rows, cols
