"""The nuclei of a simulated field: kinds, sizes, places, brightness."""

from __future__ import annotations

import dataclasses
from typing import Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Doubles
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.layout import Crowd, place
from nucdl_core.simulate.shapes import NOTCHES, ORDERS, Bodies, half_windows, join

SMALLEST_MICRONUCLEUS = 3.5
"""Pixels; smaller micronuclei would be specks that nobody can outline."""
ELLIPSE, KIDNEY, LOBED, MITOTIC = range(4)
METAPHASE, ANAPHASE, TELOPHASE = range(3)
"""Stages of mitosis, drawn as one plate, two plates side by side, and two daughters."""


def draw_bodies(config: FieldConfig, rng: np.random.Generator) -> Bodies:
    """Draw all nuclei of a field, the largest first: where they overlap, the smaller one is drawn above.

    Parameters
    ----------
    config : FieldConfig
        Settings.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    Bodies
        None for an empty field. Some may lie wholly outside the image.
    """
    count = _count(config, rng)
    diameter = config.diameter * np.exp(config.diameter_spread * _bounded_normal(rng, count))
    kind = _kinds(config, rng, count)
    ratio = _ratios(config, kind, rng)
    angle = rng.uniform(-np.pi, np.pi, count)
    axes = 0.5 * diameter * np.sqrt(ratio), 0.5 * diameter / np.sqrt(ratio)
    margin = 0.0 if config.count is not None else 0.4 * config.diameter
    crowd = Crowd(config.size, margin, config.patchiness, config.cluster_probability, config.overlap)
    row, col = place(crowd, axes, angle, rng)
    bodies = dress(config, kind, (row, col, *axes, angle), rng)
    added = _micronuclei(config, bodies, rng)
    bodies = _divide(bodies, kind, rng)
    bodies = join(bodies, added)
    return bodies.take(np.argsort(-half_windows(bodies), kind="stable"))


def _bounded_normal(rng: np.random.Generator, count: int) -> Doubles:
    """Draw standard normal numbers, limited to -2.5 to 2.5."""
    return np.clip(rng.standard_normal(count), -2.5, 2.5)


def _count(config: FieldConfig, rng: np.random.Generator) -> int:
    if config.count is not None:
        return config.count
    margin = 0.8 * config.diameter
    area = (config.size[0] + margin) * (config.size[1] + margin)
    mean_nucleus = np.pi / 4 * config.diameter**2 * np.exp(2 * config.diameter_spread**2)
    return int(rng.poisson(config.coverage * area / mean_nucleus))


def _kinds(config: FieldConfig, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    limits = np.cumsum([config.kidney_share, config.lobed_share, config.mitotic_share])
    position = np.searchsorted(limits, rng.random(count), side="right")
    return np.asarray(np.array([KIDNEY, LOBED, MITOTIC, ELLIPSE])[position], np.int64)


def _ratios(config: FieldConfig, kind: NDArray[np.int64], rng: np.random.Generator) -> Doubles:
    """Draw ratios of long to short axis; lobed and bent nuclei are longer."""
    spread = np.exp(0.6 * _bounded_normal(rng, len(kind)))
    ratio = 1 + (config.elongation - 1) * spread
    ratio = np.where((kind == KIDNEY) | (kind == LOBED), np.maximum(ratio, 1.15) * 1.15, ratio)
    return np.asarray(np.minimum(ratio, 4.0))


def dress(
    config: FieldConfig,
    kind: NDArray[np.int64],
    ellipse: Tuple[Doubles, Doubles, Doubles, Doubles, Doubles],
    rng: np.random.Generator,
) -> Bodies:
    """Give ellipses their deformations, light and texture.

    Parameters
    ----------
    config : FieldConfig
    kind : int64 array (N,)
        `ELLIPSE`, `KIDNEY`, `LOBED` or `MITOTIC`.
    ellipse : five float64 arrays (N,)
        Row and column of the centre, long and short semi-axis, angle.
    rng : numpy.random.Generator

    Returns
    -------
    Bodies
    """
    count = len(kind)
    amplitude = config.deformation * 3 / np.tile(ORDERS, 2) ** 1.8
    depth, where, width = _notches(kind, rng)
    lively = np.exp(0.3 * _bounded_normal(rng, count))
    side = rng.choice(np.array([-1.0, 1.0]), count)
    return Bodies(
        *ellipse,
        bend=np.where(kind == KIDNEY, rng.uniform(0.1, 0.45, count) * side, 0.0),
        deformation=np.clip(rng.standard_normal((count, 2 * len(ORDERS))), -2.5, 2.5) * amplitude,
        notch_depth=depth,
        notch_angle=np.where((kind == KIDNEY)[:, None], side[:, None] * where, where),
        notch_width=width,
        brightness=np.maximum(np.exp(config.brightness_spread * _bounded_normal(rng, count)), 0.2),
        softness=0.35 + config.defocus_spread * np.abs(_bounded_normal(rng, count)),
        dome=config.dome + 0.1 * _bounded_normal(rng, count),
        texture=config.texture * lively,
        spots=rng.uniform(0.4, 1.2, count),
    )


def _notches(kind: NDArray[np.int64], rng: np.random.Generator) -> Tuple[Doubles, Doubles, Doubles]:
    """Draw depths, angles and widths of notches: one on the hollow side of a kidney, two across a lobed nucleus."""
    shape = (len(kind), NOTCHES)
    depth = np.zeros(shape)
    strength, wobble = rng.random(shape), rng.uniform(-0.35, 0.35, shape)
    kidney, lobed = kind == KIDNEY, kind == LOBED
    depth[kidney, 0] = 0.1 + 0.3 * strength[kidney, 0]
    depth[lobed] = 0.15 + 0.3 * strength[lobed]
    angle = np.array([0.5, -0.5]) * np.pi + wobble
    return depth, angle, rng.uniform(0.25, 0.55, shape)


def _divide(bodies: Bodies, kind: NDArray[np.int64], rng: np.random.Generator) -> Bodies:
    """Turn nuclei in mitosis into a plate, two plates side by side, or two daughters."""
    resting, dividing = bodies.take(kind != MITOTIC), bodies.take(kind == MITOTIC)
    count = len(dividing)
    stage = rng.integers(0, 3, count)
    half = 0.5 * np.sqrt(dividing.length * dividing.width) * 2
    length = half * np.choose(
        stage, [rng.uniform(0.8, 1.1, count), rng.uniform(0.65, 0.9, count), np.full(count, 0.62)]
    )
    width = length / np.choose(
        stage, [rng.uniform(2, 3.5, count), rng.uniform(2, 3, count), rng.uniform(1.1, 1.6, count)]
    )
    apart = np.choose(
        stage, [np.zeros(count), rng.uniform(1.2, 3, count) * width, rng.uniform(1.05, 1.6, count) * width]
    )
    condensed = np.choose(
        stage, [rng.uniform(1.6, 3, count), rng.uniform(1.6, 2.8, count), rng.uniform(1.1, 1.8, count)]
    )
    plate = dataclasses.replace(
        dividing,
        length=length,
        width=width,
        brightness=dividing.brightness * condensed,
        bend=np.where(stage == ANAPHASE, rng.uniform(0, 0.3, count), 0.0),
        deformation=dividing.deformation * 1.5,
        spots=dividing.spots * 0.2,
    )
    down, right = np.cos(plate.angle) * apart, -np.sin(plate.angle) * apart
    first = dataclasses.replace(plate, row=plate.row + down, col=plate.col + right)
    second = dataclasses.replace(plate, row=plate.row - down, col=plate.col - right, bend=-plate.bend)
    second = dataclasses.replace(second, length=second.length * rng.uniform(0.85, 1.1, count))
    return join(join(resting, first), second.take(stage != METAPHASE))


def _micronuclei(config: FieldConfig, bodies: Bodies, rng: np.random.Generator) -> Bodies:
    """Return the micronuclei, each beside one of `bodies`; too small ones are left out."""
    number = (rng.random(len(bodies)) < config.micronucleus_share) * rng.integers(1, 3, len(bodies))
    parents = bodies.take(np.repeat(np.arange(len(bodies)), number))
    count = len(parents)
    radius = np.sqrt(parents.length * parents.width) * rng.uniform(0.12, 0.32, count)
    direction = rng.uniform(-np.pi, np.pi, count)
    away = np.hypot(
        parents.length * np.cos(direction - parents.angle), parents.width * np.sin(direction - parents.angle)
    )
    away = away + radius * rng.uniform(0.9, 2.2, count)
    small = dataclasses.replace(
        parents,
        row=parents.row + away * np.sin(direction),
        col=parents.col + away * np.cos(direction),
        length=radius * rng.uniform(1, 1.2, count),
        width=radius,
        angle=direction,
        bend=np.zeros(count),
        notch_depth=np.zeros((count, NOTCHES)),
        brightness=parents.brightness * rng.uniform(0.6, 1.2, count),
        spots=np.zeros(count),
    )
    return small.take(2 * radius >= SMALLEST_MICRONUCLEUS)
