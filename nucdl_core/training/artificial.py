"""Artificial images to learn from beside annotated ones: their nuclei, in crowds (Kromp et al.)."""

from __future__ import annotations

import logging
from typing import List, Sequence

import numpy as np

from nucdl_core.errors import ImageError
from nucdl_core.synthesis.artificial import ArtificialConfig, artificial_image
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.sources import AnnotatedImage, image_of, prepare, truth_of

_LOGGER = logging.getLogger(__name__)
FEWEST, PER_IMAGE = 20, 2
"""So many artificial images are made at least, and of each annotated one."""


def with_artificial(sources: Sequence[AnnotatedImage], config: TrainConfig) -> List[AnnotatedImage]:
    """Return training images and, where the configuration wants them, artificial ones made of them.

    Raises
    ------
    ImageError
        See `artificial_sources`.
    """
    return [*sources, *(artificial_sources(sources, config.seed) if config.synthetic_share > 0 else [])]


def artificial_sources(sources: Sequence[AnnotatedImage], seed: int) -> List[AnnotatedImage]:
    """Make artificial images of annotated ones, with crowds of 3 x 3 and of 5 x 5 nuclei in turn.

    Parameters
    ----------
    sources : sequence of AnnotatedImage
        At least one.
    seed : int
        The same seed gives the same images.

    Returns
    -------
    list of AnnotatedImage
        Of the groups of what they were made from, and known as synthetic.

    Raises
    ------
    ImageError
        If none of the images has whole nuclei and background.
    """
    made: List[AnnotatedImage] = []
    refused = ""
    for number in range(max(FEWEST, PER_IMAGE * len(sources))):
        source = sources[number % len(sources)]
        side = 3 if number // len(sources) % 2 == 0 else 5
        rng = np.random.default_rng([seed, number])
        try:
            new = artificial_image(image_of(source), truth_of(source), ArtificialConfig(grid=(side, side)), rng)
        except ImageError as error:
            refused = f"{source.name}: {error}"
            continue
        if new.labels.any():
            name = f"{source.name}_artificial{number}"
            made.append(prepare(name, new.image, new.labels, source.modality, group=source.group, synthetic=True))
    if not made:
        raise ImageError(f"no artificial images can be made of the training images ({refused})")
    if refused:
        _LOGGER.warning("no artificial images were made of some training images, the last one %s", refused)
    return made
