"""How the images of a cluster look, and new images that look like them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import List, Sequence

import numpy as np

from nucdl_core.adaptation.images import SeenImage
from nucdl_core.adaptation.painting import Painter, SimulatedPainter, learn_to_paint
from nucdl_core.adaptation.pairs import PAIRS, field_size, new_pairs
from nucdl_core.adaptation.translation import CROP, TranslationConfig
from nucdl_core.files.writing import make_folder
from nucdl_core.labels import resize_nearest
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.steps.normalize import normalize
from nucdl_core.steps.resampling import resize
from nucdl_core.synthesis.appearance import mean_appearance
from nucdl_core.synthesis.artificial import SyntheticImage
from nucdl_core.synthesis.fitting import Fit, fit_simulator, misfit
from nucdl_core.synthesis.nucleus_shapes import NucleusShapes

PIX2PIX = "pix2pix"
PAINTERS = ("simulator", PIX2PIX)
PIX2PIX_DIAMETER = 28.0
"""Images are rescaled to nuclei of so many pixels before a pix2pix sees them, as a model sees them."""


@dataclass(frozen=True)
class Style:
    """A cluster of images, and how new ones like them are made.

    Attributes
    ----------
    members : sequence of str
        Names of the images of the cluster.
    fit : Fit
        The simulator fitted to them.
    misfit : float
        How far its images are from them, see `synthesis.fitting.misfit`.
    config : FieldConfig
        Sizes and places of nuclei in new images.
    painter : Painter
    """

    members: Sequence[str]
    fit: Fit
    misfit: float
    config: FieldConfig
    painter: Painter

    def pairs(self, shapes: NucleusShapes, seed: int, count: int = PAIRS) -> List[SyntheticImage]:
        """Make new images with their nuclei; those without nuclei are left out."""
        made = new_pairs(self.config, shapes, self.painter, count, seed)
        return [pair for pair in made if pair.labels.any()]


def simulated_style(images: Sequence[SeenImage], seed: int) -> Style:
    """Fit the simulator to the images of a cluster.

    Parameters
    ----------
    images : sequence of SeenImage
        At least one.
    seed : int

    Returns
    -------
    Style
    """
    wanted = mean_appearance([image.appearance for image in images])
    fit = fit_simulator(wanted, images[0].image.dtype, field_size(wanted), np.random.default_rng(seed))
    names = [image.name for image in images]
    return Style(names, fit, misfit(wanted, fit.appearance), fit.config, SimulatedPainter(fit.config))


def translated_style(
    images: Sequence[SeenImage], seed: int, config: TranslationConfig, folder: Path, device: str
) -> Style:
    """Teach a pix2pix how the images of a cluster look.

    Parameters
    ----------
    images : sequence of SeenImage
        At least one.
    seed : int
    config : TranslationConfig
    folder : Path
        Made if it is not there; an interrupted training goes on in it.
    device : str
        "cpu" or "cuda".

    Returns
    -------
    Style
        Its images have nuclei of `PIX2PIX_DIAMETER` pixels.
    """
    simulated = simulated_style(images, seed)
    make_folder(folder)
    examples = []
    for each in images:
        scale = PIX2PIX_DIAMETER / each.appearance.diameter
        height, width = (max(1, round(side * scale)) for side in each.image.shape)
        image = resize(normalize(each.image), (height, width))
        examples.append((image, resize_nearest(each.labels, (height, width))))
    painter = learn_to_paint(examples, config, folder, device)
    sizes = dataclasses.replace(simulated.config, diameter=PIX2PIX_DIAMETER, size=(CROP, CROP))
    return dataclasses.replace(simulated, config=sizes, painter=painter)
