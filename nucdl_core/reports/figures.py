"""Figures of a report, drawn with matplotlib; each function takes tables and returns a figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.reports.methods import Evaluation
from nucdl_core.scores.matching import MISSED_THRESHOLD, THRESHOLDS
from nucdl_core.scores.object_errors import COLOURS, ErrorClass

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito, told apart also with the usual colour blindnesses; a marker of its own for each as well.
METHOD_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
METHOD_MARKERS = "osD^vPX"
TRUTH_CLASSES = (ErrorClass.MATCHED, ErrorClass.MERGED, ErrorClass.SPLIT, ErrorClass.MISSED)
PREDICTION_CLASSES = (ErrorClass.MATCHED, ErrorClass.MERGED, ErrorClass.SPLIT, ErrorClass.EXTRA)
# Figures of categories are numbered: the names of categories may hold what file names may not.
CATEGORY_FIGURE = "category_"
WIDTH = 8.0
DPI = 150
SHORTEST_TIME = 0.001
MOST_BINS = 12
FEWEST_PER_BIN = 10


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Give a figure as the bytes of a file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    kind : str
        ``svg`` or ``png``.

    Returns
    -------
    bytes
        The same for the same figure.
    """
    import matplotlib

    buffer = io.BytesIO()
    # Without these, names and the date in the file differ from one time to the next.
    with matplotlib.rc_context({"svg.hashsalt": "nucdl"}):
        metadata: Dict[str, Optional[str]] = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()


def f1_curves(evaluation: Evaluation) -> Figure:
    """Draw the mean F1 of each method against the IoU threshold, with its 95 % confidence interval."""
    figure, (axes,) = new_figure(1, height=3.6)
    for method, style in method_styles(evaluation.methods):
        row = evaluation.overall(method)
        names = [f"f1_{threshold:.2f}" for threshold in THRESHOLDS]
        low, high = ([row[f"{name}_{bound}"] for name in names] for bound in ("low", "high"))
        axes.fill_between(THRESHOLDS, low, high, color=style["color"], alpha=0.15, linewidth=0)
        axes.plot(THRESHOLDS, [row[name] for name in names], label=plain_text(method), **style)
    axes.set(xlabel="IoU threshold", ylabel="F1, mean over the images", ylim=(0, 1), xlim=(0.49, 0.96))
    finish_axes(axes, legend=True)
    return figure


def error_types(nuclei: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Draw what became of the true and of the predicted nuclei of each method, in the colours of the galleries."""
    from matplotlib.patches import Patch

    figure, panels = new_figure(2, height=1.4 + 0.32 * len(methods))
    colours = {kind: tuple(part / 255 for part in colour) for kind, colour in COLOURS.items()}
    counts = error_counts(nuclei)
    for axes, side, classes in zip(panels, ("truth", "prediction"), (TRUTH_CLASSES, PREDICTION_CLASSES)):
        left = np.zeros(len(methods))
        for kind in classes:
            widths = np.array([counts.get((method, side, kind.name.lower()), 0) for method in methods])
            axes.barh(range(len(methods)), widths, left=left, color=colours[kind], height=0.7)
            left += widths
        axes.set(title={"truth": "true nuclei", "prediction": "predicted nuclei"}[side], xlabel="nuclei")
        axes.set_yticks(range(len(methods)))
        axes.set_yticklabels([plain_text(method) for method in methods] if side == "truth" else [])
        axes.invert_yaxis()
        finish_axes(axes, grid="x")
    handles = [Patch(color=colour, label=kind.name.lower()) for kind, colour in colours.items()]
    panels[1].legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8)
    return figure


def error_counts(nuclei: pd.DataFrame) -> Dict[Tuple[str, str, str], int]:
    """Count the nuclei by method, side and error class."""
    return {key: int(size) for key, size in nuclei.groupby(["method", "side", "error"]).size().items()}


def missed_by_size(nuclei: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Draw the share of true nuclei without a match at IoU 0.7 against their diameter, in bins of equal numbers."""
    figure, (axes,) = new_figure(1, height=3.4)
    truth = nuclei[nuclei["side"] == "truth"]
    for method, style in method_styles(methods):
        own = truth[truth["method"] == method]
        missed = (own["error"] != "matched").to_numpy(np.float64)
        points = _binned(own["diameter"].to_numpy(), missed, np.mean)
        axes.plot(*points, label=plain_text(method), **style)
    axes.set(xlabel="diameter of the true nucleus (pixels)", ylabel=f"missed at IoU {MISSED_THRESHOLD}", ylim=(0, 1))
    log_axis(axes.xaxis, axes.set_xscale)
    finish_axes(axes, legend=True)
    return figure


def score_by_density(evaluation: Evaluation) -> Figure:
    """Draw the mean F1 of each image against the share of it that nuclei cover, and the medians of bins."""
    figure, (axes,) = new_figure(1, height=3.4)
    for method, style in method_styles(evaluation.methods):
        own = evaluation.scores[evaluation.scores["method"] == method]
        cover, score = 100 * own["truth_cover"].to_numpy(), own["mean_f1"].to_numpy()
        many = len(own) > 2000
        axes.scatter(cover, score, s=10, alpha=0.35, color=style["color"], linewidths=0, rasterized=many)
        axes.plot(*_binned(cover, score, np.median), label=plain_text(method), **style)
    axes.set(xlabel="part of the image that nuclei cover (%)", ylabel="mean F1 of the image", ylim=(0, 1.02))
    finish_axes(axes, legend=True)
    return figure


def times_per_image(times: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Draw the seconds per image of the methods of which they are known, each image a point, the median a line."""
    known = [method for method in methods if (times["method"] == method).any()]
    figure, (axes,) = new_figure(1, height=1.3 + 0.4 * len(known))
    rng = np.random.default_rng(0)
    for position, (method, style) in enumerate(
        (method, style) for method, style in method_styles(methods) if method in known
    ):
        # A clock with coarse steps may say 0, for which there is no logarithm.
        seconds = np.maximum(times["seconds"][times["method"] == method].to_numpy(), SHORTEST_TIME)
        heights = position + rng.uniform(-0.25, 0.25, len(seconds))
        axes.scatter(seconds, heights, s=9, alpha=0.4, color=style["color"], linewidths=0)
        axes.plot([np.median(seconds)] * 2, [position - 0.35, position + 0.35], color="black", linewidth=2)
    axes.set_yticks(range(len(known)))
    axes.set_yticklabels([plain_text(method) for method in known])
    axes.invert_yaxis()
    axes.set_xlabel("seconds per image")
    log_axis(axes.xaxis, axes.set_xscale)
    finish_axes(axes, grid="x")
    return figure


def scores_by_category(evaluation: Evaluation, category: str) -> Figure:
    """Draw the mean F1 of each method in each category of images, with its 95 % confidence interval."""
    means = evaluation.means[evaluation.means["category"] == category]
    values = list(dict.fromkeys(means["value"]))
    methods = evaluation.methods
    figure, (axes,) = new_figure(1, height=1.3 + 0.18 * len(values) * (1 + len(methods)))
    for number, (method, style) in enumerate(method_styles(methods)):
        own = means[means["method"] == method].set_index("value").loc[values]
        heights = np.arange(len(values)) + (number + 1) / (len(methods) + 1) - 0.5
        bars = np.abs(own[["mean_f1_low", "mean_f1_high"]].to_numpy().T - own["mean_f1"].to_numpy())
        axes.errorbar(own["mean_f1"], heights, xerr=bars, label=plain_text(method), **{**style, "linestyle": "none"})
    counts = means[means["method"] == methods[0]]["images"]
    axes.set_yticks(range(len(values)))
    axes.set_yticklabels([f"{plain_text(value)} ({count})" for value, count in zip(values, counts)])
    axes.invert_yaxis()
    axes.set(xlabel="mean F1 (number of images in brackets)", xlim=(0, 1))
    finish_axes(axes, legend=True, grid="x")
    return figure


def learning_curves(curves: Mapping[str, List[Dict[str, float]]], start: float) -> Figure:
    """Draw the loss and the score on the validation images against the step, for everything that was trained.

    Parameters
    ----------
    curves : mapping of str to list of dict
        Lines of a training's log: "step", "total" (the loss) and, where the validation images were looked at,
        "validation".
    start : float
        Score of the model before.

    Returns
    -------
    Figure
    """
    figure, (losses, scores) = new_figure(2, height=3.2)
    for label, style in method_styles(list(curves)):
        lines = curves[label]
        losses.plot([line["step"] for line in lines], [line["total"] for line in lines], label=label, **style)
        looks = [(line["step"], line["validation"]) for line in lines if "validation" in line]
        if looks:
            scores.plot(*zip(*looks), label=label, **style)
            best = max(looks, key=lambda look: look[1])
            scores.plot(*best, marker="o", markersize=9, color=style["color"])
    scores.axhline(start, color="0.4", linestyle="--", linewidth=1)
    losses.set(xlabel="step", ylabel="loss", ylim=(0, None))
    scores.set(xlabel="step", ylabel="mean F1, validation images")
    finish_axes(losses)
    finish_axes(scores, legend=len(curves) > 1 and bool(scores.get_legend_handles_labels()[0]))
    return figure


def all_figures(evaluation: Evaluation, nuclei: pd.DataFrame, times: pd.DataFrame) -> Dict[str, Figure]:
    """Draw all figures for which there is something to show.

    Parameters
    ----------
    evaluation : Evaluation
    nuclei : pandas.DataFrame
        See `data.NucleusCollector`.
    times : pandas.DataFrame
        See `data.image_times`.

    Returns
    -------
    dict of str to Figure
        By the name of their files.
    """
    figures = {"f1_curves": f1_curves(evaluation), "error_types": error_types(nuclei, evaluation.methods)}
    if (nuclei["side"] == "truth").any():
        figures["missed_by_size"] = missed_by_size(nuclei, evaluation.methods)
    figures["score_by_density"] = score_by_density(evaluation)
    if len(times):
        figures["times_per_image"] = times_per_image(times, evaluation.methods)
    for number, category in enumerate(evaluation.strata.kinds if evaluation.strata is not None else (), start=1):
        figures[f"{CATEGORY_FIGURE}{number}"] = scores_by_category(evaluation, category)
    return figures


def plain_text(text: str) -> str:
    """Keep matplotlib from reading what stands between two dollar signs as a formula."""
    return text.replace("$", r"\$")


def new_figure(panels: int, height: float, rows: int = 1) -> Tuple[Figure, List[Axes]]:
    """Make a figure of the width of a page.

    Parameters
    ----------
    panels : int
    height : float
        Inches.
    rows : int
        Over which the panels are spread.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : list of matplotlib.axes.Axes
        Row by row.
    """
    # Figures of their own, not pyplot's: nothing is left in a global list, and no window system is asked for.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), constrained_layout=True)
    columns = -(-panels // rows)
    axes = [figure.add_subplot(rows, columns, number + 1) for number in range(panels)]
    return figure, axes


def method_styles(methods: Sequence[str]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """Give each method its colour, marker and line, as options of ``Axes.plot``.

    Parameters
    ----------
    methods : sequence of str

    Yields
    ------
    method : str
    style : dict of str to object
        Of its own for the first 21.
    """
    for number, method in enumerate(methods):
        turn, place = divmod(number, len(METHOD_COLOURS))
        line = ("-", "--", ":")[turn % 3]
        style = {"color": METHOD_COLOURS[place], "marker": METHOD_MARKERS[place], "linestyle": line, "markersize": 4}
        # Points without a line are told apart from those of the first round as well.
        yield method, {**style, "markerfacecolor": "white"} if turn % 2 else style


def _binned(x: NDArray[np.float64], y: NDArray[np.float64], middle: Any) -> Tuple[List[float], List[float]]:
    """Median of `x` and `middle` of `y` in bins of equal numbers; fewer bins where there are few values."""
    count = min(MOST_BINS, max(1, len(x) // FEWEST_PER_BIN))
    parts = [part for part in np.array_split(np.argsort(x, kind="stable"), count) if len(part)]
    return [float(np.median(x[part])) for part in parts], [float(middle(y[part])) for part in parts]


def log_axis(axis: Any, set_scale: Any) -> None:
    """Make an axis logarithmic, with plain numbers at its ticks.

    Parameters
    ----------
    axis : matplotlib.axis.Axis
    set_scale : callable
        ``set_xscale`` or ``set_yscale`` of its axes.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    set_scale("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def finish_axes(axes: Axes, legend: bool = False, grid: str = "both") -> None:
    """Give a panel the look that all have.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    legend : bool
        Whether it has one, on its right.
    grid : str
        ``both``, ``x`` or ``y``.
    """
    axes.grid(True, axis=grid, color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    if legend:
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
