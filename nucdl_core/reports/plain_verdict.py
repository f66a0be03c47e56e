"""The first lines of a report: which method is better, and how sure that is, in two plain sentences."""

from __future__ import annotations

from typing import Any, Tuple

from nucdl_core.reports.methods import Evaluation

FEW_IMAGES = 10
"""Below this many images differences are told with care, and figures say how few there are."""
_SIGNIFICANT = 0.05
_SCORE = "mean_f1"


def plain_verdict(evaluation: Evaluation) -> str:
    """Say in two sentences which method is better on these images, and how sure that is.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    str
        Of a single method: what it reaches, and what it does wrong most.
    """
    rows = {method: evaluation.overall(method) for method in evaluation.methods}
    ranked = sorted(rows, key=lambda method: -float(rows[method][_SCORE]))
    if len(ranked) == 1:
        return _of_one(ranked[0], rows[ranked[0]])
    return _of_two(evaluation, ranked[0], ranked[1], len(ranked), rows)


def few_images_note(images: int) -> str:
    """Return what is added to the caption of a figure of few images, "" for many."""
    if images >= FEW_IMAGES:
        return ""
    return f" Only {images} image{'s' * (images > 1)}: another one may change this much."


def _of_one(method: str, row: Any) -> str:
    errors = {"misses": row["missed_0.70"], "merges": row["merges"], "splits": row["splits"]}
    most = max(errors, key=lambda word: int(errors[word]))
    first = (
        f"{method} reaches a mean F1 of {row[_SCORE]:.3f} on {row['images']} images with {row['n_truth']} true nuclei."
    )
    counts = ", ".join(f"{word} {count}" for word, count in errors.items())
    return f"{first} It {counts} of them, so that what it {most} is where most can be gained."


def _of_two(evaluation: Evaluation, best: str, second: str, methods: int, rows: Any) -> str:
    difference, low, high, p_value, better = _compared(evaluation, best, second)
    images = int(rows[best]["images"])
    against = f"{second}, the next of {methods} methods," if methods > 2 else second
    first = (
        f"{best} is better than {against} on these {images} images: mean F1 {rows[best][_SCORE]:.3f} against "
        f"{rows[second][_SCORE]:.3f}, higher on {better} of them."
    )
    if difference == 0:
        same = f"reach the same mean F1 on these {images} images, {rows[best][_SCORE]:.3f}"
        return f"{best} and {against} {same}. Take either."
    interval = f"difference {difference:.3f}, 95 % interval {low:.3f} to {high:.3f}"
    if images < FEW_IMAGES:
        return f"{first} So few images cannot prove it ({interval}): compare more of them, and look at the pictures."
    if p_value < _SIGNIFICANT:
        return f"{first} That is hardly chance ({interval}; Wilcoxon, p = {p_value:.2g})."
    return f"{first} That may be chance ({interval}; Wilcoxon, p = {p_value:.2g})."


def _compared(evaluation: Evaluation, best: str, second: str) -> Tuple[float, float, float, float, int]:
    """Return difference, interval, p value and images on which the best is better, whichever way they were compared."""
    table = evaluation.comparisons
    of_all = table[(table["category"] == "all") & (table["score"] == _SCORE)]
    ways = [(best, second, 1), (second, best, -1)]
    for method, other, sign in ways:
        found = of_all[(of_all["method"] == method) & (of_all["other"] == other)]
        if len(found):
            row = found.iloc[0]
            bounds = sorted(sign * float(row[name]) for name in ("low", "high"))
            better = int(row["better"] if sign > 0 else row["worse"])
            return sign * float(row["difference"]), bounds[0], bounds[1], float(row["p_holm"]), better
    raise KeyError(f"{best} and {second} were not compared")
