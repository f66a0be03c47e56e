"""Choosing how maps become nuclei: the decision that scores best on validation images."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Dict, Mapping, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from nucdl_core.arrays import Floats, Labels
from nucdl_core.labels import relabel
from nucdl_core.model.maskrcnn_predictor import AnyPredictor
from nucdl_core.scores.matching import image_scores
from nucdl_core.steps.detections import InstancePrediction, decode_views
from nucdl_core.steps.instances import DECODERS, INSTANCES, Decision, Prediction, decode
from nucdl_core.steps.size import estimate_diameter
from nucdl_core.steps.views import VIEW_SETS

LOGGER = logging.getLogger(__name__)

Choices = Dict[str, Tuple[float, ...]]

# Each number is searched in turn while the others stay, `ROUNDS` times over.
CHOICES: Choices = {
    "seed": (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7),
    "foreground": (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65),
    "smallest": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35),
    "score": (0.0, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75),
}
INSTANCE_CHOICES: Choices = {
    "score": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
    "foreground": (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65),
    "smallest": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35),
}
ROUNDS = 2
# By family and decoder.
SEARCHES = {"unet": dict.fromkeys(DECODERS, CHOICES), "maskrcnn": {INSTANCES: INSTANCE_CHOICES}}


@dataclass(frozen=True)
class PredictedImage:
    """A validation image after the network.

    Attributes
    ----------
    truth : int32 array (H, W)
    prediction : Prediction or InstancePrediction
    weight : float
        How much the image counts. Images of one laboratory resemble each other, and if each counted fully, the
        laboratory with the most images would decide for all.
    simulated : bool
        Whether its outlines are known rather than drawn.
    """

    truth: Labels
    prediction: Union[Prediction, InstancePrediction]
    weight: float = 1.0
    simulated: bool = False


def predict_image(image: Floats, truth: Labels, predictor: AnyPredictor, weight: float = 1.0) -> PredictedImage:
    """Run the network at the scale that the automatic size estimate gives, as users will.

    Parameters
    ----------
    image : float32 array (H, W)
        Normalized.
    truth : int32 array (H, W)
    predictor : Predictor or InstancePredictor
    weight : float
        See `PredictedImage`.
    """
    eye = predictor.companion
    canonical = eye.description.canonical_diameter
    diameter = estimate_diameter(image, canonical, eye.maps_at) or canonical
    return PredictedImage(truth, predictor.predict(image, diameter, VIEW_SETS["none"]), weight)


def scores_of(decision: Decision, images: Sequence[PredictedImage], canonical_diameter: float) -> NDArray[np.float64]:
    """Return the mean F1 that a decision reaches on each image, float64 array (N,)."""
    found = [decided(image.prediction, decision, canonical_diameter) for image in images]
    scores = [image_scores(image.truth, labels)["mean_f1"] for image, labels in zip(images, found)]
    return np.array(scores, np.float64)


def weights_for(key: str, images: Sequence[PredictedImage]) -> NDArray[np.float64]:
    """Return how much each image counts in the choice of a number, float64 array (N,).

    Simulated fields do not say how far out annotators draw an outline, so that they have no say in the threshold,
    unless there is nothing else.
    """
    weights = np.array([image.weight for image in images])
    drawn = np.array([not image.simulated for image in images])
    return weights * drawn if key == "foreground" and drawn.any() else weights


def is_clear(gains: NDArray[np.float64], weights: NDArray[np.float64]) -> bool:
    """Tell whether the weighted average gain is larger than its standard error, so that it is hardly chance.

    The one-standard-error rule of Breiman et al. (Classification and Regression Trees, 1984): of settings that the data
    cannot tell apart, the usual one is taken.
    """
    mean = np.average(gains, weights=weights)
    error = np.sqrt(np.sum((weights * (gains - mean)) ** 2)) / weights.sum()
    return bool(mean > error)


def decided(prediction: Union[Prediction, InstancePrediction], decision: Decision, canonical_diameter: float) -> Labels:
    """Return the nuclei that a decision finds in a prediction of one view, 1..N without gaps."""
    if isinstance(prediction, InstancePrediction):
        return decode_views(prediction, decision, canonical_diameter)[0].labels
    return relabel(decode(prediction, decision, canonical_diameter))


def calibrate(
    images: Sequence[PredictedImage], canonical_diameter: float, searches: Mapping[str, Choices] = SEARCHES["unet"]
) -> Tuple[Decision, Dict[str, float]]:
    """Find the decoder and its numbers with the best mean F1.

    Parameters
    ----------
    images : sequence of PredictedImage
        Validation images: none that the network was trained on, none of a test set.
    canonical_diameter : float
        In pixels.
    searches : mapping
        Where each number is searched, for each decoder; see `SEARCHES`.

    Returns
    -------
    Decision
        The best one.
    dict
        Best mean F1 of each decoder.
    """
    best: Dict[str, Tuple[float, Decision]] = {}
    for decoder, choices in searches.items():
        decision, jury = Decision(decoder=decoder), Jury(images, canonical_diameter)
        careful, bold = (climb(decision, choices, jury, clear_only) for clear_only in (True, False))
        # Two numbers may gain clearly together and neither of them alone.
        gains = jury.scores(bold) - jury.scores(careful)
        decision = bold if is_clear(gains, jury.weights()) else careful
        score = float(np.average(jury.scores(decision), weights=jury.weights()))
        LOGGER.info("decoder %s: mean F1 %.4f with %s", decoder, score, decision)
        best[decoder] = (score, decision)
    winner = max(best.values(), key=lambda entry: entry[0])[1]
    return winner, {decoder: round(score, 4) for decoder, (score, _) in best.items()}


class Jury:
    """Validation images that judge decisions, each decision once.

    Parameters
    ----------
    images, canonical_diameter
        As for `calibrate`.
    """

    def __init__(self, images: Sequence[PredictedImage], canonical_diameter: float) -> None:
        self.images, self.canonical_diameter = images, canonical_diameter
        self._known: Dict[Decision, NDArray[np.float64]] = {}

    def scores(self, decision: Decision) -> NDArray[np.float64]:
        """Return the mean F1 that a decision reaches on each image, float64 array (N,)."""
        if decision not in self._known:
            self._known[decision] = scores_of(decision, self.images, self.canonical_diameter)
        return self._known[decision]

    def weights(self, key: str = "") -> NDArray[np.float64]:
        """Return how much each image counts in the choice of a number, or in all."""
        return weights_for(key, self.images)


def climb(decision: Decision, choices: Choices, jury: Jury, clear_only: bool = False) -> Decision:
    """Take the best value of each number in turn while the others stay, `ROUNDS` times.

    Parameters
    ----------
    decision : Decision
        Where it begins.
    choices : dict
        Values of each number.
    jury : Jury
    clear_only : bool
        Whether a number leaves its value only for a gain that `is_clear`.

    Returns
    -------
    Decision
    """
    for key in tqdm(list(choices) * ROUNDS, desc=f"calibrating {decision.decoder}", unit="number"):
        judges = jury.weights(key)
        candidates = [decision, *(replace(decision, **{key: value}) for value in choices[key])]  # type: ignore[arg-type]
        best = candidates[int(np.argmax([np.average(jury.scores(each), weights=judges) for each in candidates]))]
        if not clear_only or is_clear(jury.scores(best) - jury.scores(decision), judges):
            decision = best
    return decision
