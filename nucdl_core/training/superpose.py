"""Crowded tissue from sparse images: nuclei of one crop laid over those of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nucdl_core.arrays import Floats, Labels, Mask
from nucdl_core.labels import areas, drop
from nucdl_core.synthesis.covering import HALO, mostly_covered, soft_cover
from nucdl_core.training.targets import normalized_distance


@dataclass(frozen=True)
class Layers:
    """A crop before its intensities are varied.

    Attributes
    ----------
    image : float32 array (H, W)
        Normalized.
    labels : int32 array (H, W)
    distance : float32 array (H, W)
        See `targets.normalized_distance`.
    sizes : float32 array (H, W)
        Equivalent diameter in pixels of the nucleus at each pixel; 0 where it is not known.
    inside : bool array (H, W)
        False beyond the border of the source, where the crop shows its mirror image. Nothing can be learnt there: a cut
        nucleus and its mirror image look like two nuclei that touch, or like one, whatever the annotation says.
    """

    image: Floats
    labels: Labels
    distance: Floats
    sizes: Floats
    inside: Mask


def superpose(below: Layers, above: Layers, diameter: float, rng: np.random.Generator) -> Layers:
    """Lay some nuclei of one crop over another crop.

    After the artificial images of Kromp et al.: where two nuclei overlap, either the upper one replaces the lower
    one, or their light adds up; the upper one's mask always replaces.

    Parameters
    ----------
    below, above : Layers
    diameter : float
        Typical nucleus diameter of both in pixels.
    rng : numpy Generator

    Returns
    -------
    Layers
    """
    chosen = rng.random(int(above.labels.max(initial=0)) + 1) < rng.uniform(0.2, 0.8)
    chosen[0] = False
    laid = chosen[above.labels] & above.inside
    cover = soft_cover(laid, HALO * diameter)
    gain = np.float32(np.exp(rng.normal(0, 0.3)))
    opacity = cover if rng.random() < 0.5 else cover * np.float32(rng.uniform(0, 0.7))
    labels = _without_remnants(below.labels, laid)
    labels = np.where(laid, above.labels + labels.max(initial=0), labels).astype(np.int32)
    return Layers(
        image=below.image * (1 - opacity) + gain * above.image * cover,
        labels=labels,
        distance=normalized_distance(labels),
        sizes=np.where(laid, above.sizes, below.sizes * (labels > 0)),
        inside=below.inside,
    )


def _without_remnants(labels: Labels, laid: Mask) -> Labels:
    """Remove what is covered, and nuclei of which too little stays visible."""
    visible = np.where(laid, 0, labels)
    return drop(visible, mostly_covered(visible, areas(labels)))
