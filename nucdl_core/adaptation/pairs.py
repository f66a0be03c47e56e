"""New images with their nuclei, which look like those of an experiment."""

from __future__ import annotations

from typing import Iterator, Tuple

import numpy as np

from nucdl_core.adaptation.painting import Painter
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.synthesis.appearance import Appearance
from nucdl_core.synthesis.artificial import SyntheticImage
from nucdl_core.synthesis.masks import masks_of_shapes, simulated_masks
from nucdl_core.synthesis.nucleus_shapes import NucleusShapes

PAIRS = 20
"""Pairs of each style (Hollandi et al.)."""
# An image is as wide as so many typical nuclei, and within these limits in pixels.
_NUCLEI_ACROSS = 11
_SIDES = (160, 1024)


def field_size(appearance: Appearance) -> Tuple[int, int]:
    """Return height and width in pixels of images with enough nuclei to learn from."""
    side = int(np.clip(_NUCLEI_ACROSS * appearance.diameter, *_SIDES))
    return side, side


def new_pairs(
    config: FieldConfig, shapes: NucleusShapes, painter: Painter, count: int, seed: int
) -> Iterator[SyntheticImage]:
    """Make images: half with the shapes of real nuclei, half with simulated ones (Hollandi et al.).

    Parameters
    ----------
    config : FieldConfig
        Size, density and spacing of the nuclei, as fitted.
    shapes : NucleusShapes
    painter : Painter
    count : int
    seed : int
        The same seed gives the same images.

    Yields
    ------
    SyntheticImage
    """
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        labels = simulated_masks(config, rng) if number % 2 else masks_of_shapes(config, shapes, rng)
        yield SyntheticImage(painter.paint(labels, rng), labels)
