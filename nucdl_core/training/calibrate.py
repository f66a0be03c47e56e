"""Choosing how maps become nuclei: the decision that scores best on validation images."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from nucdl_core.arrays import Floats, Labels
from nucdl_core.model.predictor import Predictor
from nucdl_core.model.registry import family_of, load_part
from nucdl_core.scores.matching import image_scores
from nucdl_core.steps.instances import ONE_BY_ONE, Decision
from nucdl_core.steps.views import VIEW_SETS

_LOGGER = logging.getLogger(__name__)

Choices = Dict[str, Tuple[float, ...]]
"""Where each number of a decision is searched, by its name."""

SMALLEST = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35)
# Each number is searched in turn while the others stay, `ROUNDS` times over.
PIXEL_NUMBERS: Choices = {
    "seed": (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7),
    "foreground": (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65),
    "smallest": SMALLEST,
    "score": (0.0, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75),
}
MAP_CHOICES: Dict[str, Choices] = dict.fromkeys(("three_class", "distance", "combined"), PIXEL_NUMBERS)
"""Choices for each way to decode maps."""
THREE_CLASS_CHOICES: Dict[str, Choices] = {"three_class": PIXEL_NUMBERS}
"""Choices for networks that tell interior and boundary."""
DISTANCE_CHOICES: Dict[str, Choices] = {"distance": PIXEL_NUMBERS}
"""Choices for networks that tell what is inside of each nucleus."""
BORDER_CHOICES: Dict[str, Choices] = {
    "border": {**PIXEL_NUMBERS, "foreground": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7)}
}
"""Choices for two networks that tell distance and border, where the foreground stands for a distance."""
MASK_CHOICES: Dict[str, Choices] = {
    "foreground": {**PIXEL_NUMBERS, "seed": (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)}
}
"""Choices for networks that tell a mask and nothing else."""
INSTANCE_CHOICES: Dict[str, Choices] = {
    ONE_BY_ONE: {
        "score": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
        "foreground": (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65),
        "smallest": SMALLEST,
    }
}
"""Choices for networks that find nuclei one by one."""
ROUNDS = 2
FEWEST_JUDGES = 3


@dataclass(frozen=True)
class PredictedTruth:
    """An annotated image after the network, by which decisions are judged.

    Attributes
    ----------
    truth : int32 array (H, W)
    prediction : any
        Of one view, as the model's `Predictor.predict` gives it.
    weight : float
        How much the image counts. Images of one laboratory resemble each other, and if each counted fully, the
        laboratory with the most images would decide for all.
    simulated : bool
        Whether its outlines are known rather than drawn.
    finer : float32 array (H, W) or None
        Probability at a finer scale, where the correction of outlines is judged as well.
    """

    truth: Labels
    prediction: Any
    weight: float = 1.0
    simulated: bool = False
    finer: Optional[Floats] = None


def predict_image(image: Floats, truth: Labels, predictor: Predictor, weight: float = 1.0) -> PredictedTruth:
    """Run the network at the scale that the automatic size estimate gives, as users will.

    Parameters
    ----------
    image : float32 array (H, W)
        Normalized.
    truth : int32 array (H, W)
    predictor : Predictor
    weight : float
        See `PredictedTruth`.
    """
    diameter = predictor.size_model.estimate_diameters(image)[0]
    return PredictedTruth(truth, predictor.predict(image, diameter, VIEW_SETS["none"]), weight)


def scores_of(decision: Decision, images: Sequence[PredictedTruth], predictor: Predictor) -> NDArray[np.float64]:
    """Return the mean F1 that a decision reaches on each image, float64 array (N,)."""
    found = [predictor.find(image.prediction, decision).labels for image in images]
    scores = [image_scores(image.truth, labels)["mean_f1"] for image, labels in zip(images, found)]
    return np.array(scores, np.float64)


def weights_for(key: str, images: Sequence[PredictedTruth]) -> NDArray[np.float64]:
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


def recalibrate(images: Sequence[PredictedTruth], predictor: Predictor, decision: Decision) -> Decision:
    """Let the numbers of a decision that is known to be good leave their values only for a clear gain.

    Parameters
    ----------
    images : sequence of PredictedTruth
        See `calibrate`. Fewer than `FEWEST_JUDGES` cannot tell a gain from chance, and the decision stays.
    predictor : Predictor
    decision : Decision

    Returns
    -------
    Decision
        With the same decoder.
    """
    if len(images) < FEWEST_JUDGES:
        return decision
    choices = load_part(family_of(predictor.description.family).calibration)[decision.decoder]
    return climb(decision, choices, Jury(images, predictor), clear_only=True)


def calibrate(
    images: Sequence[PredictedTruth], predictor: Predictor, searches: Optional[Mapping[str, Choices]] = None
) -> Tuple[Decision, Dict[str, float]]:
    """Find the decoder and its numbers with the best mean F1.

    Parameters
    ----------
    images : sequence of PredictedTruth
        Validation images: none that the network was trained on, none of a test set.
    predictor : Predictor
        That has predicted them; its own decision does not count.
    searches : mapping of str to Choices, optional
        Where each number is searched, for each decoder; without it as the registry says for the model's family.

    Returns
    -------
    Decision
        The best one.
    dict
        Best mean F1 of each decoder.
    """
    if searches is None:
        searches = load_part(family_of(predictor.description.family).calibration)
    best: Dict[str, Tuple[float, Decision]] = {}
    for decoder, choices in searches.items():
        usual = {**family_of(predictor.description.family).decision, "decoder": decoder}
        decision, jury = Decision(**usual), Jury(images, predictor)
        careful, bold = (climb(decision, choices, jury, clear_only) for clear_only in (True, False))
        # Two numbers may gain clearly together and neither of them alone.
        gains = jury.scores(bold) - jury.scores(careful)
        decision = bold if is_clear(gains, jury.weights()) else careful
        score = float(np.average(jury.scores(decision), weights=jury.weights()))
        _LOGGER.info("decoder %s: mean F1 %.4f with %s", decoder, score, decision)
        best[decoder] = (score, decision)
    winner = max(best.values(), key=lambda entry: entry[0])[1]
    return winner, {decoder: round(score, 4) for decoder, (score, _) in best.items()}


class Jury:
    """Validation images that judge decisions, each decision once.

    Parameters
    ----------
    images, predictor
        As for `calibrate`.
    """

    def __init__(self, images: Sequence[PredictedTruth], predictor: Predictor) -> None:
        self.images, self.predictor = images, predictor
        self._known: Dict[Decision, NDArray[np.float64]] = {}

    def scores(self, decision: Decision) -> NDArray[np.float64]:
        """Return the mean F1 that a decision reaches on each image, float64 array (N,)."""
        if decision not in self._known:
            self._known[decision] = scores_of(decision, self.images, self.predictor)
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
