"""Changes of intensity that training images undergo, so that other laboratories' images look familiar.

Every function takes a normalized crop (float32, background near 0, nuclei near 1) and returns a new one. The
kinds of change follow Zaki et al. (Cytometry A 2020) and Hollandi et al. (Cell Systems 2020); the ranges are
wider, because the model must not need retraining. Each class of changes can be switched off, as Zaki et al. do.
"""

from __future__ import annotations

from typing import Callable, Collection, FrozenSet, Tuple

import numpy as np
import torch
from scipy import ndimage
from skimage import exposure
from torch.nn import functional

from nucdl_core.arrays import Floats, Labels
from nucdl_core.errors import ConfigError
from nucdl_core.steps.normalize import normalize, stretch

ALL_CLASSES, NO_CLASSES = "all", "none"
# What changes a crop, in the order in which it happens to it; the first five are made where it is cut.
CLASSES = (
    "simulated",
    "scale",
    "turns",
    "deformation",
    "overlap",
    "blur",
    "contrast",
    "illumination",
    "noise",
    "dropout",
)
"""Classes of augmentation: simulated crops, other sizes of nuclei, turns and flips, stretching and elastic deformation,
nuclei laid over each other, blur (Gaussian, which moves outlines, and median), contrast (gamma, CLAHE, brightness of
single nuclei, range, few grey values), uneven illumination and haze, noise (Gaussian, shot and impulse), and pixels
that drop out."""

Change = Callable[[Floats, Labels, np.random.Generator], Floats]


def classes_of(text: str) -> FrozenSet[str]:
    """Say which classes of augmentation a setting stands for.

    Parameters
    ----------
    text : str
        ``all``, ``none``, the classes that are wanted (``turns,scale``), or those that are not (``-blur,-noise``).

    Returns
    -------
    frozenset of str
        Of `CLASSES`.

    Raises
    ------
    ConfigError
        If it is none of these.
    """
    words = [word.strip() for word in text.split(",")]
    if words == [ALL_CLASSES]:
        return frozenset(CLASSES)
    if words == [NO_CLASSES]:
        return frozenset()
    without = [word.startswith("-") for word in words]
    names = {word.removeprefix("-") for word in words}
    if not names <= set(CLASSES) or any(without) != all(without):
        raise ConfigError(
            f"augmentation is {text!r}; give {ALL_CLASSES}, {NO_CLASSES}, or classes of {', '.join(CLASSES)} with "
            "commas between them, either those that are wanted or, each with a - before it, those that are not"
        )
    return frozenset(set(CLASSES) - names if all(without) else names)


def augment_intensity(
    crop: Floats, labels: Labels, rng: np.random.Generator, classes: Collection[str] = CLASSES
) -> Floats:
    """Apply a random selection of all changes; Gaussian blur, which moves outlines, is `defocus.defocus`.

    Parameters
    ----------
    crop : float32 array (H, W)
        Normalized image.
    labels : int32 array (H, W)
        Its nuclei, for the changes that treat each nucleus differently.
    rng : numpy Generator
    classes : collection of str
        Which of the `CLASSES` may be applied.

    Returns
    -------
    float32 array (H, W)
        Normalized again.
    """
    for name, probability, change in CHANGES:
        if rng.random() < probability and name in classes:
            crop = change(crop, labels, rng)
    crop = np.asarray(crop, np.float32)
    return rescale_intensity(crop, rng) if "contrast" in classes else crop


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


def change_gamma(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
    """Make dim nuclei dimmer still, or brighter, against bright ones."""
    return np.asarray(np.sign(crop) * np.abs(crop) ** np.float32(np.exp(rng.uniform(-0.5, 0.5))), np.float32)


def equalize(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
    """Even out the contrast within parts of the crop (CLAHE, Zuiderveld, Graphics Gems IV, 1994)."""
    limit = float(rng.uniform(0.002, 0.02))
    return np.asarray(exposure.equalize_adapthist(np.clip(crop, 0, 1), clip_limit=limit), np.float32)


def illuminate(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
    """Light the crop unevenly."""
    return np.asarray(crop * (1 + np.float32(rng.uniform(0.1, 0.6)) * smooth_field(crop.shape, rng)), np.float32)


def add_haze(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
    """Add light from out of focus."""
    return np.asarray(crop + np.float32(rng.uniform(0.05, 0.5)) * (1 + smooth_field(crop.shape, rng)), np.float32)


def reduce_grey_values(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
    """Leave 8 to 63 grey values between background and nuclei."""
    steps = np.float32(rng.integers(8, 64))
    return np.asarray(np.round(crop * steps) / steps, np.float32)


def median_blur(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
    """Take the median of 3 x 3 pixels, which keeps edges where they are."""
    return np.asarray(ndimage.median_filter(crop, size=3), np.float32)


def drop_pixels(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
    """Make up to 5 % of the pixels as dark as the background."""
    dropped = rng.random(crop.shape) < rng.uniform(0, 0.05)
    return np.where(dropped, np.float32(0), crop)


def add_noise(crop: Floats, labels: Labels, rng: np.random.Generator) -> Floats:
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


CHANGES: Tuple[Tuple[str, float, Change], ...] = (
    ("contrast", 0.3, vary_nuclei),
    ("contrast", 0.5, change_gamma),
    ("contrast", 0.05, equalize),
    ("illumination", 0.35, illuminate),
    ("illumination", 0.35, add_haze),
    ("blur", 0.05, median_blur),
    ("noise", 0.6, add_noise),
    ("dropout", 0.05, drop_pixels),
    ("contrast", 0.1, reduce_grey_values),
)
"""Class, probability and function of each change of intensity, in order."""
