"""The ellipse that each nucleus of a label image comes nearest to: its place, its axes and its direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nucdl_core.arrays import Doubles, Labels
from nucdl_core.labels import areas, centroids

# Of a pixel along each of its sides, so that a nucleus of one pixel has axes.
_VARIANCE_OF_PIXEL = 1 / 12


@dataclass(frozen=True)
class Ellipses:
    """Ellipses with the same second moments as the nuclei; entry ``i`` is about nucleus ``i + 1``, `(N,)` each.

    Attributes
    ----------
    row, col : float64
        Centres in pixels, 0 at the centre of the first pixel.
    length, width : float64
        Long and short semi-axes in pixels, scaled so that the area is that of the nucleus.
    angle : float64
        Direction of the long axis in radians, from the column axis towards the row axis.
    """

    row: Doubles
    col: Doubles
    length: Doubles
    width: Doubles
    angle: Doubles

    def __len__(self) -> int:
        return len(self.row)

    @property
    def elongation(self) -> Doubles:
        """Ratio of long to short axis."""
        return np.asarray(self.length / self.width)


def ellipses_of(labels: Labels) -> Ellipses:
    """Measure the ellipses of all nuclei.

    Parameters
    ----------
    labels : int32 array (H, W)
        1..N without gaps.

    Returns
    -------
    Ellipses
    """
    sizes = areas(labels)
    centres = centroids(labels, sizes)
    rows, cols = np.nonzero(labels)
    index = labels[rows, cols] - 1
    down, right = rows - centres[index, 0], cols - centres[index, 1]
    count = np.maximum(sizes, 1)
    spread = {
        name: np.bincount(index, values, len(sizes)) / count
        for name, values in (("down", down**2), ("right", right**2), ("both", down * right))
    }
    tall, wide, slant = spread["down"] + _VARIANCE_OF_PIXEL, spread["right"] + _VARIANCE_OF_PIXEL, spread["both"]
    mean, apart = (tall + wide) / 2, np.hypot((wide - tall) / 2, slant)
    ratio = np.sqrt((mean + apart) / np.maximum(mean - apart, _VARIANCE_OF_PIXEL / 2))
    radius = np.sqrt(sizes / np.pi)
    angle = 0.5 * np.arctan2(2 * slant, wide - tall)
    return Ellipses(centres[:, 0], centres[:, 1], radius * np.sqrt(ratio), radius / np.sqrt(ratio), angle)
