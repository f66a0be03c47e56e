"""Test-time augmentation: turned and mirrored views of an image, and what they agree on.

After Moshkov et al. (Sci. Rep. 2020). Probability maps of the views are averaged; label images of the views are
merged by matching their nuclei and by the majority of the views, nucleus by nucleus and then pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Dict, NamedTuple, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import AnyArray, Floats, Labels
from nucdl_core.labels import areas, gapless
from nucdl_core.overlap import overlap

# Two nuclei of different views are the same above this IoU, at which a match is unique.
SAME_NUCLEUS = 0.5


class View(NamedTuple):
    """One of the eight turned and mirrored views of an image.

    Attributes
    ----------
    flip_rows, flip_cols : bool
        Turn the image upside down; mirror it. Done first.
    transpose : bool
        Exchange rows and columns.
    """

    flip_rows: bool = False
    flip_cols: bool = False
    transpose: bool = False


VIEW_SETS: Dict[str, Tuple[View, ...]] = {
    "none": (View(),),
    "flips": (View(), View(flip_rows=True), View(flip_cols=True), View(True, True)),
    "all": tuple(View(rows, cols, turn) for turn in (False, True) for rows in (False, True) for cols in (False, True)),
}


def apply_view(array: AnyArray, view: View) -> AnyArray:
    """Turn and mirror the last two axes of an array (..., H, W); no copy."""
    array = array[..., :: -1 if view.flip_rows else 1, :: -1 if view.flip_cols else 1]
    return array.swapaxes(-1, -2) if view.transpose else array


def undo_view(array: AnyArray, view: View) -> AnyArray:
    """Undo `apply_view`."""
    array = array.swapaxes(-1, -2) if view.transpose else array
    return array[..., :: -1 if view.flip_rows else 1, :: -1 if view.flip_cols else 1]


@dataclass(frozen=True)
class Vote:
    """What several views say about the nuclei of one image.

    Attributes
    ----------
    labels : int32 array (H, W)
        The nuclei that the majority of the views sees, numbered 1..N without gaps.
    areas : int64 array (N,)
        Their pixels.
    agreement : float32 array (N,)
        See `agreement`.
    """

    labels: Labels
    areas: NDArray[np.int64]
    agreement: Floats


def vote(views: Sequence[Labels]) -> Vote:
    """Merge the label images of several views.

    Each nucleus of the first view takes its match in every other view; it stays if the majority of the views has
    one. Then the nuclei of the second view that nothing matched yet start the same search, and so on until a
    majority is no longer possible. The final mask of a nucleus holds the pixels that the majority of its matched
    masks holds.

    Parameters
    ----------
    views : sequence of int32 arrays (H, W)
        Already turned back, each numbered 1..N without gaps.

    Returns
    -------
    Vote
    """
    pending = [np.zeros(int(labels.max(initial=0)) + 1, np.int32) for labels in views]
    count = 0
    for start in range((len(views) + 1) // 2):
        candidates = pending[start] == 0
        candidates[0] = False
        found = np.zeros((len(views), candidates.size), np.int32)
        for index in range(start, len(views)):
            matches = matching_nuclei(views[start], views[index])
            found[index] = np.where(candidates & (pending[index][matches] == 0), matches, 0)
        accepted = np.flatnonzero((found > 0).sum(axis=0) * 2 > len(views))
        numbers = (count + 1 + np.arange(accepted.size)).astype(np.int32)
        for index in range(start, len(views)):
            matches = found[index][accepted]
            pending[index][matches[matches > 0]] = numbers[matches > 0]
        count += accepted.size
    return _majority([numbers[labels] for numbers, labels in zip(pending, views)], count)


def matching_nuclei(labels: Labels, others: Labels) -> NDArray[np.int32]:
    """Return for each nucleus the number of the same one in another label image.

    Parameters
    ----------
    labels, others : int32 arrays (H, W)
        Each 1..N without gaps.

    Returns
    -------
    int32 array (N + 1,)
        0 for the background and where there is no match with an IoU above `SAME_NUCLEUS`.
    """
    pairs = overlap(labels, others)
    same = pairs.iou > SAME_NUCLEUS
    matches = np.zeros(int(labels.max(initial=0)) + 1, np.int32)
    matches[pairs.first[same]] = pairs.second[same]
    return matches


def agreement(labels: Labels, views: Sequence[Labels]) -> Floats:
    """Measure how much the views agree on each nucleus of a result.

    Parameters
    ----------
    labels : int32 array (H, W)
        The result, 1..N without gaps.
    views : sequence of int32 arrays (H, W)
        What each view found, turned back, 1..M without gaps.

    Returns
    -------
    float32 array (N,)
        Mean IoU over all pairs of views of the masks that match the nucleus; a pair in which a view has no such
        mask counts 0. So 1 means that all views found the same mask; 1 for a single view.
    """
    numbered = []
    # Most pixels are background in all of them, and say nothing.
    nuclear = np.flatnonzero(np.logical_or.reduce([found > 0 for found in (labels, *views)]))
    labels, *views = (found.ravel()[nuclear][None] for found in (labels, *views))
    for found in views:
        owner = np.zeros(int(found.max(initial=0)) + 1, np.int32)
        matches = matching_nuclei(labels, found)
        owner[matches[1:]] = np.arange(1, matches.size)
        owner[0] = 0
        numbered.append(owner[found])
    return _mean_pairwise_iou(numbered, int(labels.max(initial=0)))


def _mean_pairwise_iou(numbered: Sequence[Labels], count: int) -> Floats:
    """Mean IoU over all pairs of label images whose nuclei have common numbers 1..count."""
    if len(numbered) < 2:
        return np.ones(count, np.float32)
    sizes = [np.bincount(labels.ravel(), minlength=count + 1)[1:] for labels in numbered]
    total = np.zeros(count)
    pairs = list(combinations(range(len(numbered)), 2))
    for first, second in pairs:
        both = numbered[first][numbered[first] == numbered[second]]
        shared = np.bincount(both, minlength=count + 1)[1:]
        total += shared / np.maximum(sizes[first] + sizes[second] - shared, 1)
    return np.asarray(total / len(pairs), np.float32)


def _majority(numbered: Sequence[Labels], count: int) -> Vote:
    """Give each pixel to the nucleus that the majority of its matched masks says."""
    matched = np.zeros(count + 1, np.int64)
    for labels in numbered:
        matched += np.bincount(labels.ravel(), minlength=count + 1) > 0
    result, most = np.zeros(numbered[0].shape, np.int32), np.zeros(numbered[0].shape, np.int8)
    for candidate in numbered:
        votes = np.sum([labels == candidate for labels in numbered], axis=0, dtype=np.int8)
        wins = (candidate > 0) & (2 * votes > matched[candidate]) & (votes > most)
        result[wins], most[wins] = candidate[wins], votes[wins]
    sizes = areas(result, count)
    kept = sizes > 0
    return Vote(gapless(kept)[result], sizes[kept], _mean_pairwise_iou(numbered, count)[kept])
