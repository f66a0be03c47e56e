"""What can be seen without truth of whether the nuclei that were found in an image are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Doubles, Floats, Labels, Mask
from nucdl_core.overlap import overlap
from nucdl_core.scores.matching import overlap_scores

AGREEING = 5
"""So many of the other results that agree most count: where most variants fail, the good ones still agree."""
MOST_COMPARED = 40
"""Of more different results, only so many are compared with each, evenly chosen."""
# Pixels: noise is smaller, and what is larger is background.
_WINDOW, _SMOOTHING, _BACKGROUND = 3, 1.0, 30.0
# Pixels outside these percentiles are no darker or brighter to the signs.
_DARKEST, _BRIGHTEST = 1.0, 99.8


@dataclass(frozen=True)
class ImageSigns:
    """What is seen of one result in one image; each is the better the higher.

    Attributes
    ----------
    agreement : float
        Mean F1 against the `AGREEING` other results that it agrees with most; 0 where there is no other.
    light : float
        Correlation of the image, without its background, with being a nucleus, whether nuclei are bright or dark: 1
        where light and nuclei are the same.
    """

    agreement: float
    light: float


class Scene:
    """An image as the signs look at it, however it was treated: without noise and without background.

    Parameters
    ----------
    image : array (H, W), any real dtype
    """

    def __init__(self, image: AnyArray) -> None:
        smooth = ndimage.gaussian_filter(ndimage.median_filter(image, _WINDOW).astype(np.float32), _SMOOTHING)
        flat = smooth - _background(smooth)
        self.flat: Floats = np.clip(flat, *np.percentile(flat, (_DARKEST, _BRIGHTEST)))

    def light(self, labels: Labels) -> float:
        """See `ImageSigns.light`; `labels` is int32 (H, W)."""
        inside = labels > 0
        return 0.0 if not inside.any() or inside.all() else abs(_correlation(self.flat, inside))


def agreements(results: Sequence[Labels]) -> List[float]:
    """Say how far each of several results for one image agrees with the others.

    Results that are the same count once, so that nothing wins by having been tried twice.

    Parameters
    ----------
    results : sequence of int32 arrays (H, W)

    Returns
    -------
    list of float
        See `ImageSigns.agreement`.
    """
    contents = [labels.tobytes() for labels in results]
    different = list({content: place for place, content in reversed(list(enumerate(contents)))}.values())
    different.sort()
    step = max(1, -(-len(different) // MOST_COMPARED))
    compared = different[::step]
    values = {}
    for place in different:
        others = [other for other in compared if other != place]
        values[contents[place]] = _mean_of_best([agreement_of(results[place], results[other]) for other in others])
    return [values[content] for content in contents]


def agreement_of(first: Labels, second: Labels) -> float:
    """Return the mean F1 of two label images against each other; symmetric."""
    return float(overlap_scores(overlap(first, second))["mean_f1"])


def _mean_of_best(values: List[float]) -> float:
    best: Doubles = np.sort(values)[-AGREEING:]
    return float(best.mean()) if best.size else 0.0


def _background(image: Floats) -> Floats:
    """Blur an image that goes on beyond its border as steeply as it comes there, so that no slope is left."""
    beyond = min(round(2 * _BACKGROUND), min(image.shape) - 1)
    wide = np.pad(image, beyond, mode="reflect", reflect_type="odd")
    blurred: Floats = ndimage.gaussian_filter(wide, _BACKGROUND)
    return blurred[beyond : beyond + image.shape[0], beyond : beyond + image.shape[1]]


def _correlation(image: Floats, inside: Mask) -> float:
    spread = float(image.std())
    if spread <= 0:
        return 0.0
    share = float(inside.mean())
    difference = float(image[inside].mean()) - float(image[~inside].mean())
    return difference * np.sqrt(share * (1 - share)) / spread
