"""Where simulated nuclei lie: density, colonies, clusters that touch and overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from nucdl_core.arrays import Doubles
from nucdl_core.simulate.shapes import ellipse_reach

CANDIDATES = 6
"""Positions drawn for each nucleus, of which the local density chooses one."""
NEAREST_PARENTS = 4
"""A nucleus of a cluster touches one of so many nuclei made before it."""
RELAXATIONS = 16
"""Steps that push nuclei apart which overlap more than they may."""


@dataclass(frozen=True)
class Crowd:
    """How nuclei share the field.

    Attributes
    ----------
    size : (int, int)
        Height and width of the area in pixels.
    margin : float
        By how many pixels centres may lie outside, so that the border cuts nuclei.
    patchiness : float
        0 is even, 1 leaves large parts of the field empty.
    cluster_probability : float
        Probability that a nucleus touches another one.
    overlap : float
        Largest share of their distance by which neighbours come nearer than touching.
    """

    size: Tuple[int, int]
    margin: float
    patchiness: float
    cluster_probability: float
    overlap: float


def place(
    crowd: Crowd, axes: Tuple[Doubles, Doubles], angle: Doubles, rng: np.random.Generator
) -> Tuple[Doubles, Doubles]:
    """Find places for ellipses.

    Parameters
    ----------
    crowd : Crowd
        How they share the field.
    axes : two float64 arrays (N,)
        Long and short semi-axes in pixels.
    angle : float64 array (N,)
        Directions of the long axes in radians.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    two float64 arrays (N,)
        Rows and columns of the centres.
    """
    count = len(angle)
    if count == 0:
        return np.zeros(0), np.zeros(0)
    position = _spread(crowd, count, rng)
    attached, parent, direction, slack = _links(crowd, count, rng)
    length, width = axes
    near = ellipse_reach(length, width, angle, direction)
    near = near + ellipse_reach(length[parent], width[parent], angle[parent], direction)
    step = near * (1 - crowd.overlap * slack)
    offset = np.stack([step * np.sin(direction), step * np.cos(direction)], axis=1)
    position = _follow(np.where(attached[:, None], offset, position), np.where(attached, parent, count))
    position = _reflect(position, crowd)
    position = _relax(crowd, (position, length, width, angle), attached, slack * crowd.overlap)
    return position[:, 0], position[:, 1]


def _spread(crowd: Crowd, count: int, rng: np.random.Generator) -> Doubles:
    """Draw `(count, 2)` positions, denser in some parts of the field than in others."""
    extent = np.array(crowd.size, np.float64) - 1 + 2 * crowd.margin
    candidates = rng.random((count, CANDIDATES, 2))
    waves = rng.uniform(-2.5, 2.5, (4, 2))
    phases = rng.uniform(0, 2 * np.pi, 4)
    density = np.cos(
        2 * np.pi * (candidates[..., 0, None] * waves[:, 0] + candidates[..., 1, None] * waves[:, 1]) + phases
    )
    score = 4 * crowd.patchiness * density.sum(axis=-1) + rng.gumbel(size=(count, CANDIDATES))
    chosen = candidates[np.arange(count), score.argmax(axis=1)]
    return np.asarray(chosen * extent - crowd.margin)


def _links(
    crowd: Crowd, count: int, rng: np.random.Generator
) -> Tuple[NDArray[np.bool_], NDArray[np.int64], Doubles, Doubles]:
    """Draw which nuclei touch an earlier one, which one, in which direction, and their share of the overlap."""
    attached = rng.random(count) < crowd.cluster_probability
    attached[0] = False
    number = np.arange(count)
    back = np.floor(rng.random(count) * np.minimum(number, NEAREST_PARENTS)).astype(np.int64)
    parent = np.maximum(number - 1 - back, 0)
    return attached, parent, rng.uniform(-np.pi, np.pi, count), rng.random(count)


def _follow(offset: Doubles, parent: NDArray[np.int64]) -> Doubles:
    """Add up offsets along the parents; the parent `len(offset)` ends a chain. Pointer doubling: log2(N) steps."""
    total = np.concatenate([offset, np.zeros((1, 2))])
    above = np.append(parent, len(offset))
    for _ in range(len(offset).bit_length()):
        total = total + total[above]
        above = above[above]
    return np.asarray(total[:-1])


def _reflect(position: Doubles, crowd: Crowd) -> Doubles:
    """Mirror positions that left the area back into it."""
    extent = np.array(crowd.size, np.float64) - 1 + 2 * crowd.margin
    period = np.maximum(2 * extent, 1e-9)
    folded = np.abs((position + crowd.margin + extent) % period - extent)
    return np.asarray(np.minimum(folded, extent) - crowd.margin)


def _relax(
    crowd: Crowd, placed: Tuple[Doubles, Doubles, Doubles, Doubles], attached: NDArray[np.bool_], slack: Doubles
) -> Doubles:
    """Push apart nuclei that overlap more than they may; those outside clusters also keep a gap.

    `placed` holds positions `(N, 2)`, long and short semi-axes and angles.
    """
    position, length, width, angle = placed
    # twice the margin, for otherwise nuclei would pile up along the border of the image
    low, high = -2 * crowd.margin, np.array(crowd.size, np.float64) - 1 + 2 * crowd.margin
    reach = 2.3 * float(length.max()) + 2
    for _ in range(RELAXATIONS):
        first, second = cKDTree(position).query_pairs(reach, output_type="ndarray").T
        between = position[second] - position[first]
        distance = np.hypot(between[:, 0], between[:, 1])
        direction = np.arctan2(between[:, 0], between[:, 1])
        near = ellipse_reach(length[first], width[first], angle[first], direction)
        near += ellipse_reach(length[second], width[second], angle[second], direction)
        together = attached[first] | attached[second]
        wanted = near * np.where(together, 1 - 0.5 * (slack[first] + slack[second]), 1.1) + np.where(together, 0, 1.5)
        push = 0.5 * np.maximum(wanted - distance, 0)
        if not (push > 0.05).any():
            break
        move = np.stack([push * np.sin(direction), push * np.cos(direction)], axis=1)
        moved = np.zeros_like(position)
        for axis in range(2):
            moved[:, axis] += np.bincount(second, move[:, axis], len(position))
            moved[:, axis] -= np.bincount(first, move[:, axis], len(position))
        # crowded nuclei are pushed from many sides at once: a bounded step keeps the layout from exploding
        position = np.clip(position + np.clip(moved, -width[:, None], width[:, None]), low, high)
    return position
