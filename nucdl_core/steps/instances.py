"""From the network's maps to numbered nuclei.

Several ways of splitting touching nuclei are offered; which one a model uses stands in its bundle, decided on
validation data where its network tells what several of them need:

* ``three_class``: seeds are the components of the interior (foreground without boundary), grown back over the
  boundary (Caicedo et al., Cytometry A 2019);
* ``distance``: seeds are where the normalized distance map exceeds a threshold, the map itself is the landscape
  of a watershed (after Zaki et al., Cytometry A 2020);
* ``combined``: seeds are where distance times (1 - boundary) exceeds a threshold, the landscape is that product;
* ``border``: seeds are where the distance exceeds a threshold, the boundary map upside down is the landscape (Zaki et
  al. as they wrote it);
* ``foreground``: seeds are where the foreground exceeds a higher threshold, which is also the landscape: for networks
  that tell nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nucdl_core.arrays import Floats, Labels, Mask
from nucdl_core.config import require
from nucdl_core.labels import gapless, tidied
from nucdl_core.results import Found

DECODERS = ("three_class", "distance", "combined", "border", "foreground")
# Networks that find nuclei one by one need no decoder for maps.
ONE_BY_ONE = "instances"
LEVELS = 16


@dataclass(frozen=True)
class Maps:
    """What the network says about an image; all float32 (H, W).

    Attributes
    ----------
    foreground, boundary, distance : arrays
        In [0, 1]: probability of a nucleus, probability of an outline, 0 at the rim to 1 at the centre.
    size : array
        Base-2 logarithm of nucleus diameter over the canonical diameter; meaningful inside nuclei.
    """

    foreground: Floats
    boundary: Floats
    distance: Floats
    size: Floats


@dataclass(frozen=True)
class MapPrediction:
    """What a network that gives maps says about an image, at its own scale and on the image's pixels.

    Attributes
    ----------
    views : sequence of Maps
        Of each view, turned back; (h, w) at the scale at which a typical nucleus has the canonical diameter.
    maps : Maps
        Their mean.
    probability : float32 array (H, W)
        The foreground of `maps` on the image's own pixels.
    scale : float
        Pixels of `maps` per image pixel; both begin at the same corner.
    """

    views: Sequence[Maps]
    maps: Maps
    probability: Floats
    scale: float


@dataclass(frozen=True)
class Decision:
    """How maps become nuclei; the numbers are calibrated on validation data.

    Attributes
    ----------
    decoder : str
        One of `DECODERS`, or `ONE_BY_ONE`.
    foreground : float
        Probability above which a pixel belongs to a nucleus.
    seed : float
        Value above which the seed map starts a nucleus; nothing to `ONE_BY_ONE`.
    smallest : float
        Nuclei below this share of the canonical diameter are dropped as debris.
    score : float
        Nuclei with a lower confidence are dropped.
    """

    decoder: str = "combined"
    foreground: float = 0.5
    seed: float = 0.4
    smallest: float = 0.2
    score: float = 0.6

    def __post_init__(self) -> None:
        known = (*DECODERS, ONE_BY_ONE)
        require(self.decoder in known, f"decoder is {self.decoder!r}; it must be one of {', '.join(known)}")
        for key in ("foreground", "seed", "smallest", "score"):
            value = getattr(self, key)
            require(0 <= value < 1, f"{key} is {value}; it must lie in [0, 1)")


def seed_map(maps: Maps, decoder: str) -> Floats:
    """Return the map (H, W) in [0, 1] whose islands are the seeds of nuclei."""
    if decoder == "three_class":
        return np.asarray(maps.foreground * (1 - maps.boundary), np.float32)
    if decoder == "foreground":
        return maps.foreground
    if decoder == "combined":
        return np.asarray(maps.distance * (1 - maps.boundary), np.float32)
    return maps.distance


def on_image_pixels(
    labels: Labels, prediction: MapPrediction, decision: Decision, agreement: Optional[Floats] = None
) -> Found:
    """Bring the nuclei that `find_instances` found in the mean maps onto the image's pixels.

    Parameters
    ----------
    labels : int32 array (h, w)
        1..N without gaps.
    prediction : MapPrediction
    decision : Decision
    agreement : float32 array (N,), optional

    Returns
    -------
    Found
        Each nucleus is one piece; those smaller than a pixel are left out.
    """
    brought = transfer(labels, prediction.probability, decision.foreground, prediction.scale)
    tidy, numbers, sizes = tidied(brought)
    agreed = None if agreement is None else agreement[numbers - 1]
    return Found(tidy, sizes, prediction.probability, None, agreed)


def find_instances(maps: Maps, decision: Decision, canonical_diameter: float) -> Labels:
    """Find and number the nuclei in the network's maps.

    Parameters
    ----------
    maps : Maps
        At the scale at which a typical nucleus has the canonical diameter.
    decision : Decision
    canonical_diameter : float
        In pixels.

    Returns
    -------
    int32 array (H, W)
        1..N without gaps.
    """
    sure = seed_map(maps, decision.decoder)
    landscape = np.asarray(1 - maps.boundary, np.float32) if decision.decoder == "border" else sure
    mask = maps.foreground > decision.foreground
    smallest_area = np.pi / 4 * (decision.smallest * canonical_diameter) ** 2
    labels = grow(find_seeds(mask & (sure > decision.seed), 0.05 * smallest_area), landscape, mask)
    # Most pixels are background, so that only those of the mask are looked at.
    pixels = np.flatnonzero(mask)
    numbers = labels.ravel()[pixels]
    sizes = np.bincount(numbers)
    scores = np.bincount(numbers, maps.foreground.ravel()[pixels]) / np.maximum(sizes, 1)
    found: Labels = np.zeros(mask.shape, np.int32)
    found.ravel()[pixels] = gapless(((sizes >= smallest_area) & (scores >= decision.score))[1:])[numbers]
    return found


def find_seeds(sure: Mask, smallest_area: float) -> Labels:
    """Give numbers to the islands of a mask (H, W) that have so many pixels; int32 array (H, W), 1..N without gaps."""
    seeds: Labels = ndimage.label(sure)[0]
    pixels = np.flatnonzero(sure)
    numbers = seeds.ravel()[pixels]
    seeds.ravel()[pixels] = gapless(np.bincount(numbers)[1:] >= smallest_area)[numbers]
    return seeds


def grow(seeds: Labels, landscape: Floats, mask: Mask) -> Labels:
    """Extend seeds over a mask; where several meet, they part along the valleys of the landscape.

    Components of the mask with one seed need no flooding, and those without a seed become a nucleus each, so that
    only places where nuclei touch are flooded.

    Parameters
    ----------
    seeds : int32 array (H, W)
        Seeds numbered 1..N without gaps, inside the mask.
    landscape : float32 array (H, W)
        In [0, 1], high inside nuclei, low between them.
    mask : bool array (H, W)

    Returns
    -------
    int32 array (H, W)
        1..M without gaps; every pixel of the mask belongs to a nucleus.
    """
    components, count = ndimage.label(mask)
    lowest, highest = _extreme_seeds(seeds, components, count)
    number = np.where(lowest < highest, 0, highest)
    seedless = 1 + np.flatnonzero(highest[1:] == 0)
    number[seedless] = int(seeds.max(initial=0)) + 1 + np.arange(seedless.size)
    number[0] = 0
    labels: Labels = number.astype(np.int32)[components]
    crowded = mask & (labels == 0)
    if crowded.any():
        np.copyto(labels, flood(seeds, landscape, crowded), where=crowded)
    return labels


def _extreme_seeds(seeds: Labels, components: Labels, count: int) -> Tuple[Labels, Labels]:
    """Lowest and highest number of the seeds in each component, 0 where there is none; int32 arrays (count + 1,)."""
    pixels = np.flatnonzero(seeds)
    component_of = np.zeros(int(seeds.max(initial=0)) + 1, np.int32)
    component_of[seeds.ravel()[pixels]] = components.ravel()[pixels]
    numbers = np.arange(1, component_of.size, dtype=np.int32)
    highest = np.zeros(count + 1, np.int32)
    # Of several values for one place the last one stays.
    highest[component_of[1:]] = numbers
    lowest = np.zeros(count + 1, np.int32)
    lowest[component_of[:0:-1]] = numbers[::-1]
    return lowest, highest


def flood(seeds: Labels, landscape: Floats, mask: Mask) -> Labels:
    """Flood a landscape from its seeds downwards: a watershed on `LEVELS` height levels, with array operations only.

    All pixels of a level that touch a nucleus join it in one step, so that the time hardly depends on the number of
    nuclei and grows linearly with the number of pixels; a queue of single pixels takes ten times as long.

    Parameters
    ----------
    seeds : int32 array (H, W)
        Numbered seeds; those outside the mask do not count.
    landscape : float32 array (H, W)
        In [0, 1].
    mask : bool array (H, W)

    Returns
    -------
    int32 array (H, W)
        The seeds, extended to all pixels of the mask that are connected to one; 0 outside the mask.
    """
    height, width = mask.shape
    pixels = np.flatnonzero(mask)
    # A border of one pixel above, below and between the rows: no pixel has a neighbour in another row's end.
    places = pixels + pixels // width + width + 1
    labels = np.zeros((height + 2) * (width + 1), np.int32)
    heights = np.zeros(labels.size, np.float32)
    labels[places], heights[places] = seeds.ravel()[pixels], landscape.ravel()[pixels]
    dry = places[labels[places] == 0]
    level = np.clip((heights[dry] * LEVELS).astype(np.int8), 0, LEVELS - 1)
    dry = dry[np.argsort(-level, kind="stable")]
    ends = np.cumsum(np.bincount(LEVELS - 1 - level, minlength=LEVELS))
    pending = dry[:0]
    for start, end in zip(np.concatenate([[0], ends[:-1]]), ends):
        pending = _spread(labels, heights, np.concatenate([pending, dry[start:end]]), width + 1)
    return labels.reshape(height + 2, width + 1)[1:-1, :-1]


def _spread(labels: Labels, heights: Floats, pending: NDArray[np.intp], width: int) -> NDArray[np.intp]:
    """Give pending pixels the number of their highest numbered neighbour, again and again; return those left over."""
    while pending.size:
        best = np.zeros(pending.size, np.int32)
        best_height = np.full(pending.size, -1, np.float32)
        for step in (-width, -1, 1, width):
            neighbour = labels[pending + step]
            height = np.where(neighbour > 0, heights[pending + step], -1)
            better = height > best_height
            best[better], best_height[better] = neighbour[better], height[better]
        joined = best > 0
        if not joined.any():
            break
        labels[pending[joined]] = best[joined]
        pending = pending[~joined]
    return pending


def transfer(labels: Labels, foreground: Floats, threshold: float, scale: float) -> Labels:
    """Bring nuclei that were found at another scale onto the original pixels.

    Which nucleus a pixel belongs to is taken from the nearest pixel of `labels`, but whether it belongs to one
    is decided by the enlarged probability, so that outlines are smooth and exact at full resolution.

    Parameters
    ----------
    labels : int32 array (h, w)
        1..N without gaps.
    foreground : float32 array (H, W)
        Probability at the original resolution.
    threshold : float
        The `Decision.foreground` that `labels` were made with.
    scale : float
        Pixels of `labels` per pixel of `foreground`; both begin at the same corner.

    Returns
    -------
    int32 array (H, W)
        The same numbers; some may be missing where a nucleus is smaller than a pixel.
    """
    rows, cols = (
        np.minimum(((np.arange(new) + 0.5) * scale).astype(np.intp), old - 1)
        for new, old in zip(foreground.shape, labels.shape)
    )
    pixels = np.flatnonzero(foreground > threshold)
    row, col = np.divmod(pixels, foreground.shape[1])
    near = labels.shape[1] * rows[row] + cols[col]
    numbers = labels.ravel()[near]
    bare = np.flatnonzero(numbers == 0)
    numbers[bare] = highest_neighbour(labels, near[bare])
    brought: Labels = np.zeros(foreground.shape, np.int32)
    brought.ravel()[pixels] = numbers
    return brought


def highest_neighbour(labels: Labels, pixels: NDArray[np.intp]) -> Labels:
    """Return the highest number beside each of some pixels, given by their position in the flattened image."""
    height, width = labels.shape
    row, col = np.divmod(pixels, width)
    highest = np.zeros(pixels.size, np.int32)
    for down, right in np.ndindex(3, 3):
        neighbours = labels[np.clip(row + down - 1, 0, height - 1), np.clip(col + right - 1, 0, width - 1)]
        np.maximum(highest, neighbours, out=highest)
    return highest
