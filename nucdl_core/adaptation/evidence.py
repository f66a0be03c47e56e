"""What can be said without truth about whether an adapted model is better than the one before."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np
from scipy import ndimage
from skimage.measure import regionprops

from nucdl_core.arrays import Floats, Labels
from nucdl_core.errors import ImageError
from nucdl_core.labels import mean_inside, outlines
from nucdl_core.model.predictor import Predictor
from nucdl_core.steps.views import VIEW_SETS, apply_view, undo_view
from nucdl_core.synthesis.background import background_pixels
from nucdl_core.training.judging import find_nuclei, find_nuclei_in, mean_f1
from nucdl_core.training.sources import AnnotatedImage, truth_of

# A nucleus is plausible if it fills so much of its convex hull, and its area is within this factor of the median.
PLAUSIBLE_SOLIDITY, PLAUSIBLE_FACTOR = 0.88, 4.0


@dataclass(frozen=True)
class Signs:
    """What is seen of a model on images without truth; each is the better the higher, and the mean over the images.

    Attributes
    ----------
    views : float
        Mean F1 of what it finds in mirrored views against what it finds in the images.
    second : float
        Mean F1 against what a model of another architecture finds; NaN without one.
    shapes : float
        Share of nuclei of plausible size and shape.
    edges : float
        Steepness of the image along the outlines, in units of the nucleus's light a pixel.
    """

    views: float
    second: float
    shapes: float
    edges: float


@dataclass(frozen=True)
class Gains:
    """By how much an adapted model differs from the one before.

    Attributes
    ----------
    views, second, shapes, edges : float
        Gains, see `Signs`.
    same : float
        Mean F1 of the nuclei of the one against those of the other: how much changes at all.
    count : float
        Logarithm of the number of nuclei found, relative to before.
    synthetic : float
        Gain in mean F1 on synthetic images that it did not learn from.
    usual : float
        Gain in mean F1 on simulated images of all kinds: below 0 it has forgotten something.
    """

    views: float
    second: float
    shapes: float
    edges: float
    same: float
    count: float
    synthetic: float
    usual: float


def gather_gains(
    images: Sequence[Floats],
    models: Sequence[Predictor],
    second: Optional[Predictor],
    synthetic: Sequence[AnnotatedImage],
    usual: Sequence[AnnotatedImage],
) -> Gains:
    """Compare an adapted model with the one before on images without truth.

    Parameters
    ----------
    images : sequence of float32 arrays (H, W)
        Normalized.
    models : two Predictors
        The model before, and the adapted one.
    second : Predictor or None
        A model of another architecture.
    synthetic, usual : sequences of AnnotatedImage
        Images with known nuclei, like the images, and of all kinds.

    Returns
    -------
    Gains
    """
    found = [[find_nuclei_in(image, model) for image in images] for model in models]
    others = None if second is None else [find_nuclei_in(image, second) for image in images]
    before, after = (signs_of(images, labels, model, others) for labels, model in zip(found, models))
    counts = [sum(int(labels.max(initial=0)) for labels in each) for each in found]
    gains = {
        field.name: getattr(after, field.name) - getattr(before, field.name) for field in dataclasses.fields(Signs)
    }
    return Gains(
        **gains,
        same=float(np.mean([mean_f1(old, new) for old, new in zip(*found)])),
        count=math.log((counts[1] + 1) / (counts[0] + 1)),
        synthetic=_gain(models, synthetic),
        usual=_gain(models, usual),
    )


def signs_of(
    images: Sequence[Floats], found: Sequence[Labels], model: Predictor, others: Optional[Sequence[Labels]]
) -> Signs:
    """Look at what a model found.

    Parameters
    ----------
    images : sequence of float32 arrays (H, W)
        Normalized.
    found : sequence of int32 arrays (H, W)
        The nuclei that it found in each.
    model : Predictor
        To find nuclei in mirrored views.
    others : sequence of int32 arrays (H, W), optional
        What another model found.

    Returns
    -------
    Signs
    """
    edges = [edge_steepness(image, labels) for image, labels in zip(images, found)]
    shapes = [plausible_share(labels) for labels in found]
    return Signs(
        views=float(np.mean([view_agreement(image, labels, model) for image, labels in zip(images, found)])),
        second=math.nan if others is None else float(np.mean([mean_f1(*pair) for pair in zip(others, found)])),
        shapes=_mean_known(shapes),
        edges=_mean_known(edges),
    )


def view_agreement(image: Floats, labels: Labels, model: Predictor) -> float:
    """Return the mean F1 of what a model finds in three mirrored views against `labels`."""
    scores = []
    for view in VIEW_SETS["flips"][1:]:
        mirrored = np.ascontiguousarray(apply_view(image, view))
        scores.append(mean_f1(labels, np.ascontiguousarray(undo_view(find_nuclei_in(mirrored, model), view))))
    return float(np.mean(scores))


def plausible_share(labels: Labels) -> float:
    """Return the share of nuclei of plausible size and shape; NaN without nuclei."""
    regions = regionprops(labels)
    if not regions:
        return math.nan
    sizes = np.array([region.area for region in regions], np.float64)
    ratio = sizes / np.median(sizes)
    usual = (ratio > 1 / PLAUSIBLE_FACTOR) & (ratio < PLAUSIBLE_FACTOR)
    solid = np.array([region.solidity for region in regions]) >= PLAUSIBLE_SOLIDITY
    return float((usual & solid).mean())


def edge_steepness(image: Floats, labels: Labels) -> float:
    """Return how steep an image is along outlines, relative to the light of the nuclei; NaN where it cannot be told."""
    if not labels.any():
        return math.nan
    try:
        dark = float(np.median(background_pixels(image, labels, 3)))
    except ImageError:
        return math.nan
    light = float(np.median(mean_inside(image, labels))) - dark
    if light <= 0:
        return math.nan
    slope = ndimage.gaussian_gradient_magnitude(image, 1.0)
    return float(slope[outlines(labels)].mean() / light)


def _mean_known(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else 0.0


def _gain(models: Sequence[Predictor], sources: Sequence[AnnotatedImage]) -> float:
    scores = [[mean_f1(truth_of(source), find_nuclei(source, model)) for source in sources] for model in models]
    return float(np.mean(scores[1]) - np.mean(scores[0])) if sources else 0.0
