"""Light beside that of the nuclei, and how all light becomes grey levels: haze, debris, illumination, camera.

Images are float64 arrays `(H, W)` in units of a nucleus of brightness 1.
"""

from __future__ import annotations

import dataclasses
from typing import Tuple

import numpy as np
from scipy import fft, ndimage

from nucdl_core.arrays import AnyArray, Doubles
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.shapes import Bodies, render_bodies

COARSE = 16
"""Smooth light is made on a grid that is so many times coarser, at most."""


def patterns(config: FieldConfig, side: int, rng: np.random.Generator) -> Tuple[Doubles, Doubles]:
    """Make the periodic patterns of chromatin, and of nucleoli and bright spots.

    Band-limited noise; nucleoli and bright spots are the lowest and highest parts of two smoother noises.

    Parameters
    ----------
    config : FieldConfig
        Settings.
    side : int
        Pixels of the largest nucleus; the patterns are at least as large.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    two float64 arrays (T, T)
        Chromatin with mean 0 and standard deviation 1; spots, 0 where there are none.
    """
    size = 1 << int(np.clip(np.ceil(np.log2(max(side, 2))), 7, 10))
    wave: Doubles = np.hypot(fft.fftfreq(size)[:, None], fft.rfftfreq(size))
    grain = max(config.texture_scale * config.diameter, 0.7)
    chromatin = _band(wave, grain, rng) + 0.6 * _band(wave, 2.5 * grain, rng)
    spot = max(0.075 * config.diameter, 0.8)
    dark, bright = _band(wave, spot, rng), _band(wave, 0.7 * spot, rng)
    spots = 1.6 * config.bright_spots * np.clip(bright - 1.2, 0, 1.5)
    spots -= 1.6 * config.nucleoli * np.clip(dark - 1.3, 0, 0.6)
    return chromatin / np.sqrt(1.36), spots


def _band(wave: Doubles, scale: float, rng: np.random.Generator) -> Doubles:
    """Return periodic noise of standard deviation 1, whose grains have a standard deviation of `scale` pixels."""
    size = len(wave)
    squared = (wave * scale) ** 2
    spectrum = fft.rfft2(rng.standard_normal((size, size))) * squared * np.exp(-20 * squared)
    noise = fft.irfft2(spectrum, s=(size, size))
    return np.asarray(noise / max(float(noise.std()), 1e-12))


def resize_smooth(coarse: Doubles, size: Tuple[int, int], factor: int) -> Doubles:
    """Interpolate a grid that is `factor` times coarser linearly to `size`, first pixel on first pixel."""
    result: AnyArray = coarse
    for axis, pixels in enumerate(size):
        pixel = np.arange(pixels)
        index, share = pixel // factor, (pixel % factor / factor).reshape((-1, 1) if axis == 0 else (1, -1))
        result = np.take(result, index, axis) * (1 - share) + np.take(result, index + 1, axis) * share
    return result


def surroundings(config: FieldConfig, bodies: Bodies, rng: np.random.Generator) -> Doubles:
    """Return the light between nuclei: background, blurred halo of the nuclei, cell bodies.

    Parameters
    ----------
    config : FieldConfig
        Settings.
    bodies : Bodies
        The nuclei.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    float64 array (H, W)
    """
    coarse = int(np.clip(np.ceil(config.diameter / 4), 1, COARSE))
    shape = config.size[0] // coarse + 2, config.size[1] // coarse + 2
    unevenness = ndimage.gaussian_filter(rng.standard_normal(shape), 0.25 * min(max(shape), 200), mode="nearest")
    unevenness /= max(float(np.abs(unevenness).max()), 1e-12)
    light = config.background * (1 + 0.3 * unevenness)
    if len(bodies) and config.haze > 0:
        light += 3 * config.haze * _halo(config.diameter, bodies, shape, coarse)
    if len(bodies) and config.cytoplasm > 0:
        light += config.cytoplasm * _cells(bodies, shape, coarse, rng)
    return resize_smooth(light, config.size, coarse)


def _halo(diameter: float, bodies: Bodies, shape: Tuple[int, int], coarse: int) -> Doubles:
    """Return the nuclei's light blurred over their diameter, on the coarse grid."""
    row, col = (np.rint(place / coarse).astype(np.int64) for place in (bodies.row, bodies.col))
    held = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    amount = np.pi * bodies.length * bodies.width * bodies.brightness / coarse**2
    halo = np.bincount(row[held] * shape[1] + col[held], amount[held], shape[0] * shape[1]).reshape(shape)
    return np.asarray(ndimage.gaussian_filter(halo, diameter / coarse, mode="constant"))


def _cells(bodies: Bodies, shape: Tuple[int, int], coarse: int, rng: np.random.Generator) -> Doubles:
    """Return faint elongated cell bodies around the nuclei, on the coarse grid."""
    count = len(bodies)
    longer, wider = rng.uniform(1.3, 4.5), rng.uniform(1.2, 2.2)
    width = bodies.width / coarse * wider * rng.uniform(0.7, 1.3, count)
    cells = dataclasses.replace(
        bodies,
        row=bodies.row / coarse,
        col=bodies.col / coarse,
        length=np.maximum(bodies.length / coarse * longer * rng.uniform(0.7, 1.3, count), width),
        width=width,
        angle=bodies.angle + rng.normal(0, 0.15, count),
        bend=rng.uniform(-0.15, 0.15, count),
        deformation=2 * bodies.deformation,
        notch_depth=np.zeros_like(bodies.notch_depth),
        brightness=rng.gamma(3, 1 / 3, count),
        softness=0.35 * width + 0.5,
        dome=np.full(count, 0.9),
        texture=np.full(count, 0.35),
    )
    streaks = ndimage.gaussian_filter(rng.standard_normal((128, 128)), 0.8, mode="wrap")
    streaks /= float(streaks.std())
    light = np.zeros(shape)
    for window in render_bodies(cells, streaks, np.zeros_like(streaks), rng):
        place = window.within(shape)
        if place is not None:
            light[place[0]] += (window.cover * window.light)[place[1]]
    return light


def debris(config: FieldConfig, rng: np.random.Generator) -> Doubles:
    """Return the light of specks, fibres and out-of-focus blobs, which are no nuclei."""
    height, width = config.size
    image = np.zeros(config.size)
    area = height * width
    specks = int(rng.poisson(config.debris * area / 256**2 * 15))
    row, col = rng.integers(0, height, specks), rng.integers(0, width, specks)
    strength = rng.gamma(1.0, 0.4, specks)
    sigma = rng.uniform(0.5, 1.6, specks)
    for speck in range(specks):
        _add_blob(image, (int(row[speck]), int(col[speck])), float(sigma[speck]), float(strength[speck]))
    for _ in range(int(rng.poisson(config.debris * area / 256**2 * 0.5))):
        centre = (int(rng.integers(0, height)), int(rng.integers(0, width)))
        _add_blob(image, centre, float(config.diameter * rng.uniform(0.5, 1.2)), float(rng.uniform(0.03, 0.12)))
    for _ in range(int(rng.poisson(config.debris * area / 256**2 * 0.3))):
        _add_fibre(image, config.diameter, rng)
    return image


def _add_blob(image: Doubles, centre: Tuple[int, int], sigma: float, strength: float) -> None:
    """Add a Gaussian spot in its own small window."""
    half = int(np.ceil(3 * sigma))
    spans = [slice(max(at - half, 0), min(at + half + 1, side)) for at, side in zip(centre, image.shape)]
    rows, cols = (
        np.exp(-0.5 * ((np.arange(span.start, span.stop) - at) / sigma) ** 2) for span, at in zip(spans, centre)
    )
    image[spans[0], spans[1]] += strength * rows[:, None] * cols


def _add_fibre(image: Doubles, diameter: float, rng: np.random.Generator) -> None:
    """Add a thin curved line, a few nuclei long."""
    start = rng.random(2) * image.shape
    ends = start + rng.normal(0, 1.5 * diameter, (2, 2))
    length = float(np.abs(ends - start).sum()) + 2
    share = np.linspace(0, 1, int(2 * length))[:, None]
    line = (1 - share) ** 2 * start + 2 * share * (1 - share) * ends[0] + share**2 * ends[1]
    pixel = np.rint(line).astype(np.int64)
    pixel = pixel[((pixel >= 0) & (pixel < image.shape)).all(axis=1)]
    strength = rng.uniform(0.1, 0.8)
    if len(pixel) == 0:
        return
    low, high = np.maximum(pixel.min(axis=0) - 6, 0), pixel.max(axis=0) + 7
    window = image[low[0] : high[0], low[1] : high[1]]
    drawn = np.zeros(window.shape)
    drawn[pixel[:, 0] - low[0], pixel[:, 1] - low[1]] = strength
    window += ndimage.gaussian_filter(drawn, float(rng.uniform(0.6, 1.5)), mode="nearest")


def illumination(config: FieldConfig, rng: np.random.Generator) -> Doubles:
    """Return the relative illumination `(H, W)`: a vignette around a random place and a slope, 1 at its brightest."""
    centre = rng.uniform(0.2, 0.8, 2)
    slope = rng.uniform(-0.5, 0.5, 2)
    parts = [
        (share - middle) ** 2 + tilt * share
        for share, middle, tilt in zip((np.linspace(0, 1, side) for side in config.size), centre, slope)
    ]
    fall = parts[0][:, None] + parts[1]
    fall -= fall.min()
    fall /= max(float(fall.max()), 1e-12)
    return np.asarray(1 - config.illumination * fall)


def expose(light: Doubles, config: FieldConfig, rng: np.random.Generator) -> AnyArray:
    """Take the picture: shot noise, read noise, hot pixels, offset, clipping and rounding to grey levels.

    Parameters
    ----------
    light : float64 array (H, W)
        Not negative.
    config : FieldConfig
        Settings.
    rng : numpy.random.Generator
        Source of all chance.

    Returns
    -------
    uint8 array (H, W) for 8 bits, else uint16 array (H, W)
    """
    electrons = rng.poisson(light * config.photons).astype(np.float64)
    electrons += config.read_noise * rng.standard_normal(light.shape)
    top = 2**config.bits - 1
    grey = top * (config.offset + config.peak / config.photons * electrons)
    hot = rng.integers(0, grey.size, int(rng.binomial(grey.size, config.hot_pixels)))
    grey.ravel()[hot] += top * rng.uniform(0.1, 1, len(hot))
    return np.asarray(np.clip(np.rint(grey), 0, top), np.uint8 if config.bits == 8 else np.uint16)
