"""Fingerprints of images, by which a model's own training images are known again."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import List, Sequence

import numpy as np

from nucdl_core.arrays import Floats
from nucdl_core.model.bundle import ZOO, Bundle
from nucdl_core.training.sources import AnnotatedImage, image_of

BUNDLED_FILE = Path(__file__).with_name("bundled_images.txt")
DIGITS = 8
"""Of a fingerprint: two different images among thousands hardly ever have the same."""


def fingerprint(image: Floats) -> str:
    """Return the fingerprint of an image.

    Parameters
    ----------
    image : float32 array (H, W)
        Normalized, with bright nuclei, so that the number type of the file makes no difference.

    Returns
    -------
    str
        `DIGITS` hexadecimal digits.
    """
    grey = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return hashlib.sha256(repr(grey.shape).encode() + grey.tobytes()).hexdigest()[:DIGITS]


def fingerprints_of(sources: Sequence[AnnotatedImage]) -> List[str]:
    """Return the fingerprints of images, without simulated and synthetic ones, in alphabetical order."""
    real = [source for source in sources if not source.simulated and not source.synthetic]
    return sorted(fingerprint(image_of(source)) for source in real)


def training_fingerprints(bundle: Bundle) -> List[str]:
    """Return the fingerprints of the images that taught a model; none where they were not recorded.

    Those of the bundled models, which all learnt from the same images, stand in a file: other models name a bundled one
    by the hash of its description, so that this does not change.
    """
    if bundle.folder.parent == ZOO:
        return BUNDLED_FILE.read_text(encoding="ascii").split()
    found: List[str] = bundle.description.training.get("fingerprints", [])
    return found
