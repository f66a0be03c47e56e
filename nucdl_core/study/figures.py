"""Which figures a study has: each only where what it shows was varied and looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, List

from nucdl_core.reports.figures import finish_axes, method_styles, new_figure, plain_text
from nucdl_core.study.grids import FACTOR_TITLES, grid_trainings, varied_factors
from nucdl_core.study.kind_figures import has_joined_kinds, kind_matrix, kind_scores, score_by_diversity
from nucdl_core.study.level_figures import LINE_COLUMN, score_by_level, score_lines, scores_by_images, with_lines
from nucdl_core.study.network_figures import (
    errors_by_network,
    f1_by_network,
    networks_at_one_level,
    score_by_cost,
    training_and_test,
)
from nucdl_core.study.results import StudyResults
from nucdl_core.study.statistics import grid_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_INTERVAL = "95 % interval over replicates, where there are two or more"
_LINES = {
    "cycles": "Mean F1 against the training time (logarithmic scale)",
    "regions": "Mean F1 against the number of different crops",
}
_LEVELS = ("start", "augmentation", "rescaled", "simulated", "artificial")


@dataclass(frozen=True)
class StudyFigure:
    """A figure and what stands below it."""

    figure: Figure
    caption: str


def grid_figures(results: StudyResults, grid: str) -> Dict[str, StudyFigure]:
    """Draw what a grid shows.

    Parameters
    ----------
    results : StudyResults
    grid : str
        Its name.

    Returns
    -------
    dict of str to StudyFigure
        By the names of their files; empty where no training has scores.
    """
    rows = grid_rows(results, grid)
    factors = varied_factors(grid_trainings(results, grid))
    figures: Dict[str, StudyFigure] = {}
    if len(rows) == 0:
        return figures
    for factor, caption in _LINES.items():
        if factor in factors:
            lines = score_lines(rows, factors, factor)
            figures[f"score_by_{factor}"] = StudyFigure(lines, f"{caption}; bands: {_INTERVAL}.")
    if "images" in factors:
        caption = f"Scores and errors against the number of training images (logarithmic scale); bands: {_INTERVAL}."
        figures["scores_by_images"] = StudyFigure(scores_by_images(rows, factors), caption)
    if "kinds" in factors:
        figures.update(_of_kinds(results, rows, factors))
    for factor in _LEVELS:
        if factor in factors:
            caption = f"Mean F1 by {FACTOR_TITLES[factor]}; bars: {_INTERVAL}."
            figures[f"score_by_{factor}"] = StudyFigure(score_by_level(rows, factors, factor), caption)
    if "network" in factors:
        figures.update(_of_networks(rows, factors))
    return figures


def _of_networks(rows: pd.DataFrame, factors: List[str]) -> Dict[str, StudyFigure]:
    chosen, where = networks_at_one_level(rows, factors)
    at = f" ({where})" if where else ""
    figures = {
        "f1_by_network": StudyFigure(
            f1_by_network(chosen), f"F1 against the IoU threshold{at}, averaged over images; bands: {_INTERVAL}."
        ),
        "score_by_cost": StudyFigure(score_by_cost(chosen), f"Mean F1 against time and size{at}; bars: {_INTERVAL}."),
        "errors_by_network": StudyFigure(
            errors_by_network(chosen), f"Errors of each network{at}, as shares of the true nuclei; bars: {_INTERVAL}."
        ),
    }
    if rows["training_f1"].notna().any():
        figures["training_and_test"] = StudyFigure(
            training_and_test(rows),
            "Each training of the grid: below the dashed line it does better on what it learnt than on test images.",
        )
    return figures


def _of_kinds(results: StudyResults, rows: pd.DataFrame, factors: List[str]) -> Dict[str, StudyFigure]:
    figures: Dict[str, StudyFigure] = {}
    lined = with_lines(rows, factors, "kinds")
    for number, line in enumerate(dict.fromkeys(lined[LINE_COLUMN]), start=1):
        matrix = kind_matrix(kind_scores(results, lined[lined[LINE_COLUMN] == line]))
        caption = "Mean F1 on each kind of test images; bold: that kind was among those that taught."
        figures[f"kind_matrix_{number}"] = StudyFigure(matrix, f"{line}: {caption}" if line else caption)
    if has_joined_kinds(rows):
        caption = f"Mean F1 on all test images; whiskers: {_INTERVAL}."
        figures["score_by_diversity"] = StudyFigure(score_by_diversity(rows, factors), caption)
    return figures


def views_gain(results: StudyResults) -> Figure:
    """Draw what averaging several views gains, against the step of the training, a line per training.

    Parameters
    ----------
    results : StudyResults
        With at least one row of views.

    Returns
    -------
    matplotlib.figure.Figure
        Trainings of one network have one colour.
    """
    figure, (axes,) = new_figure(1, height=3.4)
    networks = results.trainings.set_index("training")["network"]
    looks = results.views.assign(network=results.views["training"].map(networks))
    for network, style in method_styles(list(dict.fromkeys(looks["network"]))):
        own = looks[looks["network"] == network]
        for number, (_, line) in enumerate(own.groupby("training", sort=False)):
            ordered = line.sort_values("step")
            label = plain_text(network) if number == 0 else None
            axes.plot(ordered["step"], ordered["flips"] - ordered["none"], label=label, **style)
    axes.axhline(0, color="0.4", linestyle="--", linewidth=1)
    axes.set(xlabel="step", ylabel="mean F1: views averaged minus one view")
    finish_axes(axes, legend=True)
    return figure
