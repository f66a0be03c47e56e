"""Figures of a grid that varies the kinds of images that teach: on which kinds each training does well."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, List, Sequence

import numpy as np

from nucdl_core.reports.figures import finish_axes, method_styles, new_figure, plain_text
from nucdl_core.study.grids import ordered_levels
from nucdl_core.study.level_figures import LINE_COLUMN, with_lines
from nucdl_core.study.results import TEST_PART, StudyResults
from nucdl_core.study.statistics import arms, mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

JOINT = "+"
"""Stands between kinds of images that taught together."""
_LABEL_WIDTH = 34
_LINE_HEIGHT = 0.17


def kind_scores(results: StudyResults, rows: pd.DataFrame) -> pd.DataFrame:
    """Give the mean F1 on each kind of test images after each kind, or joined kinds, of training images.

    Parameters
    ----------
    results : StudyResults
    rows : pandas.DataFrame
        Trainings to look at, see `statistics.grid_rows`.

    Returns
    -------
    pandas.DataFrame
        A row per kinds that taught, a column per kind of the test images; means over the images of each replicate,
        then over replicates.
    """
    scores = results.scores[results.scores["part"] == TEST_PART]
    merged = scores.merge(rows[["training", "kinds"]], on="training")
    by_training = merged.groupby(["kinds", "training", "kind"], sort=False)["mean_f1"].mean()
    table = by_training.groupby(level=["kinds", "kind"], sort=False).mean().unstack("kind")
    taught = ordered_levels(rows, "kinds")
    singles = [kind for kind in taught if kind in table.columns]
    return table.loc[taught, [*singles, *(kind for kind in table.columns if kind not in singles)]]


def kind_matrix(table: pd.DataFrame) -> Figure:
    """Draw the table of `kind_scores`; where the tested kind was among those that taught, the number is bold."""
    labels = [_wrapped(kinds) for kinds in table.index]
    values = table.to_numpy(np.float64)
    figure, (axes,) = new_figure(1, height=1.4 + sum(0.18 + _LINE_HEIGHT * (1 + label.count("\n")) for label in labels))
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    image = axes.imshow(values, cmap="Blues", vmin=low, vmax=max(high, low + 0.01), aspect="auto")
    for row, kinds in enumerate(table.index):
        for column, kind in enumerate(table.columns):
            value = values[row, column]
            dark = value > low + 0.6 * (high - low)
            options = {"color": "white" if dark else "black", "ha": "center", "va": "center", "fontsize": 9}
            weight = "bold" if kind in kinds.split(JOINT) else "normal"
            axes.text(column, row, "" if np.isnan(value) else f"{value:.3f}", fontweight=weight, **options)
    long = max(len(kind) for kind in table.columns) > 60 // len(table.columns)
    axes.set_xticks(range(len(table.columns)))
    axes.set_xticklabels(
        [plain_text(kind) for kind in table.columns], **({"rotation": 30, "ha": "right"} if long else {})
    )
    axes.set_yticks(range(len(labels)))
    axes.set_yticklabels(labels)
    axes.tick_params(labelsize=8, length=0)
    axes.set(xlabel="tested on", ylabel="trained on")
    figure.colorbar(image, ax=axes, label="mean F1", shrink=0.8)
    return figure


def score_by_diversity(rows: pd.DataFrame, factors: Sequence[str]) -> Figure:
    """Draw the mean F1 on all test images as bars, from those that one kind taught to those that most kinds taught."""
    lined = with_lines(rows, factors, "kinds")
    taught, lines = ordered_levels(rows, "kinds"), list(dict.fromkeys(lined[LINE_COLUMN]))
    labels = [_wrapped(kinds) for kinds in taught]
    tallest = max(1 + label.count("\n") for label in labels)
    figure, (axes,) = new_figure(
        1, height=1 + len(taught) * max(0.12 + _LINE_HEIGHT * tallest, 0.16 * (1 + len(lines)))
    )
    thickness = 0.8 / len(lines)
    for number, (line, style) in enumerate(method_styles(lines)):
        own = lined[lined[LINE_COLUMN] == line]
        for place, kinds in enumerate(taught):
            middle, low, high = mean_interval(own["mean_f1"][own["kinds"] == kinds])
            height = place - 0.4 + (number + 0.5) * thickness
            options = {"color": style["color"], "alpha": 0.8, "height": 0.9 * thickness}
            axes.barh(height, middle, label=plain_text(line) if place == 0 else None, **options)
            axes.errorbar(
                [middle], [height], xerr=arms(middle, low, high, 1), color="black", elinewidth=1, linestyle="none"
            )
    axes.set_yticks(range(len(taught)))
    axes.set_yticklabels(labels)
    axes.set(xlabel="mean F1, all test images", ylabel="trained on", xlim=(0, 1), ylim=(len(taught) - 0.5, -0.5))
    finish_axes(axes, legend=len(factors) > 1, grid="x")
    return figure


def has_joined_kinds(rows: pd.DataFrame) -> bool:
    """Tell whether several kinds of images taught one of the trainings."""
    return any(JOINT in kinds for kinds in rows["kinds"])


def _wrapped(kinds: str) -> str:
    """Break the names of joined kinds into short lines."""
    parts: List[str] = kinds.replace(JOINT, f" {JOINT} ").split(" ")
    return "\n".join(textwrap.wrap(plain_text(" ".join(parts)), _LABEL_WIDTH, break_long_words=False))
