"""The score without truth by which variants are sorted, and how far it can be trusted."""

from __future__ import annotations

from nucdl_core.explore.signs import ImageSigns

CLOSE = 0.02
"""Scores that differ by less are as good as equal."""
TRACK_RECORD = ""
"""How well the score predicts the real one (docs/try.md), as the page says it."""


def score_without_truth(signs: ImageSigns) -> float:
    """Estimate the mean F1 of what was found in one image.

    A sum of agreement, light and their product, with weights from 0 on that come nearest to the real mean F1 of
    annotated images, has no weight on agreement and light alone, and one of about 1 on the product (docs/try.md).

    Parameters
    ----------
    signs : ImageSigns

    Returns
    -------
    float
        From 0 to 1.
    """
    return signs.agreement * signs.light
