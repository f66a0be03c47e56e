"""Where the nuclei of a label image lie and how large they are: measured once, and handed on with the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nucdl_core.arrays import Labels, Mask
from nucdl_core.labels import areas, diameters_of
from nucdl_core.large import strips


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
