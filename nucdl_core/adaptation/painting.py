"""Images for nuclei whose outlines are given: by the fitted simulator, or by a pix2pix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import List, Protocol, Sequence, Tuple

import numpy as np
from torch import nn

from nucdl_core.adaptation.translation import Pair, TranslationConfig, train_translation, translate
from nucdl_core.arrays import AnyArray, Floats, Labels
from nucdl_core.labels import outlines, relabel
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.of_labels import simulate_labels
from nucdl_core.synthesis.artificial import pasted_in_place
from nucdl_core.training.targets import normalized_distance

# Grey values between these percentiles of all images are told apart by a pix2pix.
PERCENTILES = (0.05, 99.95)


class Painter(Protocol):
    """Makes images for nuclei whose outlines are given."""

    def paint(self, labels: Labels, rng: np.random.Generator) -> AnyArray:
        """Make an image (H, W) for a label image (H, W)."""
        ...


@dataclass(frozen=True)
class SimulatedPainter:
    """Paints by the simulator.

    Attributes
    ----------
    config : FieldConfig
        As it was fitted to images, see `synthesis.fitting`.
    """

    config: FieldConfig

    def paint(self, labels: Labels, rng: np.random.Generator) -> AnyArray:
        """Make an image, uint8 or uint16."""
        return simulate_labels(labels, self.config, rng).image


@dataclass(frozen=True)
class GreyRange:
    """The grey values that stand for -1 and 1.

    Attributes
    ----------
    low, high : float
    """

    low: float
    high: float

    @classmethod
    def of(cls, images: Sequence[AnyArray]) -> GreyRange:
        """Return the range that holds nearly all pixels of images; see `PERCENTILES`."""
        limits = np.array([np.percentile(image, PERCENTILES) for image in images])
        low, high = float(limits[:, 0].min()), float(limits[:, 1].max())
        return cls(low, max(high, low + 1e-6))

    def inwards(self, image: AnyArray) -> Floats:
        """Map grey values to [-1, 1]."""
        share = (image.astype(np.float32) - np.float32(self.low)) / np.float32(self.high - self.low)
        return np.asarray(np.clip(2 * share - 1, -1, 1), np.float32)

    def outwards(self, values: Floats) -> Floats:
        """Map [-1, 1] to grey values."""
        return np.asarray((values + 1) / 2 * np.float32(self.high - self.low) + np.float32(self.low), np.float32)


@dataclass(frozen=True)
class Translator:
    """A pix2pix that has learnt, with the grey values of the images that it learnt from.

    Attributes
    ----------
    generator : nn.Module
    greys : GreyRange
    """

    generator: nn.Module
    greys: GreyRange

    def translate(self, maps: Floats, rng: np.random.Generator) -> Floats:
        """Turn maps (C, H, W) into an image (H, W), float32, in the grey values of its images."""
        return self.greys.outwards(translate(self.generator, maps, rng))


class TranslatingPainter(Translator):
    """Paints by a pix2pix that has learnt from images with their (found or annotated) nuclei (Hollandi et al.)."""

    def paint(self, labels: Labels, rng: np.random.Generator) -> AnyArray:
        """Make an image, float32."""
        return self.translate(maps_of(labels), rng)


class Naturalizer(Translator):
    """Makes artificial images natural by a pix2pix (Kromp et al.)."""

    def naturalize(self, image: AnyArray, rng: np.random.Generator) -> Floats:
        """Return the natural image of an artificial one, float32 (H, W)."""
        return self.translate(self.greys.inwards(image)[None], rng)


def learn_to_paint(
    images: Sequence[Tuple[AnyArray, Labels]], config: TranslationConfig, folder: Path, device: str
) -> TranslatingPainter:
    """Teach a pix2pix how images look where their nuclei are.

    Parameters
    ----------
    images : sequence of (array (H, W), int32 array (H, W))
        At least one image with its nuclei.
    config : TranslationConfig
    folder : Path
        An existing one, in which an interrupted training goes on.
    device : str
        "cpu" or "cuda".

    Returns
    -------
    TranslatingPainter

    Raises
    ------
    BundleError, NucDLError
        See `translation.train_translation`.
    """
    greys = GreyRange.of([image for image, _ in images])
    pairs = [Pair(maps_of(labels), greys.inwards(image)) for image, labels in images]
    return TranslatingPainter(train_translation(config, pairs, folder, device), greys)


def maps_of(labels: Labels) -> Floats:
    """Return what a pix2pix is told about nuclei: distances to their rims, and their outlines.

    Returns
    -------
    float32 array (2, H, W)
        In [-1, 1].
    """
    numbered = relabel(labels)
    rims = outlines(numbered).astype(np.float32)
    return np.stack([normalized_distance(numbered), rims]) * np.float32(2) - np.float32(1)


def learn_to_naturalize(
    images: Sequence[Tuple[AnyArray, Labels]], config: TranslationConfig, folder: Path, device: str
) -> Naturalizer:
    """Teach a pix2pix with images, and the same nuclei at the same places on artificial background.

    Parameters, errors: see `learn_to_paint`.

    Returns
    -------
    Naturalizer
    """
    greys = GreyRange.of([image for image, _ in images])
    pairs: List[Pair] = []
    for number, (image, labels) in enumerate(images):
        rng = np.random.default_rng([config.seed, number])
        artificial = pasted_in_place(image, labels, rng).image
        pairs.append(Pair(greys.inwards(artificial)[None], greys.inwards(image)))
    return Naturalizer(train_translation(config, pairs, folder, device), greys)
