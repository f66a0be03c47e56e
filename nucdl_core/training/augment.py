"""Changes of intensity that training images undergo, so that other laboratories' images look familiar.

Every function takes a normalized crop (float32, background near 0, nuclei near 1) and returns a new one. The
kinds of change follow Zaki et al. (Cytometry A 2020) and Hollandi et al. (Cell Systems 2020); the ranges are
wider, because the model must not need retraining.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from nucdl_core.arrays import Floats, Labels
from nucdl_core.steps.normalize import normalize, stretch


def augment_intensity(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
    """Apply a random selection of all changes; blur, which moves outlines, is `defocus.defocus`.

    Parameters
    ----------
    crop : float32 array (H, W)
        Normalized image.
    labels : int32 array (H, W)
        Its nuclei, for the changes that treat each nucleus differently.
    rng : numpy Generator

    Returns
    -------
    float32 array (H, W)
        Normalized again.
    """
    if rng.random() < 0.3:
        crop = vary_nuclei(crop, labels, rng)
    if rng.random() < 0.5:
        crop = np.sign(crop) * np.abs(crop) ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    if rng.random() < 0.35:
        crop = crop * (1 + np.float32(rng.uniform(0.1, 0.6)) * smooth_field(crop.shape, rng))
    if rng.random() < 0.35:
        crop = crop + np.float32(rng.uniform(0.05, 0.5)) * (1 + smooth_field(crop.shape, rng))
    if rng.random() < 0.6:
        crop = add_noise(crop, rng)
    if rng.random() < 0.1:
        steps = np.float32(rng.integers(8, 64))
        crop = np.round(crop * steps) / steps
    return rescale_intensity(np.asarray(crop, np.float32), rng)


def smooth_field(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Draw a slowly varying field in about [-1, 1], such as uneven illumination or haze."""
    coarse = torch.from_numpy(rng.uniform(-1, 1, (1, 1, 4, 4)).astype(np.float32))
    field = functional.interpolate(coarse, size=tuple(shape), mode="bicubic", align_corners=True)
    return np.asarray(field[0, 0].numpy(), np.float32)


def vary_nuclei(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
    """Make some nuclei dimmer and some brighter than their neighbours."""
    factors = np.exp(rng.normal(0, 0.5, int(labels.max()) + 1)).clip(0.25, 2.0).astype(np.float32)
    factors[0] = 1
    gain = ndimage.gaussian_filter(factors[labels], 1.0)
    return np.asarray(crop * gain, np.float32)


def add_noise(crop: Floats, rng: np.random.Generator) -> Floats:
    """Add camera noise, partly growing with intensity, fine or (as after enlarging) coarse grained."""
    grain = rng.choice([1.0, 1.0, 1.5, 2.0, 3.0])
    size = [max(1, round(side / grain)) for side in crop.shape]
    noise = torch.from_numpy(rng.standard_normal((1, 1, *size), np.float32))
    if grain > 1:
        noise = functional.interpolate(noise, size=crop.shape, mode="bilinear", align_corners=False)
    strength = np.float32(np.exp(rng.uniform(np.log(0.01), np.log(0.2))))
    shot = np.float32(rng.uniform(0, 1))
    amount = strength * ((1 - shot) + shot * np.sqrt(np.clip(crop, 0, None)))
    noisy = crop + amount * noise[0, 0].numpy()
    if rng.random() < 0.1:
        hot = rng.random(crop.shape) < 0.0005
        noisy = np.where(hot, noisy + np.float32(rng.uniform(0.5, 4)), noisy)
    return np.asarray(noisy, np.float32)


def rescale_intensity(crop: Floats, rng: np.random.Generator) -> Floats:
    """Normalize as inference does, and then as if other parts of the image had set the range."""
    if rng.random() < 0.7:
        crop = normalize(crop)
    low = np.float32(rng.uniform(-0.1, 0.1))
    width = np.float32(np.exp(rng.uniform(np.log(0.15 if rng.random() < 0.1 else 0.6), np.log(1.8))))
    return stretch(crop, float(low), float(low + width))
