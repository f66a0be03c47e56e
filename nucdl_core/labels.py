"""Array functions on label images.

A label image is an int32 array (H, W): 0 is background, a nucleus is the set of pixels with one number. Functions
that return one value per nucleus return it for the numbers 1..N, where N is the highest number in the image; a
number that no pixel has is a *gap* (see `relabel`). No function modifies its input. What is counted, and `renumbered`,
goes through large images strip by strip (see `large`).
"""

from __future__ import annotations

from typing import Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Floats, Labels, Mask
from nucdl_core.errors import ImageError
from nucdl_core.large import strips, zeros

_HIGHEST = int(np.iinfo(np.int32).max)


def as_labels(array: AnyArray) -> Labels:
    """Return an array of integers as a label image, with its numbers unchanged.

    Parameters
    ----------
    array : integer or bool array (H, W)
        Non-negative numbers up to 2,147,483,647.

    Returns
    -------
    int32 array (H, W)
        A copy, or `array` itself where it is int32 already.

    Raises
    ------
    ImageError
        If the array is not two-dimensional, does not hold integers, or holds numbers that no label can have.
    """
    if array.ndim != 2:
        raise ImageError(f"a label image has 2 dimensions (H, W), this array has the shape {array.shape}")
    if array.dtype.kind not in "iub":
        raise ImageError(
            f"labels are whole numbers, this array holds {array.dtype}; save it as 16-bit or 32-bit integers"
        )
    if (least := lowest(array)) < 0:
        raise ImageError(f"labels start at 0, this array holds {least}; renumber the nuclei 1..N")
    if (most := highest(array)) > _HIGHEST:
        raise ImageError(f"labels go up to {_HIGHEST}, this array holds {most}; renumber the nuclei 1..N")
    return array.astype(np.int32, copy=False)


def highest(labels: AnyArray) -> int:
    """Return the highest number in an array (H, W) of integers, at least 0."""
    return max((int(strip.max(initial=0)) for (strip,) in strips(labels)), default=0)


def lowest(labels: AnyArray) -> int:
    """Return the lowest number in an array (H, W) of integers, at most 0."""
    if labels.dtype.kind != "i":
        return 0
    return min((int(strip.min(initial=0)) for (strip,) in strips(labels)), default=0)


def renumbered(labels: AnyArray, numbers: NDArray[np.int32]) -> Labels:
    """Give nuclei other numbers.

    Parameters
    ----------
    labels : integer array (H, W)
        0..N.
    numbers : int32 array (N + 1,)
        The new number of each old one.

    Returns
    -------
    int32 array (H, W)
        A new array.
    """
    result = zeros(labels.shape, np.int32)
    for before, after in strips(labels, result):
        after[:] = numbers[before]
    return result


def gapless(kept: Mask) -> NDArray[np.int32]:
    """Return the new number of background and of each of N nuclei, 0 for those that are not `kept` (N,)."""
    return np.concatenate([[0], kept * np.cumsum(kept)]).astype(np.int32)


def relabel(labels: AnyArray) -> Labels:
    """Renumber the nuclei 1..N without gaps, in the order of their old numbers.

    Parameters
    ----------
    labels : integer array (H, W)
        Non-negative numbers with or without gaps.

    Returns
    -------
    int32 array (H, W)
        A new array; background stays 0.

    Raises
    ------
    ImageError
        If a number is negative.
    """
    if (least := lowest(labels)) < 0:
        raise ImageError(f"labels start at 0, this array holds {least}")
    most = highest(labels)
    if most > 4 * labels.size + 65536:
        return _relabel_by_sorting(labels)
    present = np.zeros(most + 1, bool)
    for (strip,) in strips(labels):
        present[strip.ravel()] = True
    return renumbered(labels, gapless(present[1:]))


def _relabel_by_sorting(labels: AnyArray) -> Labels:
    """Renumber where a table up to the highest number would not fit into memory."""
    from skimage.segmentation import relabel_sequential

    return relabel_sequential(labels)[0].astype(np.int32, copy=False)


def areas(labels: Labels, count: Optional[int] = None) -> NDArray[np.int64]:
    """Count the pixels of each nucleus.

    Parameters
    ----------
    labels : int32 array (H, W)
    count : int, optional
        The highest number that can occur, where it is known.

    Returns
    -------
    int64 array (N,)
        Pixels of nucleus ``i + 1``; 0 for a gap.
    """
    counts = np.zeros((highest(labels) if count is None else count) + 1, np.int64)
    for (strip,) in strips(labels):
        counts += np.bincount(strip.ravel(), minlength=counts.size)
    return counts[1:]


def diameters_of(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the diameters of circles with these areas, in pixels."""
    diameters: NDArray[np.float64] = np.sqrt(sizes * (4.0 / np.pi))
    return diameters


def equivalent_diameters(labels: Labels) -> NDArray[np.float64]:
    """Give the diameter of the circle with each nucleus's area.

    Parameters
    ----------
    labels : int32 array (H, W)

    Returns
    -------
    float64 array (N,)
        Diameter of nucleus ``i + 1`` in pixels; 0 for a gap.
    """
    return diameters_of(areas(labels))


def centroids(labels: Labels, known_areas: Optional[NDArray[np.int64]] = None) -> NDArray[np.float64]:
    """Give the centre of mass of each nucleus.

    Parameters
    ----------
    labels : int32 array (H, W)
    known_areas : int64 array (N,), optional
        Where they have been counted already.

    Returns
    -------
    float64 array (N, 2)
        (row, col) in pixels, 0 at the centre of the first pixel; NaN for a gap.
    """
    count = areas(labels) if known_areas is None else known_areas
    sums = np.zeros((len(count) + 1, 2))
    first = 0
    for (strip,) in strips(labels):
        rows, cols = np.nonzero(strip)
        numbers = strip[rows, cols]
        for axis, positions in enumerate((rows + first, cols)):
            sums[:, axis] += np.bincount(numbers, positions, len(count) + 1)
        first += len(strip)
    centres = np.full((len(count), 2), np.nan)
    np.divide(sums[1:], count[:, None], out=centres, where=count[:, None] > 0)
    return centres


def touches_border(labels: Labels, mask: Optional[Mask] = None) -> Mask:
    """Tell which nuclei touch the border of the image or of its mask.

    Parameters
    ----------
    labels : int32 array (H, W)
    mask : bool array (H, W), optional
        True where the image is valid. A nucleus touches the mask's border where one of its pixels, or one of the
        four neighbours of such a pixel, is not valid.

    Returns
    -------
    bool array (N,)
        Flag of nucleus ``i + 1``; False for a gap.
    """
    touching = np.zeros(highest(labels) + 1, bool)
    for edge in (labels[:1], labels[-1:]):
        touching[edge] = True
    first = 0
    for (strip,) in strips(labels):
        for edge in (strip[:, :1], strip[:, -1:]):
            touching[edge] = True
        if mask is not None:
            touching[strip[_beside_invalid(mask, first, first + len(strip))]] = True
        first += len(strip)
    return touching[1:]


def _beside_invalid(mask: Mask, start: int, stop: int) -> Mask:
    """Mark in some rows of a mask the pixels that are not valid and their four neighbours; bool (stop - start, W)."""
    begin = max(0, start - 1)
    valid = ndimage.binary_erosion(mask[begin : stop + 1], border_value=1)
    return ~valid[start - begin : stop - begin]


def outlines(labels: Labels) -> Mask:
    """Mark the inner boundary of each nucleus.

    Parameters
    ----------
    labels : int32 array (H, W)

    Returns
    -------
    bool array (H, W)
        True for pixels of a nucleus of which one of the four neighbours is background or another nucleus. The
        border of the image is no boundary.
    """
    differs = np.zeros(labels.shape, bool)
    for before, after in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        step = labels[before] != labels[after]
        differs[before] |= step
        differs[after] |= step
    differs &= labels > 0
    return differs


def contact_share(labels: Labels) -> float:
    """Give the share of neighbouring pixels inside nuclei that belong to two different nuclei.

    It tells a label image from an intensity image that is taken for one: at most 0.04 for 682 label images of the 2018
    Data Science Bowl, at least 0.22 for 563 of its 8-bit images.

    Parameters
    ----------
    labels : int32 array (H, W)

    Returns
    -------
    float
        From 0 to 1, counted over all pairs of nuclear pixels that share a side; 0 where there are none.
    """
    inside = differing = 0
    for before, after in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        both = (before > 0) & (after > 0)
        inside += np.count_nonzero(both)
        differing += np.count_nonzero(both & (before != after))
    return differing / max(inside, 1)


def resize_nearest(labels: Labels, shape: Tuple[int, int]) -> Labels:
    """Resize a label image; each new pixel takes the number at its centre.

    Parameters
    ----------
    labels : int32 array (H, W)
        At least one pixel.
    shape : (int, int)
        New height and width in pixels, at least 1 each.

    Returns
    -------
    int32 array `shape`
        A new array. Nuclei smaller than a new pixel may vanish and leave a gap.
    """
    # Integer arithmetic: the centre of new pixel i is (2 i + 1) / 2 new pixels from the edge.
    rows, cols = (((2 * np.arange(new) + 1) * old) // (2 * new) for new, old in zip(shape, labels.shape))
    resized: Labels = labels[rows[:, None], cols]
    return resized


def largest_component(labels: Labels) -> Labels:
    """Keep of each nucleus only its largest connected piece.

    Parameters
    ----------
    labels : int32 array (H, W)

    Returns
    -------
    int32 array (H, W)
        A new array with the same numbers; the other pieces become background. Pixels that touch at a corner are
        connected; of pieces with the same area the one that comes first in reading order is kept.
    """
    pixels, piece, owner, _ = _pieces(labels)
    kept: Labels = np.zeros(labels.shape, np.int32)
    kept.ravel()[pixels] = owner[piece]
    return kept


def tidied(labels: Labels) -> Tuple[Labels, NDArray[np.int32], NDArray[np.int64]]:
    """Keep of each nucleus only its largest piece, and close the gaps between the numbers.

    Parameters
    ----------
    labels : int32 array (H, W)

    Returns
    -------
    labels : int32 array (H, W)
        1..N without gaps, in the order of the old numbers; see `largest_component`.
    numbers : int32 array (N,)
        The old number of each.
    areas : int64 array (N,)
        Its pixels.
    """
    pixels, piece, owner, sizes = _pieces(labels)
    stays = np.flatnonzero(owner)
    stays = stays[np.argsort(owner[stays])]
    number = np.zeros(owner.size, np.int32)
    number[stays] = 1 + np.arange(stays.size)
    tidy: Labels = np.zeros(labels.shape, np.int32)
    tidy.ravel()[pixels] = number[piece]
    return tidy, owner[stays], sizes[stays]


def _pieces(labels: Labels) -> Tuple[NDArray[np.intp], Labels, NDArray[np.int32], NDArray[np.int64]]:
    """Part nuclei into connected pieces.

    Returns
    -------
    pixels : intp array (P,)
        Positions of all nuclear pixels in the flattened image; the others, mostly more, are not looked at again.
    piece : integer array (P,)
        The piece of each, from 1.
    owner : int32 array (K + 1,)
        The nucleus of each piece, 0 for a piece that is not the largest of its nucleus.
    sizes : int64 array (K + 1,)
        Pixels of each piece.
    """
    # Late: it loads slowly, and most of what uses labels, such as each process of a screen, does without.
    from skimage.measure import label

    pieces, count = label(labels, background=0, connectivity=2, return_num=True)
    pixels = np.flatnonzero(pieces)
    piece = pieces.ravel()[pixels]
    sizes = np.bincount(piece, minlength=count + 1)
    owner = np.zeros(count + 1, np.int32)
    owner[piece] = labels.ravel()[pixels]
    order = 1 + np.lexsort((-sizes[1:], owner[1:]))
    _, first = np.unique(owner[order], return_index=True)
    largest = np.zeros(count + 1, np.int32)
    largest[order[first]] = owner[order[first]]
    return pixels, piece, largest, sizes


def mean_inside(values: Floats, labels: Labels, sizes: Optional[NDArray[np.int64]] = None) -> Floats:
    """Average a map over each nucleus.

    Parameters
    ----------
    values : float32 array (H, W)
    labels : int32 array (H, W)
    sizes : int64 array (N,), optional
        `areas` of the nuclei, where they are known.

    Returns
    -------
    float32 array (N,)
        0 for a gap.
    """
    sizes = areas(labels) if sizes is None else sizes
    sums = np.zeros(sizes.size + 1)
    for strip, weights in strips(labels, values):
        # Most pixels are background, which takes no part.
        pixels = np.flatnonzero(strip)
        sums += np.bincount(strip.ravel()[pixels], weights.ravel()[pixels], sums.size)
    return np.asarray(sums[1:] / np.maximum(sizes, 1), np.float32)


def drop(labels: Labels, dropped: Mask) -> Labels:
    """Remove the nuclei where `dropped` (N,) is true and renumber the others 1..M in their old order."""
    return np.asarray(gapless(~dropped)[labels], np.int32)


def offset_outlines(labels: Labels, offset: float) -> Labels:
    """Move the outlines between nuclei and background; those between two nuclei stay.

    Parameters
    ----------
    labels : int32 array (H, W)
    offset : float
        In pixels: positive makes nuclei wider, negative tighter. Outlines run along pixel edges, so that the
        offset is rounded to what pixels can show: 0.5 adds those with a side on the outline, 1 those with a
        corner on it as well.

    Returns
    -------
    int32 array (H, W)
        A new array with the same numbers, or `labels` itself for an offset of 0; nuclei thinner than a negative
        offset vanish and leave a gap.
    """
    if offset == 0:
        return labels
    if offset > 0:
        from skimage.segmentation import expand_labels

        widened: Labels = expand_labels(labels, offset + 0.5)
        return widened
    inside = np.pad(labels > 0, 1, mode="edge")
    if inside.all():
        return labels
    depth = ndimage.distance_transform_edt(inside)[1:-1, 1:-1]
    return np.where(depth > 0.5 - offset, labels, np.int32(0)).astype(np.int32, copy=False)
