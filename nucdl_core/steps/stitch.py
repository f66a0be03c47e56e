"""Putting the nuclei of overlapping tiles together: none is cut, doubled or lost at a seam."""

from __future__ import annotations

from typing import List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Floats, Labels
from nucdl_core.large import let_go, zeros
from nucdl_core.results import Segmentation
from nucdl_core.steps.tiling import Tile

# A nucleus of which more than this share is there already was found by an earlier tile.
ALREADY_THERE = 0.5


class Mosaic:
    """A label image that grows tile by tile.

    Every tile adds whole all nuclei that reach into its core. Its halo shows it the whole of them, and a nucleus
    that a neighbouring tile has added is known by the pixels that it covers.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image in pixels.
    """

    def __init__(self, shape: Tuple[int, int]) -> None:
        self.labels: Labels = zeros(shape, np.int32)
        self.count = 0

    def add(self, tile: Tile, labels: Labels, sizes: NDArray[np.int64]) -> NDArray[np.intp]:
        """Add what was found in a tile.

        Parameters
        ----------
        tile : Tile
        labels : int32 array, the shape of the outer window
            1..N without gaps.
        sizes : int64 array (N,)
            Their `areas`.

        Returns
        -------
        intp array (M,)
            Which of the N nuclei were added, from 0; they have the next M numbers of the mosaic, in this order.
        """
        present = self.labels[tile.outer]
        in_core = np.zeros(sizes.size + 1, bool)
        in_core[labels[tile.inner].ravel()] = True
        covered = np.bincount(labels[present > 0], minlength=sizes.size + 1)[1:]
        added = np.flatnonzero(in_core[1:] & (covered <= ALREADY_THERE * sizes))
        number = np.zeros(sizes.size + 1, np.int32)
        number[added + 1] = self.count + 1 + np.arange(added.size)
        painted = number[labels]
        np.copyto(present, painted, where=(painted > 0) & (present == 0))
        self.count += added.size
        let_go(self.labels)
        return added


class StitchedSegmentation:
    """The segmentation of an image that grows tile by tile.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the image in pixels.
    diameter : float
        Of a typical nucleus in pixels.
    """

    def __init__(self, shape: Tuple[int, int], diameter: float) -> None:
        self._mosaic, self._diameter = Mosaic(shape), diameter
        self._probability: Optional[Floats] = None
        self._scores: List[Floats] = []
        self._agreement: List[Floats] = []

    def add(self, tile: Tile, part: Segmentation) -> None:
        """Add what was found in the outer window of a tile; all tiles have a probability and agreements, or none."""
        added = self._mosaic.add(tile, part.labels, part.regions.areas)
        self._scores.append(part.scores[added])
        if part.agreement is not None:
            self._agreement.append(part.agreement[added])
        if part.probability is not None:
            if self._probability is None:
                self._probability = zeros(self._mosaic.labels.shape, np.float32)
            self._probability[tile.core] = part.probability[tile.inner]
            let_go(self._probability)

    def result(self) -> Segmentation:
        """Return the whole; at least one tile must have been added."""
        agreement = np.concatenate(self._agreement) if self._agreement else None
        scores = np.concatenate(self._scores)
        return Segmentation(self._mosaic.labels, scores, self._probability, float(self._diameter), agreement)
