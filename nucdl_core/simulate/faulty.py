"""Simulated fields with one fault that one way to treat them undoes: for tests of what chooses among such ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np

from nucdl_core.arrays import AnyArray, Floats, Labels
from nucdl_core.config import require
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

FAULTS = ("noisy", "uneven", "inverted", "binned")
"""Pixels that are dead or too bright; light that falls off across the field; dark, crowded nuclei on bright ground;
a third of the size that the microscope usually gives."""
BAD_PIXELS, SLOPE, BINNED, PEAK = 0.15, 20.0, 3, 40000.0


@dataclass(frozen=True)
class FaultyField:
    """A field with a fault.

    Attributes
    ----------
    image : uint16 array (H, W)
    labels : int32 array (H, W)
        The truth.
    diameter : float
        Median of the nuclei in pixels.
    right : tuple of str
        Treatments that undo the fault, of `config.TREATMENTS`; none where the diameter does.
    """

    image: AnyArray
    labels: Labels
    diameter: float
    right: Tuple[str, ...]


def simulate_faulty_field(fault: str, seed: int, side: int = 200) -> FaultyField:
    """Simulate a field with a fault.

    Parameters
    ----------
    fault : str
        Of `FAULTS`.
    seed : int
        The same seed gives the same field.
    side : int
        Height and width in pixels.

    Returns
    -------
    FaultyField

    Raises
    ------
    ConfigError
        If there is no such fault.
    """
    require(fault in FAULTS, f"{fault!r} is no fault of simulated fields; there are {', '.join(FAULTS)}")
    rng, binned = np.random.default_rng(seed), fault == "binned"
    coverage, touching = (0.65, 0.6) if fault == "inverted" else (0.25, 0.25)
    times = BINNED if binned else 1
    length, diameter = times * side, times * float(rng.uniform(18, 34))
    config = FieldConfig(
        size=(length, length), diameter=diameter, bits=16, coverage=coverage, cluster_probability=touching
    )
    field = simulate_field(config, rng)
    light, labels, size = _unit(field.image), field.labels, field.diameter
    right: Tuple[str, ...] = ()
    if fault == "noisy":
        light, right = _with_bad_pixels(light, rng), ("median3", "median5")
    elif fault == "uneven":
        light, right = _on_a_slope(light, rng), ("background", "rolling_ball")
    elif fault == "inverted":
        light, right = light.max() - light, ("invert",)
    else:
        light = light.reshape(side, times, side, times).mean(axis=(1, 3))
        labels, size = np.ascontiguousarray(labels[1::times, 1::times]), size / times
    image = np.clip(light / light.max() * PEAK, 0, 65535).astype(np.uint16)
    return FaultyField(image, labels, size, right)


def _unit(image: AnyArray) -> Floats:
    dark, bright = np.percentile(image, (1, 99.8))
    scaled: Floats = ((image.astype(np.float32) - dark) / max(bright - dark, 1)).astype(np.float32)
    return scaled


def _with_bad_pixels(light: Floats, rng: np.random.Generator) -> Floats:
    chance = rng.random(light.shape)
    noisy: Floats = np.where(chance < BAD_PIXELS, 1.2, np.where(chance > 1 - BAD_PIXELS, 0, light)).astype(np.float32)
    return noisy


def _on_a_slope(light: Floats, rng: np.random.Generator) -> Floats:
    rows, cols = (np.linspace(0, 1, side) for side in light.shape)
    angle = rng.uniform(0, 2 * np.pi)
    plane = np.cos(angle) * rows[:, None] + np.sin(angle) * cols
    sloping: Floats = (light + SLOPE * (plane - plane.min())).astype(np.float32)
    return sloping
