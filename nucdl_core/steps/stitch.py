"""Putting the nuclei of overlapping tiles together: none is cut, doubled or lost at a seam."""

from __future__ import annotations

from typing import Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Labels
from nucdl_core.labels import areas
from nucdl_core.large import let_go, zeros
from nucdl_core.steps.tiling import Tile

# A nucleus of which more than this share is there already was found by an earlier tile.
SAME_NUCLEUS = 0.5


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

    def add(self, tile: Tile, labels: Labels) -> NDArray[np.intp]:
        """Add what was found in a tile.

        Parameters
        ----------
        tile : Tile
        labels : int32 array, the shape of the outer window
            1..N without gaps.

        Returns
        -------
        intp array (M,)
            Which of the N nuclei were added, from 0; they have the next M numbers of the mosaic, in this order.
        """
        present = self.labels[tile.outer]
        sizes = areas(labels)
        in_core = np.zeros(sizes.size + 1, bool)
        in_core[labels[tile.inner].ravel()] = True
        covered = np.bincount(labels[present > 0], minlength=sizes.size + 1)[1:]
        added = np.flatnonzero(in_core[1:] & (covered <= SAME_NUCLEUS * sizes))
        number = np.zeros(sizes.size + 1, np.int32)
        number[added + 1] = self.count + 1 + np.arange(added.size)
        painted = number[labels]
        np.copyto(present, painted, where=(painted > 0) & (present == 0))
        self.count += added.size
        let_go(self.labels)
        return added
