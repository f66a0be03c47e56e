"""Whether a new model is better than the one before, said so that nobody can misunderstand it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucdl_core.scores.significance import compare_paired

# On a single image a gain below this is not told apart from chance; two annotators of one image differ by more.
SMALLEST_GAIN = 0.01
SIGNIFICANT = 0.05
# With fewer images the smallest possible p-value of Wilcoxon's test is above 0.05.
FEWEST_FOR_TEST = 6


@dataclass(frozen=True)
class Verdict:
    """What to do with a new model.

    Attributes
    ----------
    better : bool
        Whether it is to be used.
    sentence : str
        Why, in plain words.
    """

    better: bool
    sentence: str


def is_better(own: NDArray[np.float64], before: NDArray[np.float64]) -> bool:
    """Tell whether the gain is larger than its standard error and, of a single image, than `SMALLEST_GAIN`.

    Parameters
    ----------
    own, before : float64 arrays (N,)
        Scores of the same images, in the same order; at least one.
    """
    gains = own - before
    error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else SMALLEST_GAIN
    return bool(gains.mean() > 0 and gains.mean() >= error)


def judge(own: NDArray[np.float64], before: NDArray[np.float64], name: str) -> Verdict:
    """Compare a new model with the one before on the same validation images.

    Parameters
    ----------
    own, before : float64 arrays (N,)
        Mean F1 of each image, in the same order; at least one.
    name : str
        Of the model before.

    Returns
    -------
    Verdict
        Better where it `is_better`.
    """
    found, better = compare_paired(own, before), is_better(own, before)
    images = "the validation image" if len(own) == 1 else f"{len(own)} validation images"
    figures = (
        f"on {images} the mean F1 is {own.mean():.3f}, with {name} {before.mean():.3f} "
        f"(better on {found.better}, worse on {found.worse})"
    )
    if not better:
        return Verdict(False, f"Do not use your model: {figures}, so it is not clearly better. Keep {name}. {_ADVICE}")
    if len(own) < FEWEST_FOR_TEST:
        return Verdict(
            True, f"Use your model: {figures}. So few images cannot prove it: look at the outlines on the page."
        )
    if found.p_value < SIGNIFICANT:
        return Verdict(True, f"Use your model: {figures}; this is hardly chance (Wilcoxon, p = {found.p_value:.2g}).")
    return Verdict(
        True,
        f"Use your model, but with an eye on it: {figures}; this may be chance (Wilcoxon, p = {found.p_value:.2g}). "
        "Look at the outlines on the page.",
    )


def gain_text(score: str, own: NDArray[np.float64], before: NDArray[np.float64]) -> str:
    """Say how a score changed on the same images, with the 95 % bootstrap interval of the difference.

    Parameters
    ----------
    score : str
        What it is called.
    own, before : float64 arrays (N,)
        Scores of the same images, in the same order; at least one.
    """
    found = compare_paired(own, before)
    interval = f" (95 % interval {found.low:+.3f} to {found.high:+.3f})" if len(own) > 1 else ""
    return f"{score} {before.mean():.3f} before, {own.mean():.3f} after, {found.difference:+.3f}{interval}"


_ADVICE = "More annotated images, above all of the kind that goes wrong, help more than longer training."
