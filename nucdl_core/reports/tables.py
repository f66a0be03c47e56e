"""The tables of a report, as rows of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple

from nucdl_core.reports.methods import ALL, Evaluation
from nucdl_core.scores.author_rules import SIZE_CLASSES

if TYPE_CHECKING:
    import pandas as pd

# Columns and titles of scores of which the higher is the better one.
_SCORES = (
    ("mean_f1", "mean F1"),
    ("f1_0.50", "F1 at 0.5"),
    ("f1_0.70", "F1 at 0.7"),
    ("f1_0.90", "F1 at 0.9"),
    ("mean_precision", "mAP"),
    ("mean_recall", "mAR"),
    ("dsb_score", "DSB score"),
)
_AREA_SCORES = (
    ("aji", "AJI"),
    ("panoptic_quality", "PQ"),
    ("mean_dice", "mean Dice"),
    ("mean_iou", "mean IoU"),
    ("pixel_accuracy", "pixel accuracy"),
)
_TESTED = {"mean_f1": "mean F1", "f1_0.70": "F1 at 0.7", "f1_0.90": "F1 at 0.9"}
# Counts and rates by author: column, title, source.
_ERRORS = (
    ("missed_0.70", "missed (IoU 0.7)", "C"),
    ("merges", "merges", "C"),
    ("splits", "splits", "C"),
    ("hollandi_merges", "merges", "H"),
    ("hollandi_splits", "splits", "H"),
    ("kromp_false_negatives", "not detected", "K"),
    ("kromp_false_positives", "false", "K"),
    ("kromp_over_rate", "over-segmented", "K"),
    ("kromp_under_rate", "under-segmented", "K"),
)


@dataclass(frozen=True)
class Cell:
    """A cell: its text, whether it is the best of its column, and a remark in small print."""

    text: str
    best: bool = False
    remark: str = ""


@dataclass(frozen=True)
class TextTable:
    """Titles of the columns and rows of cells; the first cell of a row is its name."""

    header: List[str]
    rows: List[List[Cell]]


def main_rows(evaluation: Evaluation, times: pd.DataFrame) -> TextTable:
    """Give the scores of each method on all images, with the confidence interval of the mean F1.

    Parameters
    ----------
    evaluation : Evaluation
    times : pandas.DataFrame
        See `data.image_times`; adds a column with the median where there are any.

    Returns
    -------
    TextTable
    """
    records = [evaluation.overall(method) for method in evaluation.methods]
    columns = [(title, _score_cells(records, name)) for name, title in _SCORES]
    if len(times):
        medians = times.groupby("method")["seconds"].median()
        texts = [f"{medians[method]:.2f}" if method in medians else "" for method in evaluation.methods]
        columns.append(("seconds per image", [Cell(text) for text in texts]))
    return _table(evaluation.methods, "method", columns)


def area_rows(evaluation: Evaluation) -> TextTable:
    """Give the scores that look at areas, of each method on all images.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    TextTable
    """
    records = [evaluation.overall(method) for method in evaluation.methods]
    return _table(evaluation.methods, "method", [(title, _score_cells(records, name)) for name, title in _AREA_SCORES])


def _score_cells(records: Sequence[Dict[str, Any]], name: str) -> List[Cell]:
    values = [record[name] for record in records]
    best = max(values)
    several = len(set(values)) > 1
    return [
        Cell(
            f"{record[name]:.3f}",
            several and record[name] == best,
            f"{record[f'{name}_low']:.3f} to {record[f'{name}_high']:.3f}",
        )
        for record in records
    ]


def comparison_rows(evaluation: Evaluation) -> TextTable:
    """Give the paired tests of the main scores on all images.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    TextTable
        Without rows where there is one method.
    """
    header = ["methods", "score", "difference", "better on", "worse on", "p (Wilcoxon)", "p (Holm)", "rank-biserial"]
    rows = []
    shown = evaluation.comparisons
    shown = shown[(shown["category"] == ALL) & shown["score"].isin(_TESTED)]
    pairs = shown.groupby(["method", "other"], sort=False).ngroup()
    for row in shown.loc[pairs.sort_values(kind="stable").index].to_dict("records"):
        cells = [Cell(f"{row['method']} against {row['other']}"), Cell(_TESTED[row["score"]])]
        cells.append(Cell(f"{row['difference']:+.3f}", remark=f"{row['low']:+.3f} to {row['high']:+.3f}"))
        cells += [Cell(str(row["better"])), Cell(str(row["worse"]))]
        cells += [Cell(f"{row[name]:.2g}") for name in ("p_value", "p_holm")]
        rows.append([*cells, Cell(f"{row['rank_biserial']:+.2f}")])
    return TextTable(header, rows)


def error_rows(evaluation: Evaluation, counts: Dict[Tuple[str, str, str], int]) -> TextTable:
    """Give the errors of each method as each author counts them.

    Parameters
    ----------
    evaluation : Evaluation
    counts : dict of (str, str, str) to int
        See `figures.error_counts`.

    Returns
    -------
    TextTable
    """
    records = [evaluation.overall(method) for method in evaluation.methods]
    found = [Cell(str(record["n_prediction"])) for record in records]
    extra = [Cell(str(counts.get((method, "prediction", "extra"), 0))) for method in evaluation.methods]
    columns = [("found", found), ("extra (IoU 0.7)", extra)]
    for name, title, source in _ERRORS:
        values = [record[name] for record in records]
        best = min(values)
        texts = [f"{value:.1%}" if name.endswith("rate") else str(value) for value in values]
        cells = [Cell(text, value == best < max(values)) for text, value in zip(texts, values)]
        columns.append((f"{title} [{source}]", cells))
    return _table(evaluation.methods, "method", columns)


def size_rows(evaluation: Evaluation) -> TextTable:
    """Give the share of missed nuclei of each class of size.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    TextTable
    """
    records = [evaluation.overall(method) for method in evaluation.methods]
    columns = []
    for size in SIZE_CLASSES:
        shares = [record[f"missed_share_0.70_{size}"] for record in records]
        best = min(shares)
        remarks = [f"{record[f'missed_0.70_{size}']} of {record[f'n_truth_{size}']}" for record in records]
        cells = [Cell(f"{share:.1%}", share == best < max(shares), remark) for share, remark in zip(shares, remarks)]
        columns.append((size, cells))
    return _table(evaluation.methods, "method", columns)


def strata_rows(evaluation: Evaluation, category: str) -> TextTable:
    """Give the mean F1 of each method in each category of images.

    Parameters
    ----------
    evaluation : Evaluation
    category : str
        Kind of category: a column of the table of categories.

    Returns
    -------
    TextTable
        One row per category.
    """
    means = evaluation.means[evaluation.means["category"] == category]
    values = list(dict.fromkeys(means["value"]))
    header = [category, "images", "nuclei", *evaluation.methods]
    rows = []
    for value in values:
        records = means[means["value"] == value].to_dict("records")
        counts = [Cell(str(records[0]["images"])), Cell(str(records[0]["n_truth"]))]
        rows.append([Cell(value), *counts, *_score_cells(records, "mean_f1")])
    return TextTable(header, rows)


def _table(names: Sequence[str], title: str, columns: Sequence[Tuple[str, List[Cell]]]) -> TextTable:
    rows = [[Cell(name), *(cells[position] for _, cells in columns)] for position, name in enumerate(names)]
    return TextTable([title, *(column for column, _ in columns)], rows)
