"""The report of a study: its tables, its figures, and one HTML page with all of them."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List

from nucdl_core import __version__
from nucdl_core.files.writing import make_folder, replaced_folder, write_atomically, write_table
from nucdl_core.reports.figures import figure_bytes
from nucdl_core.reports.gallery import data_link
from nucdl_core.reports.page import render_page, require_libraries
from nucdl_core.study.figures import StudyFigure, grid_figures, views_gain
from nucdl_core.study.grids import FACTOR_TITLES, grid_trainings, level_text, varied_factors
from nucdl_core.study.results import FACTORS, TABLE_FILES, StudyResults, missing_trainings
from nucdl_core.study.statistics import compare_cells, summarize_study
from nucdl_core.study.tables import cell_table, pair_table

if TYPE_CHECKING:
    import pandas as pd

CELLS_NAME, PAIRS_NAME = "summary.csv", "comparisons.csv"
PARQUET_NAME, PAGE_NAME, FIGURES_NAME = "scores.parquet", "report.html", "figures"
_VIEWS_CAPTION = (
    "What averaging mirrored and turned views gains on the validation images, against the step of the training; "
    "each line a training, each colour a network."
)


def write_study_report(results: StudyResults, folder: Path, title: str) -> None:
    """Write the tables, the figures and the page of a study.

    Parameters
    ----------
    results : StudyResults
    folder : Path
        Made if it is not there. Receives the tables of the study (`results.TABLE_FILES`, with pyarrow also
        `PARQUET_NAME`), `CELLS_NAME`, `PAIRS_NAME`, the figures as files in a folder `FIGURES_NAME` (an older
        one is replaced) and the page `PAGE_NAME`, which needs none of the other files.
    title : str
        Of the page.

    Raises
    ------
    ConfigError
        If a library of the page is missing.
    NucDLError
        If a file cannot be written.
    """
    require_libraries()
    make_folder(folder)
    summary, comparisons = summarize_study(results), compare_cells(results)
    _write_tables(results, folder)
    write_table(folder / CELLS_NAME, summary)
    write_table(folder / PAIRS_NAME, comparisons)
    with replaced_folder(folder / FIGURES_NAME) as drawn:
        grids = []
        for number, name in enumerate(results.grids, start=1):
            grid = _grid_section(results, name, summary, comparisons)
            figures = grid_figures(results, name)
            grids.append({**grid, "figures": [_keep(drawn, f"{number}_{key}", figures[key]) for key in figures]})
        views = [_keep(drawn, "views", StudyFigure(views_gain(results), _VIEWS_CAPTION))] if len(results.views) else []
    values = {**_overview(results, summary), "title": title, "grids": grids, "views": views, "version": __version__}
    text = render_page("study.html", values)
    write_atomically(folder / PAGE_NAME, lambda stream: stream.write(text.encode("utf-8")))


def _write_tables(results: StudyResults, folder: Path) -> None:
    for name, file in TABLE_FILES.items():
        write_table(folder / file, getattr(results, name))
    if util.find_spec("pyarrow") is not None:
        content = results.scores.to_parquet(index=False)
        write_atomically(folder / PARQUET_NAME, lambda stream: stream.write(content))


def _keep(folder: Path, name: str, drawn: StudyFigure) -> Dict[str, str]:
    """Write a figure as files; return its link and its caption."""
    for kind in ("svg", "png"):
        content = figure_bytes(drawn.figure, kind)
        (folder / f"{name}.{kind}").write_bytes(content)
        if kind == "svg":
            link = data_link(content, "image/svg+xml")
    return {"link": link, "caption": drawn.caption}


def _overview(results: StudyResults, summary: pd.DataFrame) -> Dict[str, Any]:
    missing = missing_trainings(results)
    replicates = sorted({int(count) for count in summary["replicates"] if count})
    return {
        "training_count": len(results.trainings),
        "worked_count": len(results.trainings) - len(missing),
        "missing": missing,
        "replicates": " to ".join(str(count) for count in dict.fromkeys((*replicates[:1], *replicates[-1:]))) or "0",
    }


def _grid_section(results: StudyResults, name: str, summary: pd.DataFrame, comparisons: pd.DataFrame) -> Dict[str, Any]:
    trainings = grid_trainings(results, name)
    factors = varied_factors(trainings)
    return {
        "name": name,
        "varied": " and ".join(FACTOR_TITLES[factor] for factor in factors),
        "same": _same(trainings, factors),
        "cells": cell_table(summary[summary["grid"] == name], factors),
        "pairs": pair_table(comparisons[comparisons["grid"] == name]),
    }


def _same(trainings: pd.DataFrame, factors: List[str]) -> str:
    """Say what all trainings of a grid have in common."""
    first = trainings.to_dict("records")[0] if len(trainings) else {}
    shared = [factor for factor in FACTORS if factor not in factors and factor in first]
    return "; ".join(f"{FACTOR_TITLES[factor]}: {level_text(factor, first[factor])}" for factor in shared)
