"""Which nuclei of two label images of one field share pixels, and how many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Labels
from nucdl_core.errors import ImageError
from nucdl_core.labels import areas


@dataclass(frozen=True)
class Overlap:
    """The pairs of a nucleus of the first and one of the second label image that share pixels.

    Attributes
    ----------
    first, second : int64 arrays (P,)
        Numbers (from 1) of the two nuclei of each pair, sorted by the first and then the second one.
    intersection : int64 array (P,)
        Shared pixels of each pair, at least 1.
    first_areas : int64 array (N,)
        Pixels of nucleus ``i + 1`` of the first image; 0 where no pixel has that number, so that it is no nucleus.
    second_areas : int64 array (M,)
        The same for the second image.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    intersection: NDArray[np.int64]
    first_areas: NDArray[np.int64]
    second_areas: NDArray[np.int64]

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair, float64 array (P,) in (0, 1]."""
        union = self.first_areas[self.first - 1] + self.second_areas[self.second - 1] - self.intersection
        ratio: NDArray[np.float64] = self.intersection / union
        return ratio

    @property
    def first_count(self) -> int:
        """Number of nuclei of the first image."""
        return int(np.count_nonzero(self.first_areas))

    @property
    def second_count(self) -> int:
        """Number of nuclei of the second image."""
        return int(np.count_nonzero(self.second_areas))


def overlap(first: Labels, second: Labels) -> Overlap:
    """Find the pairs of nuclei that share pixels.

    Parameters
    ----------
    first, second : int32 arrays (H, W)
        Label images of the same shape. Memory grows with the highest number: `relabel` images with large gaps.

    Returns
    -------
    Overlap
        Numbers, shared pixels and areas.

    Raises
    ------
    ImageError
        If the shapes differ.
    """
    if first.shape != second.shape:
        raise ImageError(
            f"the label images {first.shape} and {second.shape} differ in shape (H, W); "
            "compare label images of the same field at the same scale"
        )
    both = (first > 0) & (second > 0)
    first_areas, second_areas = areas(first), areas(second)
    base = len(second_areas) + 1
    keys = first[both].astype(np.int64) * base + second[both]
    # Neighbours along a row are mostly of one pair, so sorting runs instead of pixels is ten times faster.
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    pairs, position = np.unique(keys[starts], return_inverse=True)
    shared = np.bincount(position.ravel(), np.diff(starts, append=len(keys)), len(pairs))
    return Overlap(pairs // base, pairs % base, shared.astype(np.int64), first_areas, second_areas)
