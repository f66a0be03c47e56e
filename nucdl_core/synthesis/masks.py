"""New label images with the sizes, shapes, density and spacing of nuclei that a fitted simulator has."""

from __future__ import annotations

import numpy as np

from nucdl_core.arrays import Labels
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field, tidy
from nucdl_core.simulate.population import draw_bodies
from nucdl_core.synthesis.nucleus_shapes import SHAPE_DIAMETER, NucleusShapes, drawn


def simulated_masks(config: FieldConfig, rng: np.random.Generator) -> Labels:
    """Draw nuclei with the shapes of the simulator, int32 array (H, W), 1..N without gaps."""
    return simulate_field(config, rng).labels


def masks_of_shapes(config: FieldConfig, shapes: NucleusShapes, rng: np.random.Generator) -> Labels:
    """Draw nuclei with the shapes of real ones, where and as large as the simulator would have them.

    Parameters
    ----------
    config : FieldConfig
    shapes : NucleusShapes
    rng : numpy.random.Generator

    Returns
    -------
    int32 array (H, W)
        1..N without gaps, each in one piece.
    """
    labels = np.zeros(config.size, np.int32)
    bodies = draw_bodies(config, rng)
    for body in range(len(bodies)):
        length, width = bodies.length[body], bodies.width[body]
        shape = shapes.choose(length / width, rng)
        shape = shape[:, ::-1] if rng.random() < 0.5 else shape
        scale = SHAPE_DIAMETER / (2 * np.sqrt(length * width))
        side = int(np.ceil(len(shape) / scale))
        inside = drawn(shape, scale, -bodies.angle[body], side)
        top, left = (round(at) - side // 2 for at in (bodies.row[body], bodies.col[body]))
        place = labels[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
        part = inside[max(-top, 0) :, max(-left, 0) :][: place.shape[0], : place.shape[1]]
        place[part] = body + 1
    return tidy(labels)
