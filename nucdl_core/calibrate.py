"""Choosing how maps become nuclei: the decision that scores best on validation images."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Dict, List, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from nucdl_core.arrays import Floats, Labels
from nucdl_core.instances import DECODERS, Decision, Prediction, decode
from nucdl_core.labels import relabel
from nucdl_core.metrics import image_scores
from nucdl_core.predict import Predictor
from nucdl_core.size import estimate_diameter
from nucdl_core.tta import VIEW_SETS

LOGGER = logging.getLogger(__name__)

# Each number is searched in turn while the others stay, twice over.
CHOICES: Dict[str, Tuple[float, ...]] = {
    "seed": (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7),
    "foreground": (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65),
    "smallest": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35),
    "score": (0.0, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75),
}
ROUNDS = 2


@dataclass(frozen=True)
class PredictedImage:
    """A validation image after the network.

    Attributes
    ----------
    truth : int32 array (H, W)
    prediction : Prediction
    weight : float
        How much the image counts. Images of one laboratory resemble each other, and if each counted fully, the
        laboratory with the most images would decide for all.
    """

    truth: Labels
    prediction: Prediction
    weight: float = 1.0


def predict_image(image: Floats, truth: Labels, predictor: Predictor, weight: float = 1.0) -> PredictedImage:
    """Run the network at the scale that the automatic size estimate gives, as users will.

    Parameters
    ----------
    image : float32 array (H, W)
        Normalized.
    truth : int32 array (H, W)
    predictor : Predictor
    weight : float
        See `PredictedImage`.
    """
    canonical = predictor.description.canonical_diameter
    diameter = estimate_diameter(image, canonical, predictor.maps_at) or canonical
    return PredictedImage(truth, predictor.predict(image, diameter, VIEW_SETS["none"]), weight)


def score_decision(decision: Decision, images: Sequence[PredictedImage], canonical_diameter: float) -> float:
    """Return the weighted average over the images of the mean F1 that a decision reaches."""
    scores: List[float] = []
    for image in images:
        labels = relabel(decode(image.prediction, decision, canonical_diameter))
        scores.append(float(image_scores(image.truth, labels)["mean_f1"]))
    return float(np.average(scores, weights=[image.weight for image in images]))


def calibrate(images: Sequence[PredictedImage], canonical_diameter: float) -> Tuple[Decision, Dict[str, float]]:
    """Find the decoder and its numbers with the best mean F1.

    Parameters
    ----------
    images : sequence of PredictedImage
        Validation images: none that the network was trained on, none of a test set.
    canonical_diameter : float
        In pixels.

    Returns
    -------
    Decision
        The best one.
    dict
        Best mean F1 of each decoder.
    """
    best: Dict[str, Tuple[float, Decision]] = {}
    for decoder in DECODERS:
        decision = Decision(decoder=decoder)
        score = score_decision(decision, images, canonical_diameter)
        for key in tqdm(list(CHOICES) * ROUNDS, desc=f"calibrating {decoder}", unit="number"):
            for value in CHOICES[key]:
                candidate = replace(decision, **{key: value})  # type: ignore[arg-type]
                if candidate == decision:
                    continue
                reached = score_decision(candidate, images, canonical_diameter)
                if reached > score:
                    score, decision = reached, candidate
        LOGGER.info("decoder %s: mean F1 %.4f with %s", decoder, score, decision)
        best[decoder] = (score, decision)
    winner = max(best.values(), key=lambda entry: entry[0])[1]
    return winner, {decoder: round(score, 4) for decoder, (score, _) in best.items()}
