"""Correcting the outlines of nuclei with a probability map, and cleaning up what no nucleus can be.

The last step of nucleAIzer (Hollandi et al., Cell Systems 2020): another method finds the nuclei, the foreground
probability of a U-Net decides where exactly their outlines run, and six numbers tell how far it is trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from nucdl_core.arrays import Floats, Labels, Mask
from nucdl_core.config import AUTO_POLARITY, DEFAULT_MODEL, LARGEST_OFFSET, SegmentConfig, require
from nucdl_core.labels import areas, drop, largest_component, mean_inside, outlines, relabel
from nucdl_core.overlap import overlap

NumberedPixels = Tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class Refinement:
    """How outlines are corrected and objects are cleaned up.

    The six numbers are nucleAIzer's p1 to p6, in this order; the defaults are its published ones. Its authors found
    them with a genetic algorithm that maximizes the score on the training images.

    Attributes
    ----------
    merge_share : float
        p1. Objects of which more than this share of the outline is surrounded by one other object are merged with it.
    smallest_area : float
        p2. Objects with fewer pixels are dropped.
    threshold : float
        p3. Probability above which a pixel near an outline belongs to the nucleus.
    inwards, outwards : float
        p4, p5. Pixels by which an outline may move at most, with the meaning of `labels.offset_outlines`: outlines run
        along pixel edges, 0.5 reaches pixels with a side on the outline, 1 those with a corner on it as well.
    mean_probability : float
        p6. Objects whose pixels have a lower probability on average are dropped.
    """

    merge_share: float = 0.17
    smallest_area: float = 44
    threshold: float = 0.9375
    inwards: float = 1
    outwards: float = 1
    mean_probability: float = 0.8

    def __post_init__(self) -> None:
        for key in ("merge_share", "threshold", "mean_probability"):
            value = getattr(self, key)
            require(0 <= value <= 1, f"{key} is {value}; it must lie in [0, 1]")
        for key in ("inwards", "outwards"):
            value = getattr(self, key)
            require(0 <= value <= LARGEST_OFFSET, f"{key} is {value}; give pixels from 0 to {LARGEST_OFFSET:g}")
        require(self.smallest_area >= 0, f"smallest_area is {self.smallest_area}; give pixels, 0 for no limit")


PUBLISHED = Refinement()
# Outlines only: nothing is merged or dropped.
CONTOURS_ONLY = Refinement(merge_share=1, smallest_area=0, mean_probability=0)


@dataclass(frozen=True)
class RefineConfig:
    """How to refine objects that any method has found.

    Attributes
    ----------
    model : str
        Name or folder of a model, see `bundle.find_bundle`.
    views : str
        See `config.SegmentConfig`; the four switches below go by the majority of the views.
    refinement : Refinement or None
        None takes the numbers that were tuned on the model's validation data, or else the published ones with the
        probability threshold that the model was calibrated with.
    contour_offset : float
        Pixels by which the corrected outlines are moved outwards (negative: inwards).
    split : bool
        Part objects that hold several nuclei.
    merge : bool
        Join objects that are parts of one nucleus.
    remove : bool
        Drop objects where there is no nucleus.
    add : bool
        Add nuclei where there is no object.
    device : str
        "auto" (an accelerator when there is one), "cpu" or "cuda".
    polarity : str
        See `config.SegmentConfig`.
    """

    model: str = DEFAULT_MODEL
    views: str = "flips"
    refinement: Optional[Refinement] = None
    contour_offset: float = 0.0
    split: bool = False
    merge: bool = False
    remove: bool = False
    add: bool = False
    device: str = "auto"
    polarity: str = AUTO_POLARITY

    def __post_init__(self) -> None:
        # What it shares with the other settings is checked there.
        offset = self.contour_offset
        SegmentConfig(views=self.views, contour_offset=offset, device=self.device, polarity=self.polarity)

    @property
    def edits(self) -> bool:
        """Whether anything but outlines may change."""
        return self.split or self.merge or self.remove or self.add


def correct_contours(labels: Labels, probability: Floats, refinement: Refinement = PUBLISHED) -> Labels:
    """Move outlines to where the probability crosses a threshold, a few pixels at most.

    Only pixels between `Refinement.inwards` pixels inside and `Refinement.outwards` pixels outside of an outline are
    decided anew: above the threshold they belong to the nucleus that they lie in, or else to the nearest one, below
    it to the background. What lies deeper in a nucleus stays. No pixel changes from one nucleus to another.

    Parameters
    ----------
    labels : int32 array (H, W)
        Gaps are allowed.
    probability : float32 array (H, W)
        Probability of each pixel to lie in a nucleus, in [0, 1].
    refinement : Refinement

    Returns
    -------
    int32 array (H, W)
        A new array with the same numbers. Each nucleus is one piece: of several the largest stays. A nucleus that
        would vanish keeps its old outline.
    """
    likely = probability > refinement.threshold
    corrected = labels.copy()
    leaving = np.flatnonzero(_band(labels, refinement.inwards) & ~likely & (labels > 0))
    corrected.ravel()[leaving[_at_outline(labels, leaving, refinement.inwards)]] = 0
    joining = np.flatnonzero(_band(labels, refinement.outwards) & likely & (labels == 0))
    corrected.ravel()[joining] = _nearest_nucleus(labels, joining, refinement.outwards)
    # What left has a low probability, so that nothing else has taken its place.
    return largest_component(np.where(_vanished(labels, corrected)[labels], labels, corrected))


def clean_up(labels: Labels, refinement: Refinement = PUBLISHED) -> Labels:
    """Merge and drop objects that are no nuclei of their own, by their outlines and sizes alone.

    In this order: an object that lies wholly inside another one becomes part of it; objects of which more than
    `Refinement.merge_share` of the outline is surrounded by one other are merged with it; objects smaller than
    `Refinement.smallest_area` are dropped.

    Parameters
    ----------
    labels : int32 array (H, W)
        Gaps are allowed.
    refinement : Refinement

    Returns
    -------
    int32 array (H, W)
        A new array, 1..N without gaps in the order of the old numbers; merged objects have the place of the lowest.
    """
    merged = _merge_surrounded(relabel(labels), refinement.merge_share)
    return drop(merged, areas(merged) < refinement.smallest_area)


def drop_improbable(labels: Labels, probability: Floats, refinement: Refinement = PUBLISHED) -> Labels:
    """Drop objects whose mean probability is below `Refinement.mean_probability`, and close all gaps.

    Parameters
    ----------
    labels : int32 array (H, W)
        Gaps are allowed.
    probability : float32 array (H, W)
        Probability of each pixel to lie in a nucleus, in [0, 1].
    refinement : Refinement

    Returns
    -------
    int32 array (H, W)
        A new array, 1..N without gaps in the order of the old numbers.
    """
    sizes = areas(labels)
    improbable = mean_inside(probability, labels, sizes) < refinement.mean_probability
    return drop(labels, improbable | (sizes == 0))


def refine_objects(labels: Labels, probability: Floats, refinement: Refinement) -> Labels:
    """Clean up, correct the outlines, and drop what is improbable then, in the published order.

    Parameters
    ----------
    labels : int32 array (H, W)
        Gaps are allowed.
    probability : float32 array (H, W)
        Probability of each pixel to lie in a nucleus, in [0, 1].
    refinement : Refinement

    Returns
    -------
    int32 array (H, W)
        A new array, 1..N without gaps in the order of the old numbers.

    Notes
    -----
    The numbers p1 and p2, then p3 to p5, then p6 of Hollandi et al. ``docs/accuracy.md`` compares this order with that
    of correcting first.
    """
    corrected = correct_contours(clean_up(labels, refinement), probability, refinement)
    return drop_improbable(corrected, probability, refinement)


def origins(before: Labels, after: Labels) -> NDArray[np.int32]:
    """Tell which object each nucleus stems from: the one that it shares most pixels with.

    Parameters
    ----------
    before, after : int32 arrays (H, W)
        Memory grows with the highest number: `relabel` images with large gaps.

    Returns
    -------
    int32 array (N,)
        Number in `before` of the origin of nucleus ``i + 1`` of `after`: the lower one of two that share as many
        pixels, 0 where no object shares one.
    """
    pairs = overlap(before, after)
    origin = np.zeros(len(pairs.second_areas), np.int32)
    # Of several values for one place the last one stays.
    order = np.lexsort((-pairs.first, pairs.intersection))
    origin[pairs.second[order] - 1] = pairs.first[order]
    return origin


def contour_shift(before: Labels, after: Labels, parents: Optional[NDArray[np.int32]] = None) -> Floats:
    """Measure how far the outline of each nucleus has moved.

    Parameters
    ----------
    before, after : int32 arrays (H, W)
        Gaps are allowed.
    parents : int32 array (N,), optional
        Number in `before` of the object that nucleus ``i + 1`` of `after` stems from, 0 for none; without it that of
        `origins`.

    Returns
    -------
    float32 array (N,)
        Mean distance in pixels from the outline of nucleus ``i + 1`` of `after` to the nearest outline pixel of the
        object that it stems from; 0 where it is unchanged, NaN where it stems from none (and for a gap). The border
        of the image closes the outline of a nucleus that it cuts.
    """
    parents = origins(before, after) if parents is None else parents
    shift = np.full(len(parents), np.nan, np.float32)
    rows, cols, numbers = outline_pixels(after)
    origin = parents[numbers - 1]
    old_rows, old_cols, old_numbers = outline_pixels(before)
    outlined = np.zeros(before.shape, np.int32)
    outlined[old_rows, old_cols] = old_numbers
    moved = (origin > 0) & (outlined[rows, cols] != origin)
    distance = np.zeros(len(numbers))
    if moved.any():
        places = rows[moved], cols[moved], origin[moved]
        distance[moved], _ = nearest_of_same_number((old_rows, old_cols, old_numbers), places)
    lengths = np.bincount(numbers, minlength=len(parents) + 1)[1:]
    sums = np.bincount(numbers, distance, minlength=len(parents) + 1)[1:]
    known = (parents > 0) & (lengths > 0)
    shift[known] = sums[known] / lengths[known]
    return shift


def outline_pixels(labels: Labels) -> NumberedPixels:
    """List the outline pixels of all nuclei, the border of the image included.

    Parameters
    ----------
    labels : int32 array (H, W)

    Returns
    -------
    three int64 arrays (P,)
        Rows, columns and numbers.
    """
    rows, cols = np.nonzero(outlines(np.pad(labels, 1))[1:-1, 1:-1])
    return rows, cols, labels[rows, cols].astype(np.int64)


def nearest_of_same_number(
    pixels: NumberedPixels, places: NumberedPixels
) -> Tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Find for each place the nearest pixel that has the same number.

    Parameters
    ----------
    pixels, places : three int64 arrays each, (P,) and (Q,)
        Rows, columns and numbers; each number of `places` is one of `pixels`.

    Returns
    -------
    distances : float64 array (Q,)
        In pixels.
    nearest : intp array (Q,)
        Positions in `pixels`.
    """
    # Numbers become floors that lie farther apart than any two pixels of one floor.
    height = 1 + 2 * max(int(axis.max(initial=0)) for found in (pixels, places) for axis in found[:2])
    tree, queries = (np.stack([rows, cols, numbers * height], axis=1) for rows, cols, numbers in (pixels, places))
    distances, nearest = cKDTree(tree, balanced_tree=False).query(queries)
    return distances, nearest


def _within(radius: float) -> List[Tuple[int, int]]:
    """List steps (rows, cols) to the pixels whose nearer edge lies within a radius, the nearest ones first."""
    reach = int(radius + 0.5)
    steps = [(row, col) for row in range(-reach, reach + 1) for col in range(-reach, reach + 1) if row or col]
    near = [step for step in steps if np.hypot(*step) <= radius + 0.5]
    return sorted(near, key=lambda step: (step[0] ** 2 + step[1] ** 2, step))


def _band(labels: Labels, radius: float) -> Mask:
    """Mark the surroundings of all outlines, at least `radius` pixels wide on both sides; bool array (H, W)."""
    beside = np.zeros(labels.shape, np.uint8)
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        step = labels[before] != labels[after]
        beside[before] |= step
        beside[after] |= step
    return ndimage.maximum_filter(beside, 2 * int(radius + 0.5) + 1) > 0


def _neighbours(labels: Labels, pixels: NDArray[np.intp], radius: float) -> Iterator[Labels]:
    """For each step of `_within`, the numbers (P,) that lie this step from the pixels (flat indices)."""
    margin = int(radius + 0.5)
    # A border pixel goes on beyond the border, since no outline runs there.
    padded = np.pad(labels, margin, mode="edge")
    rows, cols = np.divmod(pixels, labels.shape[1])
    centre = (rows + margin) * padded.shape[1] + cols + margin
    for row, col in _within(radius):
        yield padded.ravel()[centre + (row * padded.shape[1] + col)]


def _at_outline(labels: Labels, pixels: NDArray[np.intp], radius: float) -> Mask:
    """Tell which pixels (flat indices) of nuclei lie at most `radius` pixels inside the outline; bool array (P,)."""
    number = labels.ravel()[pixels]
    found = np.zeros(pixels.size, bool)
    for neighbours in _neighbours(labels, pixels, radius):
        found |= neighbours != number
    return found


def _nearest_nucleus(labels: Labels, pixels: NDArray[np.intp], radius: float) -> Labels:
    """Return the nucleus nearest to each pixel (flat index), 0 where none lies within `radius`; int32 array (P,)."""
    nearest = np.zeros(pixels.size, np.int32)
    for neighbours in _neighbours(labels, pixels, radius):
        np.copyto(nearest, neighbours, where=nearest == 0)
    return nearest


def _vanished(before: Labels, after: Labels) -> Mask:
    """Tell for 0 (False) and each number of `before` whether no pixel of `after` has it; bool array (N + 1,)."""
    count = int(before.max(initial=0))
    vanished: Mask = np.bincount(after.ravel(), minlength=count + 1) == 0
    vanished[0] = False
    return vanished


def _merge_surrounded(labels: Labels, share: float) -> Labels:
    """Merge objects (1..N) of which more than a share of the outline, or all of it, is surrounded by one other."""
    count = int(labels.max(initial=0))
    number, neighbour, length = _contacts(labels)
    perimeter = np.bincount(number, length, minlength=count + 1)[number]
    joined = (neighbour > 0) & ((length > share * perimeter) | (length == perimeter))
    links = sparse.coo_matrix((joined[joined], (number[joined], neighbour[joined])), shape=(count + 1, count + 1))
    # Groups are numbered in the order of their first members, the background first.
    _, group = connected_components(links, directed=False)
    return relabel(group.astype(np.int32)[labels])


def _contacts(labels: Labels) -> Tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of an object (from 1) and a neighbour (0: background), and how many pixel edges they share; int64 (P,)."""
    padded = np.pad(labels, 1).astype(np.int64)
    base = int(labels.max(initial=0)) + 1
    keys = []
    for first, second in ((padded[:-1], padded[1:]), (padded[:, :-1], padded[:, 1:])):
        differ = first != second
        here, there = first[differ], second[differ]
        keys += [here * base + there, there * base + here]
    pairs, lengths = np.unique(np.concatenate(keys), return_counts=True)
    inside = pairs >= base
    return pairs[inside] // base, pairs[inside] % base, lengths[inside]
