"""Figures of a grid that varies the network: how exact, how fast, how large, how well it does on what it learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, List, Sequence, Tuple

import numpy as np

from nucdl_core.reports.figures import finish_axes, log_axis, method_styles, new_figure, plain_text
from nucdl_core.scores.matching import THRESHOLDS
from nucdl_core.study.grids import FACTOR_TITLES, has_order, level_text, ordered_levels
from nucdl_core.study.statistics import ERROR_SHARES, arms, mean_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ERROR_TITLES = dict(zip(ERROR_SHARES, ("missed at IoU 0.7", "merges", "splits")))
_MILLION = 1e6
_DECADE = 10


def networks_at_one_level(rows: pd.DataFrame, factors: Sequence[str]) -> Tuple[pd.DataFrame, str]:
    """Keep the trainings at one level of what a grid varies beside the network.

    Parameters
    ----------
    rows : pandas.DataFrame
        See `statistics.grid_rows`.
    factors : sequence of str
        That the grid varies.

    Returns
    -------
    rows : pandas.DataFrame
        At the level that most networks have; of several, the highest number, or the first word.
    where : str
        Names the level, for a caption; empty where there is none to choose.
    """
    chosen = []
    for factor in factors:
        if factor == "network":
            continue
        levels = ordered_levels(rows, factor)
        best_first = levels[::-1] if has_order(factor) else levels
        level = max(best_first, key=lambda one: rows["network"][rows[factor] == one].nunique())
        rows = rows[rows[factor] == level]
        chosen.append(f"{FACTOR_TITLES[factor]}: {level_text(factor, level)}")
    return rows, "; ".join(chosen)


def f1_by_network(rows: pd.DataFrame) -> Figure:
    """Draw F1 against the IoU threshold, a line per network, the interval over replicates as a band."""
    figure, (axes,) = new_figure(1, height=3.6)
    for network, style in method_styles(_networks(rows)):
        own = rows[rows["network"] == network]
        points = np.array([mean_interval(own[f"f1_{threshold:.2f}"]) for threshold in THRESHOLDS])
        middle, low, high = points.T
        axes.fill_between(THRESHOLDS, low, high, color=style["color"], alpha=0.15, linewidth=0)
        axes.plot(THRESHOLDS, middle, label=plain_text(network), **style)
    axes.set(xlabel="IoU threshold", ylabel="F1, mean over the images", ylim=(0, 1), xlim=(0.49, 0.96))
    finish_axes(axes, legend=True)
    return figure


def score_by_cost(rows: pd.DataFrame) -> Figure:
    """Draw the mean F1 of each network against its seconds per image and against its number of parameters."""
    figure, (times, sizes) = new_figure(2, height=3.4)
    for network, style in method_styles(_networks(rows)):
        own = rows[rows["network"] == network]
        middle, low, high = mean_interval(own["mean_f1"])
        bars = arms(middle, low, high, highest=1)
        costs = (own["seconds_per_image"].mean(), own["parameters"].mean() / _MILLION)
        for axes, cost in zip((times, sizes), costs):
            options = {**style, "linestyle": "none", "markersize": 6}
            axes.errorbar([cost], [middle], yerr=bars, label=plain_text(network), elinewidth=1, **options)
    times.set(xlabel="seconds per image", ylabel="mean F1")
    sizes.set(xlabel="parameters (millions)")
    for axes in (times, sizes):
        _spread(axes)
    finish_axes(times)
    finish_axes(sizes, legend=True)
    return figure


def training_and_test(rows: pd.DataFrame) -> Figure:
    """Draw the mean F1 on test images against that on the images that taught, each training a point."""
    figure, (axes,) = new_figure(1, height=4.2)
    known = rows[rows["training_f1"].notna()]
    for network, style in method_styles(_networks(rows)):
        own = known[known["network"] == network]
        options = {**style, "linestyle": "none", "markersize": 5, "alpha": 0.75}
        axes.plot(own["training_f1"], own["mean_f1"], label=plain_text(network), **options)
    both = known[["training_f1", "mean_f1"]].to_numpy()
    margin = 0.02 + 0.05 * float(np.ptp(both))
    limits = (float(both.min()) - margin, float(both.max()) + margin)
    axes.plot(limits, limits, color="0.4", linestyle="--", linewidth=1)
    axes.set(xlabel="mean F1, images that taught it", ylabel="mean F1, test images", xlim=limits, ylim=limits)
    axes.set_aspect("equal")
    finish_axes(axes, legend=True)
    return figure


def errors_by_network(rows: pd.DataFrame) -> Figure:
    """Draw the errors of each network as shares of the true nuclei, with their intervals."""
    networks = _networks(rows)
    figure, panels = new_figure(len(ERROR_SHARES), height=1.1 + 0.28 * len(networks))
    for axes, share in zip(panels, ERROR_SHARES):
        _draw_errors(axes, rows, share)
        axes.set_yticklabels([plain_text(network) for network in networks] if axes is panels[0] else [])
        axes.set(title=ERROR_TITLES[share], xlabel="% of true nuclei", xlim=(0, None))
        finish_axes(axes, grid="x")
    return figure


def _draw_errors(axes: Axes, rows: pd.DataFrame, share: str) -> None:
    networks = _networks(rows)
    for place, (network, style) in enumerate(method_styles(networks)):
        middle, low, high = (100 * value for value in mean_interval(rows[share][rows["network"] == network]))
        bars = arms(middle, low, high)
        axes.errorbar([middle], [place], xerr=bars, elinewidth=1, **{**style, "linestyle": "none"})
    axes.set_yticks(range(len(networks)))
    axes.set_ylim(len(networks) - 0.5, -0.5)


def _spread(axes: Axes) -> None:
    """Make an axis of costs logarithmic where they differ much; within a decade its ticks would stand too close."""
    from matplotlib.ticker import MaxNLocator

    axes.margins(x=0.15)
    low, high = axes.dataLim.intervalx
    if high > _DECADE * low:
        log_axis(axes.xaxis, axes.set_xscale)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))


def _networks(rows: pd.DataFrame) -> List[str]:
    return list(dict.fromkeys(rows["network"]))
