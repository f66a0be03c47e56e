"""Simulated fields in which nothing hides the outlines of the nuclei, and what tests measure in them."""

from __future__ import annotations

import dataclasses

import numpy as np

from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

# light without anything that hides the outlines
CLEAN = FieldConfig(
    size=(128, 160),
    count=6,
    diameter=24,
    patchiness=0,
    cluster_probability=0,
    kidney_share=0,
    lobed_share=0,
    mitotic_share=0,
    micronucleus_share=0,
    texture=0,
    nucleoli=0,
    bright_spots=0,
    dome=0,
    brightness_spread=0,
    defocus_spread=0,
    illumination=0,
    background=0,
    haze=0,
    cytoplasm=0,
    debris=0,
    photons=1e6,
    read_noise=0,
    offset=0,
    peak=0.25,
    hot_pixels=0,
    bits=16,
)


def make(seed=0, **changes):
    return simulate_field(dataclasses.replace(CLEAN, **changes), np.random.default_rng(seed))


def relative_light(field):
    return field.image / (65535 * CLEAN.peak)


def numbers(labels):
    return np.unique(labels[labels > 0])
