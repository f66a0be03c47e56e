"""Whether an adapted model is better, judged without truth by a rule that was fitted where the truth is known.

The rule is a weighted sum of what can be seen without truth (`evidence.Gains`) that predicts by how much the mean F1
changed. Its weights were found by ridge regression on adaptations to kinds of images that the model had never seen, and
its errors counted on kinds that the regression had not seen either (docs/adaptation.md).
"""

from __future__ import annotations

import math
from typing import Dict, List, Tuple

import numpy as np

from nucdl_core.adaptation.evidence import Gains
from nucdl_core.arrays import Doubles
from nucdl_core.training.verdict import Verdict

SIGNS = ("views", "second", "shapes", "edges", "change", "fewer", "more", "synthetic", "usual")
"""What the rule weighs, in the order of its weights; see `signs_in`."""
INTERCEPT = 0.0167
RULE_WEIGHTS = (-0.0797, 0.2011, 0.2221, 1.205, 0.0288, 0.0403, 0.2093, 0.1886, -0.1809)
RECOMMENDED_FROM = 0.02
"""Expected gain from which a model is recommended."""
TRACK_RECORD = (
    "On kinds of images that it was not fitted to, this rule recommended 24 of 30 adaptations, 2 of them wrongly, and "
    "missed 4 of 26 gains."
)
"""How often the rule was right on kinds of images that it was not fitted to."""


def signs_in(evidence: Gains) -> Doubles:
    """Return the numbers that the rule weighs, float64 array (9,); without a second model its sign is 0.

    "change" is by how much the nuclei differ at all; "fewer" and "more" are the logarithm of the number of nuclei
    relative to before, each where it is so.
    """
    values: Dict[str, float] = {
        "views": evidence.views,
        "second": 0.0 if math.isnan(evidence.second) else evidence.second,
        "shapes": evidence.shapes,
        "edges": evidence.edges,
        "change": 1 - evidence.same,
        "fewer": max(-evidence.count, 0.0),
        "more": max(evidence.count, 0.0),
        "synthetic": evidence.synthetic,
        "usual": evidence.usual,
    }
    return np.array([values[name] for name in SIGNS])


def expected_gain(evidence: Gains) -> float:
    """Return by how much the mean F1 is expected to have changed."""
    return float(INTERCEPT + signs_in(evidence) @ np.array(RULE_WEIGHTS))


def judge_without_truth(evidence: Gains, name: str) -> Verdict:
    """Say whether to use an adapted model.

    Parameters
    ----------
    evidence : Gains
    name : str
        Of the model before.

    Returns
    -------
    Verdict
        Better where the expected gain is at least `RECOMMENDED_FROM`.
    """
    gain = expected_gain(evidence)
    better = gain >= RECOMMENDED_FROM
    figures = f"judged without annotation, the mean F1 is expected to change by {gain:+.3f} against {name}"
    if better:
        words = f"Use the adapted model for images like these, after a look at the outlines on the page: {figures}."
    else:
        words = f"Do not use the adapted model: {figures}, so it is not clearly better. Keep {name}."
    return Verdict(better, f"{words} {TRACK_RECORD}")


def describe(evidence: Gains) -> List[Tuple[str, str]]:
    """Say in words what was seen, with figures.

    Returns
    -------
    list of (str, str)
        What was looked at, and by how much it changed.
    """
    second = "not known" if math.isnan(evidence.second) else f"{evidence.second:+.3f}"
    return [
        ("agreement with itself in mirrored views (mean F1)", f"{evidence.views:+.3f}"),
        ("agreement with a model of another architecture (mean F1)", second),
        ("share of nuclei of plausible size and shape", f"{evidence.shapes:+.3f}"),
        ("steepness of the image along the outlines", f"{evidence.edges:+.4f}"),
        ("agreement between the two models (mean F1)", f"{evidence.same:.3f}"),
        ("number of nuclei", f"{math.expm1(evidence.count):+.1%}"),
        ("mean F1 on synthetic images that did not teach", f"{evidence.synthetic:+.3f}"),
        ("mean F1 on simulated images of all kinds", f"{evidence.usual:+.3f}"),
        ("expected change of the mean F1", f"{expected_gain(evidence):+.3f}"),
    ]
