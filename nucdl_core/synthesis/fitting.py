"""The simulator fitted to images: settings with which simulated fields look like them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple

import numpy as np

from nucdl_core.simulate.field import FIELD_RANGES, FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.synthesis.appearance import Appearance, common_appearance

CORRECTIONS, FIELDS = 8, 4
"""How often the settings are corrected, and by how many simulated fields each time."""
_NUCLEI_PER_FIELD = 40
_SIDES = (128, 512)
# Of the correction that would be right if each setting changed its own number alone.
_STEP = 0.7


@dataclass(frozen=True)
class Fit:
    """The simulator as it was fitted.

    Attributes
    ----------
    config : FieldConfig
    appearance : Appearance
        That of simulated fields with these settings, measured as that of the images was.
    """

    config: FieldConfig
    appearance: Appearance


def fit_simulator(wanted: Appearance, dtype: np.dtype[Any], size: Tuple[int, int], rng: np.random.Generator) -> Fit:
    """Find settings with which simulated fields look as wanted.

    Settings are first read from the appearance itself. Then fields are simulated and measured in the same way, and each
    setting is corrected by what its own number is off, several times.

    Parameters
    ----------
    wanted : Appearance
        That of the images.
    dtype : numpy dtype
        Their type; 8 bits are simulated as such, all others as 16 bits.
    size : (int, int)
        Height and width of the fields that the settings are for.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    Fit
        The best settings met, see `misfit`.
    """
    settings = _first_guess(wanted, 8 if dtype == np.uint8 else 16)
    side = int(np.clip(np.sqrt(_NUCLEI_PER_FIELD * _pixels(wanted)), *_SIDES))
    fits: List[Fit] = []
    for _ in range(CORRECTIONS):
        config = FieldConfig(**_within_limits({**settings, "size": (side, side)}))
        found = _appearance_of_simulated(config, rng)
        if found is None:
            break
        fits.append(Fit(dataclasses.replace(config, size=size), found))
        settings = _corrected(config, wanted, found)
    if not fits:
        return Fit(FieldConfig(**_within_limits({**settings, "size": size})), wanted)
    return min(fits, key=lambda fit: misfit(wanted, fit.appearance))


def misfit(wanted: Appearance, found: Appearance) -> float:
    """Return how far two appearances are apart: the mean difference of their numbers, relative to a clear one."""
    apart = [abs(getattr(wanted, name) - getattr(found, name)) for name in _scales(wanted)]
    return float(np.mean(np.minimum(np.array(apart) / np.array(list(_scales(wanted).values())), 3.0)))


def _scales(appearance: Appearance) -> Dict[str, float]:
    """Return by how much each number must differ to be seen."""
    range_ = max(appearance.brightest - appearance.background, 1e-6)
    return {
        "diameter": 0.1 * appearance.diameter,
        "diameter_spread": 0.08,
        "elongation": 0.1,
        "coverage": max(0.2 * appearance.coverage, 0.02),
        "spacing": 0.1,
        "contact": 0.15,
        "background": 0.05 * range_,
        "brightest": 0.1 * range_,
        "brightness_spread": 0.08,
        "dome": 0.05,
        "texture": max(0.2 * appearance.texture, 0.02),
        "grain": 0.1,
        "blur": max(0.15 * appearance.blur, 0.2),
        "haze": 0.03,
        "noise_dark": max(0.25 * appearance.noise_dark, 0.003),
        "noise_bright": max(0.25 * appearance.noise_bright, 0.005),
    }


def _pixels(appearance: Appearance) -> float:
    """Return the pixels of the field for each nucleus."""
    return float(np.pi / 4 * appearance.diameter**2 / max(appearance.coverage, 0.01))


def _first_guess(appearance: Appearance, bits: int) -> Dict[str, Any]:
    light = max(appearance.brightest - appearance.background, 1e-4)
    photons = 1 / max(appearance.noise_bright**2 - appearance.noise_dark**2, 1e-5)
    return {
        "diameter": appearance.diameter,
        "diameter_spread": appearance.diameter_spread,
        "elongation": appearance.elongation,
        "coverage": appearance.coverage,
        "cluster_probability": appearance.contact / 2,
        "patchiness": 0.2,
        "brightness_spread": appearance.brightness_spread,
        "dome": 0.2,
        "texture": appearance.texture,
        "blur": appearance.blur,
        "defocus_spread": 0.2,
        "haze": appearance.haze,
        "illumination": 2 * appearance.falloff,
        "offset": appearance.darkest,
        "background": (appearance.background - appearance.darkest) / light,
        "peak": light,
        "photons": photons,
        "read_noise": photons * appearance.noise_dark,
        "nucleoli": 0.1,
        "bright_spots": 0.05,
        "debris": 0.05,
        "hot_pixels": 0.0,
        "bits": bits,
    }


def _appearance_of_simulated(config: FieldConfig, rng: np.random.Generator) -> Appearance | None:
    fields = (simulate_field(config, rng) for _ in range(FIELDS))
    return common_appearance((field.image, field.labels) for field in fields)


def _corrected(config: FieldConfig, wanted: Appearance, found: Appearance) -> Dict[str, Any]:
    """Return settings that should bring the appearance of simulated fields nearer to the wanted one."""
    off = {name: getattr(wanted, name) - getattr(found, name) for name in _names()}
    light = max(found.brightest - found.background, 1e-4)
    brighter = (wanted.brightest - wanted.background) / light
    darker = (off["background"] - off["darkest"]) / max(wanted.brightest - wanted.background, 1e-4)
    photons = config.photons * _ratio(found.noise_bright, wanted.noise_bright) ** (2 * _STEP)
    dark_variance = photons**2 * (wanted.noise_dark**2 - found.noise_dark**2)
    # The factors say by how much a setting must change for its number to change by one; they were measured.
    changed = {
        "diameter": config.diameter * _ratio(wanted.diameter, found.diameter) ** _STEP,
        "diameter_spread": config.diameter_spread + _STEP * off["diameter_spread"],
        "elongation": config.elongation + _STEP * off["elongation"],
        "coverage": config.coverage * _ratio(wanted.coverage, found.coverage) ** _STEP,
        "cluster_probability": config.cluster_probability + 0.7 * _STEP * off["contact"],
        "patchiness": config.patchiness - 2 * _STEP * off["evenness"],
        "brightness_spread": config.brightness_spread + _STEP * off["brightness_spread"],
        "illumination": config.illumination + 2 * _STEP * off["falloff"],
        "dome": config.dome + 4 * _STEP * off["dome"],
        "texture": np.sqrt(max(config.texture**2 + 4 * _STEP * (wanted.texture**2 - found.texture**2), 0)),
        "texture_scale": config.texture_scale * np.exp(4 * _STEP * off["grain"]),
        "blur": np.sqrt(max(config.blur**2 + _STEP * (wanted.blur**2 - found.blur**2), 0)),
        "haze": config.haze + 2 * _STEP * off["haze"],
        "offset": config.offset + _STEP * off["darkest"],
        "background": config.background + _STEP * darker,
        "peak": config.peak * np.clip(brighter, 0.2, 5) ** _STEP,
        "photons": photons,
        "read_noise": np.sqrt(max(config.read_noise**2 + _STEP * dark_variance, 0)),
    }
    return {**dataclasses.asdict(config), **changed}


def _names() -> List[str]:
    return [field.name for field in dataclasses.fields(Appearance)]


def _ratio(first: float, second: float) -> float:
    return float(np.clip(max(first, 1e-4) / max(second, 1e-4), 0.25, 4))


def _within_limits(settings: Dict[str, Any]) -> Dict[str, Any]:
    """Bring numbers into the ranges of the simulator, and types to plain ones."""
    limits = {**FIELD_RANGES, "coverage": (0.01, 0.8), "peak": (0.004, 1.0), "elongation": (1.0, 3.0)}
    return {name: float(np.clip(value, *limits[name])) if name in limits else value for name, value in settings.items()}
