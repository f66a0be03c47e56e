"""The tables of the page of a study, as rows of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, List, Sequence

from nucdl_core.reports.tables import Cell, TextTable
from nucdl_core.study.grids import FACTOR_TITLES, level_text
from nucdl_core.study.statistics import ERROR_COUNTS, SUMMARIZED

if TYPE_CHECKING:
    import pandas as pd

_TITLES = {
    "mean_f1": "mean F1",
    "f1_0.50": "F1 at 0.5",
    "f1_0.70": "F1 at 0.7",
    "f1_0.90": "F1 at 0.9",
    "missed_0.70": "missed (IoU 0.7)",
    "merges": "merges",
    "splits": "splits",
}
_NOTHING = "-"


def cell_table(summary: pd.DataFrame, factors: Sequence[str]) -> TextTable:
    """Give the scores of the cells of a grid, the best of each column marked.

    Parameters
    ----------
    summary : pandas.DataFrame
        Rows of `statistics.summarize_study` of one grid.
    factors : sequence of str
        That the grid varies.

    Returns
    -------
    TextTable
    """
    records = summary.to_dict("records")
    columns = [[Cell(level_text(factor, record[factor])) for record in records] for factor in factors]
    if not factors:
        columns = [[Cell("all") for _ in records]]
    columns += [[Cell(str(record[name])) for record in records] for name in ("replicates", "test_images")]
    columns += [_score_cells(records, name) for name in SUMMARIZED]
    header = [FACTOR_TITLES[factor] for factor in factors] or ["trainings"]
    titles = [*header, "replicates", "test images", *(_TITLES[name] for name in SUMMARIZED)]
    return TextTable(titles, [list(row) for row in zip(*columns)])


def _score_cells(records: Sequence[Dict[str, Any]], name: str) -> List[Cell]:
    known = [record[name] for record in records if not math.isnan(record[name])]
    best = min(known, default=None) if name in ERROR_COUNTS else max(known, default=None)
    several = len(set(known)) > 1
    digits, highest = (1, math.inf) if name in ERROR_COUNTS else (3, 1.0)
    cells = []
    for record in records:
        value, low, high = (record[f"{name}{bound}"] for bound in ("", "_low", "_high"))
        text = _NOTHING if math.isnan(value) else f"{value:.{digits}f}"
        # Of two replicates an interval reaches beyond what is possible.
        bounds = f"{max(low, 0.0):.{digits}f} to {min(high, highest):.{digits}f}"
        remark = "" if math.isnan(low) else bounds
        cells.append(Cell(text, several and value == best, remark))
    return cells


def pair_table(comparisons: pd.DataFrame) -> TextTable:
    """Give the paired tests between the cells of a grid.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        Rows of `statistics.compare_cells` of one grid.

    Returns
    -------
    TextTable
    """
    records = comparisons.to_dict("records")
    within = any(record["within"] for record in records)
    header = ["compared", *(["at"] if within else []), "difference of mean F1", "better on", "worse on"]
    rows = []
    for record in records:
        title = FACTOR_TITLES[record["factor"]]
        cells = [Cell(f"{title}: {record['first']} against {record['second']}")]
        cells += [Cell(record["within"])] if within else []
        cells.append(Cell(f"{record['difference']:+.3f}", remark=f"{record['low']:+.3f} to {record['high']:+.3f}"))
        cells += [Cell(str(record[name])) for name in ("better", "worse")]
        cells += [Cell(f"{record[name]:.2g}", record[name] < 0.05) for name in ("p_value", "p_holm")]
        rows.append([*cells, Cell(f"{record['rank_biserial']:+.2f}")])
    return TextTable([*header, "p (Wilcoxon)", "p (Holm)", "rank-biserial"], rows)
