"""A simulated image of nuclei whose outlines are given."""

from __future__ import annotations

import dataclasses
from typing import Iterator, Tuple

import numpy as np
from scipy import ndimage
from scipy.special import ndtr

from nucdl_core.arrays import Labels
from nucdl_core.ellipses import ellipses_of
from nucdl_core.labels import relabel
from nucdl_core.regions import regions_of
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import SimulatedField, picture_of
from nucdl_core.simulate.optics import patterns
from nucdl_core.simulate.population import ELLIPSE, dress
from nucdl_core.simulate.shapes import Bodies, BodyWindow, light_of


def simulate_labels(labels: Labels, config: FieldConfig, rng: np.random.Generator) -> SimulatedField:
    """Simulate an image whose nuclei have the outlines of a label image.

    Parameters
    ----------
    labels : int32 array (H, W)
        Its size counts, not that of `config`.
    config : FieldConfig
        How light, optics and camera are; what it says about sizes, shapes and places of nuclei has no effect.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    SimulatedField
        Its labels are the given ones, numbered 1..N without gaps.
    """
    numbered = relabel(labels)
    config = dataclasses.replace(config, size=(labels.shape[0], labels.shape[1]))
    ellipses = ellipses_of(numbered)
    places = ellipses.row, ellipses.col, ellipses.length, ellipses.width, ellipses.angle
    bodies = dress(config, np.full(len(ellipses), ELLIPSE), places, rng)
    field = picture_of(bodies, _windows(numbered, bodies, config, rng), config, rng)
    return dataclasses.replace(field, labels=numbered)


def _windows(labels: Labels, bodies: Bodies, config: FieldConfig, rng: np.random.Generator) -> Iterator[BodyWindow]:
    """Render each nucleus in a square window that holds it with its soft edge."""
    boxes = regions_of(labels).boxes
    margins = np.ceil(3 * bodies.softness).astype(np.int64) + 1
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) + 2 * margins
    texture = patterns(config, int(sides.max(initial=1)), rng)
    for body in range(len(bodies)):
        top, left = boxes[body, :2] - margins[body]
        inside = _cut(labels, (int(top), int(left)), int(sides[body])) == body + 1
        depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
        # Outlines run along pixel edges, half a pixel from the pixels on both sides.
        signed = np.where(inside, 0.5 - depth, ndimage.distance_transform_edt(~inside) - 0.5)
        fraction = np.where(inside, 1 - depth / depth.max(), 1.0)
        light = light_of(bodies.take(np.array([body])), fraction[None], texture, rng)[0]
        yield BodyWindow(int(top), int(left), ndtr(-signed / bodies.softness[body]), light, inside)


def _cut(labels: Labels, corner: Tuple[int, int], side: int) -> Labels:
    """Cut a square, 0 beyond the border of the image."""
    part = np.zeros((side, side), np.int32)
    top, left = corner
    first = max(-top, 0), max(-left, 0)
    here = labels[max(top, 0) : top + side, max(left, 0) : left + side]
    part[first[0] : first[0] + here.shape[0], first[1] : first[1] + here.shape[1]] = here
    return part
