"""How far out a laboratory draws its outlines, found on one or two annotated images.

Annotators draw the outline of a nucleus 0.4 to 1.4 pixels outside of the place where its light has fallen to half, each
laboratory in its own way. That decides most of what is lost above an IoU of 0.8. Two numbers follow it: the probability
above which a pixel belongs to a nucleus, which moves outlines by parts of a pixel, and an offset in whole steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.labels import offset_outlines
from nucdl_core.model.predictor import Predictor
from nucdl_core.scores.matching import image_scores
from nucdl_core.training.calibrate import PredictedTruth

_FOREGROUNDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_OFFSETS = (-1.0, -0.5, 0.5, 1.0, 1.5)
# Beside these steps of the threshold, offsets are tried as well.
_NEIGHBOURS = (-0.1, 0.0, 0.1)
# Chosen on one or two images, a smaller gain does not hold on others of the laboratory; see docs/accuracy.md.
_GAIN_THAT_HOLDS = 0.02


@dataclass(frozen=True)
class OutlineStyle:
    """How far out outlines are drawn.

    Attributes
    ----------
    foreground : float
        Probability above which a pixel belongs to a nucleus.
    offset : float
        Pixels by which outlines are moved outwards then, see `labels.offset_outlines`.
    """

    foreground: float
    offset: float = 0.0


@dataclass(frozen=True)
class ChosenStyle:
    """The style that fits annotated images best, and what it gains on images that took no part in choosing it.

    Attributes
    ----------
    style : OutlineStyle
        The usual one where no other is clearly better.
    usual, chosen : float64 arrays (N, 2)
        Mean F1, and F1 at an IoU of 0.9, of each image with the usual style and with the one that the other images
        choose; of a single image with the one that it chooses itself.
    """

    style: OutlineStyle
    usual: NDArray[np.float64]
    chosen: NDArray[np.float64]


def styles_around(usual: OutlineStyle) -> List[OutlineStyle]:
    """Name the styles that are tried, the usual one first."""
    thresholds = [OutlineStyle(value) for value in _FOREGROUNDS]
    near = [round(usual.foreground + step, 2) for step in _NEIGHBOURS]
    moved = [OutlineStyle(value, offset) for value in near if 0 < value < 1 for offset in _OFFSETS]
    return list(dict.fromkeys([usual, *thresholds, *moved]))


def style_scores(
    images: Sequence[PredictedTruth], predictor: Predictor, styles: Sequence[OutlineStyle]
) -> NDArray[np.float64]:
    """Score each style on each image.

    Parameters
    ----------
    images : sequence of PredictedTruth
        N annotated images.
    predictor : Predictor
        That has predicted them.
    styles : sequence of OutlineStyle
        S of them.

    Returns
    -------
    float64 array (N, S, 2)
        Mean F1, and F1 at an IoU of 0.9.
    """
    return np.array([[_scores_of(image, predictor, style) for style in styles] for image in images])


def _scores_of(image: PredictedTruth, predictor: Predictor, style: OutlineStyle) -> Tuple[float, float]:
    found = predictor.find(image.prediction, predictor.decision(style.foreground)).labels
    scores = image_scores(image.truth, offset_outlines(found, style.offset))
    return float(scores["mean_f1"]), float(scores["f1_0.90"])


def choose_style(scores: NDArray[np.float64], styles: Sequence[OutlineStyle]) -> ChosenStyle:
    """Choose the style with the best mean F1, where it clearly gains over the first one, the usual one.

    Parameters
    ----------
    scores : float64 array (N, S, 2)
        See `style_scores`.
    styles : sequence of OutlineStyle

    Returns
    -------
    ChosenStyle
        Of several images each is judged by the style that the others choose. The usual one stays as well where that
        gains nothing.
    """
    count = len(scores)
    others = [np.delete(scores, index, axis=0) if count > 1 else scores for index in range(count)]
    chosen = np.array([scores[index, _best(rest)] for index, rest in enumerate(others)])
    usual = scores[:, 0]
    best = _best(scores) if chosen[:, 0].mean() > usual[:, 0].mean() else 0
    return ChosenStyle(styles[best], usual, chosen)


def _best(scores: NDArray[np.float64]) -> int:
    means = scores[:, :, 0].mean(axis=0)
    best = int(np.argmax(means))
    return best if means[best] - means[0] >= _GAIN_THAT_HOLDS else 0
