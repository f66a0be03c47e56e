"""What a simulated field looks like: its settings, and settings drawn at random for training."""

from __future__ import annotations

import dataclasses
import math
from numbers import Integral
from typing import Dict, Optional, Tuple

import numpy as np

from nucdl_core.config import require

BIT_DEPTHS = (8, 12, 16)
MAX_SIDE = 100_000


@dataclasses.dataclass(frozen=True)
class FieldConfig:
    """Settings of a simulated fluorescence field. Lengths are pixels; a share lies in [0, 1].

    Attributes
    ----------
    size : (int, int)
        Height and width of the image.
    diameter, diameter_spread : float
        Median equivalent diameter of the nuclei, and standard deviation of its logarithm.
    count : int or None
        Number of nuclei placed, before mitosis and micronuclei add some; None draws it from `coverage`.
    coverage : float
        Expected share of the area that nuclei cover, up to 0.9; used where `count` is None.
    patchiness : float
        Share: 0 spreads nuclei evenly, 1 leaves large parts of the field empty.
    cluster_probability : float
        Probability that a nucleus touches another one.
    overlap : float
        By which share of their distance neighbours may come nearer than touching, up to 0.6.
    overlap_light : float
        Share of the lower nucleus' light that is added where an upper one covers it.
    elongation : float
        Median ratio of long to short axis, 1 to 4.
    deformation : float
        Standard deviation of the random low-frequency deformation of the radius, up to 0.3.
    kidney_share, lobed_share, mitotic_share : float
        Shares of nuclei that are bent and notched, have two to three lobes, are in mitosis (a plate, or a pair).
    micronucleus_share : float
        Share of nuclei with one or two micronuclei beside them, which have labels of their own.
    texture, texture_scale : float
        Contrast of the chromatin, and its grain as a share of the diameter.
    nucleoli, bright_spots : float
        Strength of dark nucleoli and of bright chromocentres.
    dome : float
        By how much the middle is brighter than the rim; negative for a bright rim.
    brightness_spread : float
        Standard deviation of the logarithm of the nuclei's brightness.
    blur, defocus, defocus_spread : float
        Standard deviations of the point spread, of defocus of the whole field, and of the defocus in addition
        of single nuclei (half-normal).
    illumination : float
        Relative fall of the illumination from its brightest to its darkest place.
    background, haze, cytoplasm : float
        Light, relative to a nucleus of brightness 1, of the even background, of the blurred halo around nuclei
        and of cells' bodies.
    debris : float
        Amount of specks, fibres and large out-of-focus blobs: 0 none, 1 a dirty slide. Never labelled.
    photons : float
        Electrons that a pixel of brightness 1 collects: sets the shot noise.
    read_noise : float
        Standard deviation of the read noise in electrons.
    offset, peak : float
        Grey levels of the dark camera and, above it, of brightness 1, as shares of the range.
    hot_pixels : float
        Share of pixels that are hot.
    bits : int
        8, 12 or 16; 8 bits are stored as uint8, the others as uint16.
    """

    size: Tuple[int, int] = (520, 696)
    diameter: float = 30.0
    diameter_spread: float = 0.2
    count: Optional[int] = None
    coverage: float = 0.15
    patchiness: float = 0.2
    cluster_probability: float = 0.25
    overlap: float = 0.1
    overlap_light: float = 0.6
    elongation: float = 1.35
    deformation: float = 0.035
    kidney_share: float = 0.08
    lobed_share: float = 0.04
    mitotic_share: float = 0.03
    micronucleus_share: float = 0.02
    texture: float = 0.12
    texture_scale: float = 0.045
    nucleoli: float = 0.25
    bright_spots: float = 0.1
    dome: float = 0.2
    brightness_spread: float = 0.25
    blur: float = 0.9
    defocus: float = 0.0
    defocus_spread: float = 0.3
    illumination: float = 0.25
    background: float = 0.05
    haze: float = 0.06
    cytoplasm: float = 0.04
    debris: float = 0.1
    photons: float = 400.0
    read_noise: float = 4.0
    offset: float = 0.02
    peak: float = 0.4
    hot_pixels: float = 0.000005
    bits: int = 8

    def __post_init__(self) -> None:
        require(
            len(self.size) == 2 and all(isinstance(side, Integral) and 1 <= side <= MAX_SIDE for side in self.size),
            f"size is {self.size}; give height and width in whole pixels from 1 to {MAX_SIDE}",
        )
        require(
            self.count is None or (isinstance(self.count, Integral) and self.count >= 0),
            f"count is {self.count}; give a whole number from 0, or None",
        )
        require(self.bits in BIT_DEPTHS, f"bits is {self.bits}; it must be one of 8, 12, 16")
        for name, (low, high) in FIELD_RANGES.items():
            value = getattr(self, name)
            require(low <= value <= high, f"{name} is {value}; it must lie between {low:g} and {high:g}")
        shapes = self.kidney_share + self.lobed_share + self.mitotic_share
        require(shapes <= 1, f"kidney, lobed and mitotic shares add up to {shapes:g}; at most 1 is possible")


FIELD_RANGES: Dict[str, Tuple[float, float]] = {
    "diameter": (3, 1000),
    "diameter_spread": (0, 1),
    "coverage": (0, 0.9),
    "overlap": (0, 0.6),
    "elongation": (1, 4),
    "deformation": (0, 0.3),
    "texture": (0, 1),
    "texture_scale": (0.01, 0.5),
    "nucleoli": (0, 1),
    "bright_spots": (0, 2),
    "dome": (-0.5, 1),
    "brightness_spread": (0, 1),
    "blur": (0, 100),
    "defocus": (0, 100),
    "defocus_spread": (0, 100),
    "debris": (0, 10),
    "photons": (0.5, 1e6),
    "read_noise": (0, 1e4),
    "patchiness": (0, 1),
    "cluster_probability": (0, 1),
    "overlap_light": (0, 1),
    "kidney_share": (0, 1),
    "lobed_share": (0, 1),
    "mitotic_share": (0, 1),
    "micronucleus_share": (0, 1),
    "illumination": (0, 1),
    "background": (0, 1),
    "haze": (0, 1),
    "cytoplasm": (0, 1),
    "offset": (0, 1),
    "peak": (0, 1),
    "hot_pixels": (0, 1),
}
"""Smallest and largest value of each number in `FieldConfig`."""


def random_config(
    rng: np.random.Generator, size: Tuple[int, int], diameter_range: Tuple[float, float] = (6.0, 150.0)
) -> FieldConfig:
    """Draw settings over wide ranges, for training.

    Empty, out-of-focus, crowded, dim, noisy and dirty fields occur, and 16-bit images that use a small part of
    their range.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all chance.
    size : (int, int)
        Height and width in pixels.
    diameter_range : (float, float)
        Median diameters in pixels, drawn evenly on the logarithmic scale.

    Raises
    ------
    ConfigError
        If `diameter_range` is not increasing or leaves what `FieldConfig` allows.
    """
    low, high = diameter_range
    require(3 <= low <= high <= 1000, f"diameter range is {low} to {high}; it must increase and lie in 3 to 1000 px")
    diameter = math.exp(rng.uniform(math.log(low), math.log(high)))
    fields: Dict[str, object] = {"size": (int(size[0]), int(size[1])), "diameter": diameter}
    fields.update(_random_crowd(rng, size, diameter))
    fields.update(_random_shapes(rng))
    fields.update(_random_optics(rng, diameter))
    fields.update(_random_camera(rng, diameter))
    return FieldConfig(**fields)  # type: ignore[arg-type]


def _sometimes(rng: np.random.Generator, probability: float, low: float, high: float) -> float:
    """Draw from `low` to `high` with `probability`, else 0. Uses the same draws either way."""
    chance, value = rng.random(), rng.uniform(low, high)
    return float(value) if chance < probability else 0.0


def _random_crowd(rng: np.random.Generator, size: Tuple[int, int], diameter: float) -> Dict[str, object]:
    nucleus = math.pi / 4 * diameter**2
    grown = (size[0] + 0.8 * diameter) * (size[1] + 0.8 * diameter)
    # at most 350 tiny nuclei per 256 x 256 pixels, as in crowded real fields; at least two expected in all
    coverage = min(float(rng.beta(1.2, 2.5)) * 0.75, 350 * nucleus / 256**2)
    coverage = min(max(coverage, 2 * nucleus / grown), 0.75)
    empty = rng.random() < 0.02
    return {
        "count": 0 if empty else None,
        "coverage": coverage,
        "diameter_spread": float(rng.uniform(0.03, 0.4)),
        "patchiness": _sometimes(rng, 0.5, 0, 1),
        "cluster_probability": float(rng.beta(1, 1.6)),
        "overlap": _sometimes(rng, 0.7, 0, 0.35),
        "overlap_light": float(rng.uniform(0, 1)),
    }


def _random_shapes(rng: np.random.Generator) -> Dict[str, object]:
    return {
        "elongation": float(1 + rng.gamma(2, 0.15)) if rng.random() < 0.9 else float(rng.uniform(1.5, 2.5)),
        "deformation": float(rng.gamma(1.5, 0.03)) % 0.25,
        "kidney_share": _sometimes(rng, 0.7, 0, 0.25),
        "lobed_share": _sometimes(rng, 0.5, 0, 0.2),
        "mitotic_share": _sometimes(rng, 0.5, 0, 0.15),
        "micronucleus_share": _sometimes(rng, 0.3, 0, 0.15),
        "texture": float(rng.beta(1.5, 4)) * 0.5,
        "texture_scale": 0.025 + 0.1 * float(rng.beta(1.2, 3)),
        "nucleoli": _sometimes(rng, 0.6, 0, 0.6),
        "bright_spots": _sometimes(rng, 0.35, 0.1, 1.2),
        "dome": float(rng.uniform(-0.2, 0.7)),
        "brightness_spread": float(rng.uniform(0.05, 0.6)),
    }


def _random_optics(rng: np.random.Generator, diameter: float) -> Dict[str, object]:
    # small nuclei come from low magnification, where the same objective blurs by fewer pixels
    scale = min(diameter / 25, 3.0)
    return {
        "blur": float(rng.uniform(0.4, 1.0)) * max(1.0, scale**0.5),
        "defocus": _sometimes(rng, 0.3, 0.5, 2.2) * scale,
        "defocus_spread": _sometimes(rng, 0.5, 0.2, 1.2) * scale,
        "illumination": _sometimes(rng, 0.7, 0, 0.7),
        "background": _sometimes(rng, 0.9, 0, 0.3),
        "haze": _sometimes(rng, 0.8, 0, 0.3),
        "cytoplasm": _sometimes(rng, 0.5, 0, 0.2),
        "debris": _sometimes(rng, 0.5, 0, 1),
    }


def _random_camera(rng: np.random.Generator, diameter: float) -> Dict[str, object]:
    bits = BIT_DEPTHS[int(rng.integers(3))]
    # at least 12 grey levels for a nucleus of brightness 1, and more light for small ones, so that dim ones show
    lowest = 12 / (2**bits - 1)
    fewest = 15 * min(max(1.0, (25 / diameter) ** 2), 8.0)
    photons = math.exp(rng.uniform(math.log(fewest), math.log(5000)))
    return {
        "photons": photons,
        "read_noise": float(rng.uniform(0, 0.1)) * min(photons, 200.0),
        "offset": _sometimes(rng, 0.8, 0, 0.15),
        "peak": math.exp(rng.uniform(math.log(lowest), math.log(0.8))),
        "hot_pixels": _sometimes(rng, 0.2, 0, 0.0005),
        "bits": bits,
    }


def screen_config(size: Tuple[int, int], well: np.random.Generator, site: np.random.Generator) -> FieldConfig:
    """Draw settings of one field as a usual screen has them: one microscope, wells and sites of mixed difficulty.

    Parameters
    ----------
    size : (int, int)
        Height and width in pixels.
    well, site : numpy.random.Generator
        What the sites of a well share (kind of cell, usual density) comes from `well`: start it from the same seed
        for each of them. Density, spread, focus and dirt of the field come from `site`.

    Returns
    -------
    FieldConfig
        Nuclei of 22 to 42 pixels, 16 bits.
    """
    usual = well.uniform(0.07, 0.28)
    cells: Dict[str, object] = {
        "diameter": float(well.uniform(22, 42)),
        "diameter_spread": float(well.uniform(0.12, 0.28)),
        "elongation": float(well.uniform(1.15, 1.6)),
        "cluster_probability": float(well.uniform(0.1, 0.45)),
        "kidney_share": float(well.uniform(0.03, 0.15)),
        "mitotic_share": float(well.uniform(0.01, 0.06)),
        "nucleoli": float(well.uniform(0.05, 0.4)),
        "bright_spots": float(well.uniform(0.0, 0.25)),
        "brightness_spread": float(well.uniform(0.15, 0.4)),
        "cytoplasm": float(well.uniform(0.01, 0.07)),
    }
    field: Dict[str, object] = {
        "coverage": float(np.clip(usual * math.exp(0.45 * site.standard_normal()), 0.02, 0.45)),
        "patchiness": float(site.uniform(0, 0.4)),
        "illumination": float(site.uniform(0.15, 0.5)),
        "haze": float(site.uniform(0.02, 0.12)),
        "defocus": _sometimes(site, 0.15, 0.8, 2.0),
        "debris": float(site.gamma(1.5, 0.06)),
    }
    camera = {"bits": 16, "offset": 0.004, "peak": 0.15, "photons": 600.0}
    return FieldConfig(size=size, **cells, **field, **camera)  # type: ignore[arg-type]
