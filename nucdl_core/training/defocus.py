"""Blurred training crops, outlined as annotators outline blurred nuclei."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import Labels
from nucdl_core.labels import offset_outlines
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import SimulatedField, simulate_field
from nucdl_core.training.superpose import Layers
from nucdl_core.training.targets import normalized_distance

BLURRED_SHARE = 0.35


def defocus(layers: Layers, diameter: float, rng: np.random.Generator) -> Layers:
    """Blur some crops, by 0.01 to 0.07 nucleus diameters.

    Parameters
    ----------
    layers : Layers
    diameter : float
        Typical nucleus diameter in pixels.
    rng : numpy Generator

    Returns
    -------
    Layers
    """
    if rng.random() >= BLURRED_SHARE:
        return layers
    sigma = float(diameter * rng.uniform(0.01, 0.07))
    labels = as_annotated(layers.labels, sigma)
    size_of = np.zeros(int(labels.max(initial=0)) + 1, np.float32)
    size_of[layers.labels] = layers.sizes
    known = size_of > 0
    size_of[0], size_of[known] = 0, size_of[known] + 2 * sigma
    image = ndimage.gaussian_filter(layers.image, sigma)
    return Layers(image, labels, normalized_distance(labels), size_of[labels], layers.inside)


def as_annotated(labels: Labels, sigma: float) -> Labels:
    """Outline nuclei blurred by `sigma` pixels as annotators do.

    They draw where the light of a nucleus ends, not where it is half as bright as inside: on the training images from
    laboratories with blurred nuclei, one to two pixels further out. One sigma beyond the true outline, a sixth of
    the light is left.
    """
    return offset_outlines(labels, sigma)


def simulate_annotated(settings: FieldConfig, rng: np.random.Generator) -> SimulatedField:
    """Simulate a field whose nuclei are outlined as annotators would; see `image.simulate_field`."""
    field = simulate_field(settings, rng)
    return dataclasses.replace(field, labels=as_annotated(field.labels, settings.defocus))
