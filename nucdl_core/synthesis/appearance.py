"""How images of nuclei look, in numbers that are measured alike in real and in simulated images."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Dict, Iterable, Optional, Sequence, Tuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from nucdl_core.arrays import AnyArray, Floats, Labels, Mask
from nucdl_core.ellipses import ellipses_of
from nucdl_core.labels import areas, diameters_of, mean_inside, relabel, touches_border
from nucdl_core.synthesis.background import background_pixels

FEWEST_NUCLEI = 3
"""Images with fewer whole nuclei say too little about how nuclei look."""
# How far from an outline, in nucleus diameters, its profile is followed, and how finely, in pixels.
_PROFILE_REACH, _PROFILE_STEP = 0.35, 0.5
# A filter that sees neither slopes nor curves, and lets white noise through six times (Immerkaer 1996).
_NOISE_FILTER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_MEDIAN_DEVIATION = 0.6745


@dataclass(frozen=True)
class Appearance:
    """How the images of an experiment look. Light is relative to the median nucleus, above the background.

    Attributes
    ----------
    diameter, diameter_spread : float
        Median equivalent diameter in pixels, and the standard deviation of its logarithm (robust).
    elongation : float
        Median ratio of long to short axis.
    coverage : float
        Share of the pixels that nuclei cover.
    spacing : float
        Median distance of a nucleus to its nearest neighbour, from centre to centre, in diameters.
    contact : float
        Share of nuclei that touch another one.
    evenness : float
        Median distance to the nearest neighbour relative to what chance places would give; below 1 in colonies.
    darkest, background, brightest : float
        Grey levels of the darkest pixels, of the background and of the median nucleus, as shares of the range of the
        image's type.
    brightness_spread : float
        Standard deviation of the logarithm of the nuclei's light (robust).
    falloff : float
        Standard deviation of the logarithm of the nuclei's light between parts of the field: uneven illumination.
    dome : float
        Light in the middle of nuclei relative to that half way to the rim.
    texture, grain : float
        Standard deviation of the light within a nucleus relative to its mean, and what of it is left when the nucleus
        is smoothed by a twentieth of its diameter.
    blur : float
        Standard deviation in pixels of the point spread that explains the steepest part of the outlines.
    haze : float
        Light beside nuclei, a quarter to half a diameter away.
    unevenness : float
        Range of the background over the field.
    noise_dark, noise_bright : float
        Standard deviation of the noise in the background and in nuclei.
    """

    diameter: float
    diameter_spread: float
    elongation: float
    coverage: float
    spacing: float
    contact: float
    evenness: float
    darkest: float
    background: float
    brightest: float
    brightness_spread: float
    falloff: float
    dome: float
    texture: float
    grain: float
    blur: float
    haze: float
    unevenness: float
    noise_dark: float
    noise_bright: float


def appearance_of(image: AnyArray, labels: Labels) -> Optional[Appearance]:
    """Measure how an image looks.

    Parameters
    ----------
    image : array (H, W), any real dtype
        Bright nuclei.
    labels : int32 array (H, W)
        Its nuclei, as far as they are known.

    Returns
    -------
    Appearance or None
        None where fewer than `FEWEST_NUCLEI` lie wholly inside, or they are not brighter than the background.
    """
    numbered = relabel(labels)
    whole = ~touches_border(numbered)
    if np.count_nonzero(whole) < FEWEST_NUCLEI:
        return None
    diameters = diameters_of(areas(numbered))[whole]
    diameter = float(np.median(diameters))
    pixels = background_pixels(image, numbered, round(diameter / 2))
    dark = float(np.median(pixels))
    light = image.astype(np.float32) - np.float32(dark)
    means = mean_inside(light, numbered)
    bright = float(np.median(means[whole]))
    if bright <= 0:
        return None
    depth = _signed_depth(numbered)
    return Appearance(
        diameter=diameter,
        diameter_spread=_spread(np.log(diameters)),
        elongation=float(np.median(ellipses_of(numbered).elongation[whole])),
        coverage=float((numbered > 0).mean()),
        **_neighbourhood(numbered, diameter),
        **_levels(image, dark, bright),
        **_brightness(numbered, whole, np.log(np.maximum(means / bright, 0.01))),
        **_inside(light / np.float32(bright), numbered, depth, diameter),
        **_outside(light / np.float32(bright), depth, diameter),
        **_noise(light / np.float32(bright), depth, diameter),
    )


def mean_appearance(appearances: Sequence[Appearance]) -> Appearance:
    """Return the appearance of several images: the median of each number.

    Parameters
    ----------
    appearances : sequence of Appearance
        At least one.
    """
    rows = [dataclasses.astuple(each) for each in appearances]
    return Appearance(*np.median(rows, axis=0).tolist())


def common_appearance(images: Iterable[Tuple[AnyArray, Labels]]) -> Optional[Appearance]:
    """Measure how images look together.

    Parameters
    ----------
    images : iterable of (array (H, W), int32 array (H, W))
        Images with their nuclei.

    Returns
    -------
    Appearance or None
        See `mean_appearance`; None where no image tells anything, see `appearance_of`.
    """
    known = [each for each in (appearance_of(image, labels) for image, labels in images) if each is not None]
    return mean_appearance(known) if known else None


def _spread(values: AnyArray) -> float:
    """Return the standard deviation that half of the distance from the 16th to the 84th percentile stands for."""
    low, high = np.percentile(values, (15.87, 84.13))
    return float((high - low) / 2)


def _signed_depth(labels: Labels) -> Floats:
    """Return the distance of each pixel to the nearest outline, positive inside; outlines run along pixel edges."""
    inside = labels > 0
    outside: Floats = ndimage.distance_transform_edt(~inside) - 0.5
    return np.where(inside, ndimage.distance_transform_edt(inside) - 0.5, -outside).astype(np.float32)


def _neighbourhood(labels: Labels, diameter: float) -> Dict[str, float]:
    ellipses = ellipses_of(labels)
    centres = np.stack([ellipses.row, ellipses.col], axis=1)
    nearest = cKDTree(centres).query(centres, k=2)[0][:, 1]
    # The median distance to the nearest of points placed by chance.
    by_chance = np.sqrt(np.log(2) / np.pi * labels.size / len(centres))
    largest = ndimage.maximum_filter(labels, 3)
    smallest = -ndimage.maximum_filter(np.where(labels > 0, -labels, np.iinfo(np.int32).min), 3)
    touching = np.unique(labels[(labels > 0) & (largest != smallest)])
    return {
        "spacing": float(np.median(nearest) / diameter),
        "contact": len(touching) / len(centres),
        "evenness": float(np.median(nearest) / by_chance),
    }


def _levels(image: AnyArray, dark: float, bright: float) -> Dict[str, float]:
    top = float(np.iinfo(image.dtype).max) if image.dtype.kind in "ui" else 1.0
    darkest = float(np.percentile(image, 0.1))
    return {"darkest": darkest / top, "background": dark / top, "brightest": (dark + bright) / top}


def _brightness(labels: Labels, whole: Mask, logarithms: Floats) -> Dict[str, float]:
    """Measure how the light of nuclei differs, and how much of it by where they lie (a 3 x 3 grid of parts)."""
    spread = _spread(logarithms[whole])
    ellipses = ellipses_of(labels)
    part = np.stack([3 * ellipses.row / labels.shape[0], 3 * ellipses.col / labels.shape[1]]).astype(np.int64)
    part = np.clip(part[0], 0, 2) * 3 + np.clip(part[1], 0, 2)
    numbers = [np.count_nonzero(part == each) for each in range(9)]
    medians = [np.median(logarithms[part == each]) if number > 2 else np.nan for each, number in enumerate(numbers)]
    known = ~np.isnan(medians)
    if np.count_nonzero(known) < 3:
        return {"brightness_spread": spread, "falloff": 0.0}
    # The variance of a median by chance.
    by_chance = np.mean(np.pi / 2 * spread**2 / np.array(numbers)[known])
    return {
        "brightness_spread": spread,
        "falloff": float(np.sqrt(max(np.var(np.array(medians)[known]) - by_chance, 0))),
    }


def _inside(light: Floats, labels: Labels, depth: Floats, diameter: float) -> Dict[str, float]:
    """Measure dome and texture."""
    count = int(labels.max())
    deepest = np.append(1.0, ndimage.maximum(depth, labels, np.arange(1, count + 1)))
    share = depth / deepest[labels]
    middle = mean_inside(light, np.where(share > 0.65, labels, 0), areas(np.where(share > 0.65, labels, 0), count))
    ring = np.where((share > 0.3) & (share < 0.55), labels, 0)
    around = mean_inside(light, ring, areas(ring, count))
    known = (around > 0) & (middle > 0)
    core = np.where(depth > 0.15 * diameter, labels, 0)
    rough = _deviation(light, core, count)
    smooth = _deviation(ndimage.gaussian_filter(light, 0.05 * diameter), core, count)
    seen = rough > 0
    return {
        "dome": float(np.median(middle[known] / around[known])) if known.any() else 1.0,
        "texture": float(np.median(rough[seen])) if seen.any() else 0.0,
        "grain": float(np.median(smooth[seen] / rough[seen])) if seen.any() else 1.0,
    }


def _deviation(light: Floats, core: Labels, count: int) -> Floats:
    """Return the standard deviation of the light of each nucleus relative to its mean; 0 for those without pixels."""
    sizes = areas(core, count)
    mean = mean_inside(light, core, sizes)
    square = mean_inside(light**2, core, sizes)
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0)) / np.maximum(mean, 1e-3), np.float32)


def _outside(light: Floats, depth: Floats, diameter: float) -> Dict[str, float]:
    """Measure blur, haze, and how even the background is."""
    far = depth < -diameter / 2
    return {
        "blur": _blur(light, depth, diameter),
        "haze": float(light[(depth < -diameter / 4) & ~far].mean()) if ((depth < -diameter / 4) & ~far).any() else 0.0,
        "unevenness": _range_of_background(light, far),
    }


def _blur(light: Floats, depth: Floats, diameter: float) -> float:
    """Return the standard deviation of the Gaussian whose edge is as steep as the mean profile across outlines."""
    reach = max(_PROFILE_REACH * diameter, 2.0)
    near = np.abs(depth) < reach
    bins = np.floor((depth[near] + reach) / _PROFILE_STEP).astype(np.int64)
    pixels = np.bincount(bins)
    profile = np.bincount(bins, light[near])[pixels > 0] / pixels[pixels > 0]
    where = (np.flatnonzero(pixels) + 0.5) * _PROFILE_STEP
    slope = np.gradient(profile, where)
    height = float(profile.max() - profile.min())
    return float(np.clip(height / np.sqrt(2 * np.pi) / max(float(slope.max()), 1e-6), 0.2, reach))


def _range_of_background(light: Floats, far: Mask) -> float:
    """Fit a curved plane to the background and return its range over the field."""
    rows, cols = np.nonzero(far)
    if len(rows) < 100:
        return 0.0
    step = max(1, len(rows) // 20_000)
    rows, cols = rows[::step], cols[::step]
    fit = np.linalg.lstsq(_terms(rows, cols, light.shape), light[rows, cols], rcond=None)[0]
    grid = np.meshgrid(*(np.linspace(0, side - 1, 16) for side in light.shape), indexing="ij")
    return float(np.ptp(_terms(grid[0].ravel(), grid[1].ravel(), light.shape) @ fit))


def _terms(rows: AnyArray, cols: AnyArray, shape: Tuple[int, ...]) -> AnyArray:
    down, right = rows / shape[0] - 0.5, cols / shape[1] - 0.5
    return np.stack([np.ones_like(down), down, right, down**2, right**2, down * right], axis=1)


def _noise(light: Floats, depth: Floats, diameter: float) -> Dict[str, float]:
    response = np.abs(ndimage.convolve(light, _NOISE_FILTER)) / 6
    places = {"noise_dark": depth < -diameter / 4, "noise_bright": depth > 0.15 * diameter}
    return {
        name: float(np.median(response[place]) / _MEDIAN_DEVIATION) if place.any() else 0.0
        for name, place in places.items()
    }
