"""Figures of what a training was given: lines against numbers, points against words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.reports.figures import finish_axes, method_styles, new_figure, plain_text
from nucdl_core.study.grids import FACTOR_TITLES, level_text, levels_text, ordered_levels
from nucdl_core.study.network_figures import ERROR_TITLES
from nucdl_core.study.statistics import ERROR_SHARES, arms, mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_COLUMN = "line"
"""Column that names the line, or the group, to which a training belongs."""
AXIS_TITLES = {
    **FACTOR_TITLES,
    "images": "number of training images",
    "cycles": "training time (multiple of the usual number of steps)",
    "regions": "number of different crops",
}
_ON_LOG_SCALE = ("images", "cycles")


def with_lines(rows: pd.DataFrame, factors: Sequence[str], along: str) -> pd.DataFrame:
    """Add the column `LINE_COLUMN`: the levels of all factors of the grid but the one along which is drawn.

    Parameters
    ----------
    rows : pandas.DataFrame
        See `statistics.grid_rows`.
    factors : sequence of str
        That the grid varies.
    along : str
        One of them.

    Returns
    -------
    pandas.DataFrame
        Sorted by line, in the order of their levels; the names are empty where there is one line.
    """
    others = [factor for factor in factors if factor != along]
    orders = {factor: ordered_levels(rows, factor) for factor in others}
    ranks = [rows[factor].map(order.index) for factor, order in orders.items()]
    names = [levels_text({factor: row[factor] for factor in others}) for row in rows.to_dict("records")]
    places = np.lexsort(ranks[::-1]) if ranks else np.arange(len(rows))
    return rows.assign(**{LINE_COLUMN: names}).iloc[places]


def score_lines(rows: pd.DataFrame, factors: Sequence[str], along: str) -> Figure:
    """Draw the mean F1 against a number, with its interval over replicates as a band."""
    figure, (axes,) = new_figure(1, height=3.6)
    _draw_lines(axes, with_lines(rows, factors, along), along, "mean_f1")
    axes.set(ylabel="mean F1")
    finish_axes(axes, legend=len(factors) > 1)
    return figure


def scores_by_images(rows: pd.DataFrame, factors: Sequence[str]) -> Figure:
    """Draw mean F1, missed nuclei, merges and splits against the number of training images."""
    figure, panels = new_figure(1 + len(ERROR_SHARES), height=5.6, rows=2)
    lined = with_lines(rows, factors, "images")
    _draw_lines(panels[0], lined, "images", "mean_f1")
    panels[0].set(title="mean F1")
    for axes, share in zip(panels[1:], ERROR_SHARES):
        top = _draw_lines(axes, lined, "images", share, scale=100)
        # Bands of few replicates may be many times as high as the lines.
        axes.set(title=f"{ERROR_TITLES[share]} (% of true nuclei)", ylim=(0, 1.6 * top or None))
    for place, axes in enumerate(panels):
        axes.set_xlabel(AXIS_TITLES["images"] if place >= 2 else "")
        axes.title.set_size(10)
        finish_axes(axes, legend=len(factors) > 1 and place == 1)
    return figure


def score_by_level(rows: pd.DataFrame, factors: Sequence[str], along: str) -> Figure:
    """Draw the mean F1 at each level of a factor, with its interval over replicates, groups beside each other."""
    lined = with_lines(rows, factors, along)
    levels, lines = ordered_levels(rows, along), list(dict.fromkeys(lined[LINE_COLUMN]))
    figure, (axes,) = new_figure(1, height=1.1 + 0.16 * len(levels) * (1 + len(lines)))
    for number, (line, style) in enumerate(method_styles(lines)):
        own = lined[lined[LINE_COLUMN] == line]
        present = [place for place, level in enumerate(levels) if (own[along] == level).any()]
        middle, low, high = _intervals(own, along, [levels[place] for place in present], "mean_f1")
        heights = np.array(present) + (number + 1) / (len(lines) + 1) - 0.5
        options = {**style, "linestyle": "none", "elinewidth": 1}
        axes.errorbar(middle, heights, xerr=arms(middle, low, high, 1), label=plain_text(line), **options)
    axes.set_yticks(range(len(levels)))
    axes.set_yticklabels([plain_text(level_text(along, level)) for level in levels])
    axes.set(xlabel="mean F1", ylabel=AXIS_TITLES[along], ylim=(len(levels) - 0.5, -0.5))
    finish_axes(axes, legend=len(factors) > 1, grid="x")
    return figure


def _draw_lines(axes: Axes, lined: pd.DataFrame, along: str, measure: str, scale: float = 1.0) -> float:
    """Draw a line per group with its band; return the highest point of the lines."""
    levels = ordered_levels(lined, along)
    # Levels that are no plain numbers, such as crops that are always new, stand at equal distances.
    places = dict(zip(levels, levels if along in _ON_LOG_SCALE else range(len(levels))))
    highest = 0.0
    for line, style in method_styles(list(dict.fromkeys(lined[LINE_COLUMN]))):
        own = lined[lined[LINE_COLUMN] == line]
        present = [level for level in levels if (own[along] == level).any()]
        middle, low, high = _intervals(own, along, present, measure)
        across = [places[level] for level in present]
        # No F1 is above 1, while a true nucleus may be split more than once.
        top = np.minimum(high, 1) if measure == "mean_f1" else high
        axes.fill_between(
            across, scale * np.maximum(low, 0), scale * top, color=style["color"], alpha=0.15, linewidth=0
        )
        axes.plot(across, scale * middle, label=plain_text(line), **style)
        highest = max(highest, scale * float(middle.max()))
    _name_levels(axes, along, levels, list(places.values()))
    return highest


def _name_levels(axes: Axes, along: str, levels: Sequence[Any], places: List[float]) -> None:
    from matplotlib.ticker import NullLocator

    if along in _ON_LOG_SCALE:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places)
    axes.set_xticklabels([f"{level:g}" if along in _ON_LOG_SCALE else level_text(along, level) for level in levels])
    axes.set_xlabel(AXIS_TITLES[along])


def _intervals(
    rows: pd.DataFrame, along: str, levels: Sequence[Any], measure: str
) -> Tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, low and high of a measure at each level (L,)."""
    points = np.array([mean_interval(rows[measure][rows[along] == level]) for level in levels])
    middle, low, high = points.T
    return middle, low, high
