"""Where the nuclei of a label image lie and how large they are: measured once, and handed on with the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Labels, Mask
from nucdl_core.labels import areas, diameters_of
from nucdl_core.large import strips

MICRONUCLEUS = 0.35
"""Share of the typical diameter below which an object is a micronucleus, or debris."""


@dataclass(frozen=True)
class Regions:
    """Where the nuclei of a label image lie and how large they are; entry ``i`` is about nucleus ``i + 1``.

    Attributes
    ----------
    areas : int64 array (N,)
        Pixels; 0 for a gap.
    boxes : int64 array (N, 4)
        First row, first column, row after the last, column after the last; all 0 for a gap.
    """

    areas: NDArray[np.int64]
    boxes: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Highest number of a nucleus."""
        return len(self.areas)

    @property
    def diameters(self) -> NDArray[np.float64]:
        """Diameter in pixels of the circle with each nucleus's area, float64 array (N,)."""
        return diameters_of(self.areas)

    def keep(self, kept: Mask) -> Regions:
        """Return the regions where `kept` (N,) is true."""
        return Regions(self.areas[kept], self.boxes[kept])


def regions_of(labels: Labels, known_areas: Optional[NDArray[np.int64]] = None) -> Regions:
    """Measure area and bounding box of each nucleus.

    Parameters
    ----------
    labels : int32 array (H, W)
    known_areas : int64 array (N,), optional
        Where they have been counted already.

    Returns
    -------
    Regions
    """
    counted = areas(labels) if known_areas is None else known_areas
    boxes = np.zeros((len(counted), 4), np.int64)
    first = 0
    for (strip,) in strips(labels):
        found = ndimage.find_objects(strip, len(counted))
        seen = [number for number, part in enumerate(found) if part is not None]
        parts = (found[number] for number in seen)
        here = np.array([(row.start, col.start, row.stop, col.stop) for row, col in parts], np.int64).reshape(-1, 4)
        here[:, [0, 2]] += first
        known = boxes[seen]
        new = known[:, 2] == 0
        known[:, :2] = np.where(new[:, None], here[:, :2], np.minimum(known[:, :2], here[:, :2]))
        known[:, 2:] = np.maximum(known[:, 2:], here[:, 2:])
        boxes[seen] = known
        first += len(strip)
    return Regions(counted, boxes)


def touches_edge(regions: Regions, shape: Tuple[int, ...]) -> Mask:
    """Tell which nuclei touch the border of an image of this shape, by their boxes; see `touches_border`."""
    top, left, bottom, right = regions.boxes.T
    touching: Mask = (top == 0) | (left == 0) | (bottom == shape[0]) | (right == shape[1])
    return touching & (regions.areas > 0)


def weighted_median(values: AnyArray, weights: AnyArray) -> float:
    """Return the value at which half of the total weight is reached; `values` and `weights` are (N,), N > 0."""
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(cumulated, cumulated[-1] / 2)])


def without_micronuclei(diameters: AnyArray, votes: AnyArray) -> Mask:
    """Tell which nuclei count where a typical diameter is looked for: micronuclei would pull it down.

    Nuclei are told from micronuclei by a median in which each counts as the square root of its diameter: two
    micronuclei of 7 px are less than a nucleus of 35 px, and a clump of 100 px is less than three nuclei of 16 px.

    Parameters
    ----------
    diameters : array (N,)
        In pixels.
    votes : array (N,)
        How many nuclei each stands for.

    Returns
    -------
    bool array (N,)
        Without those below `MICRONUCLEUS` of that median.
    """
    if not len(diameters):
        return np.zeros(0, bool)
    counted: Mask = diameters >= MICRONUCLEUS * weighted_median(diameters, votes * np.sqrt(diameters))
    return counted


def median_of_nuclei(diameters: NDArray[np.float64]) -> float:
    """Return the median of the diameters (N,) of nuclei without those of micronuclei; NaN where there is none."""
    counted = diameters[without_micronuclei(diameters, np.ones(len(diameters)))]
    return float(np.median(counted)) if counted.size else float("nan")
