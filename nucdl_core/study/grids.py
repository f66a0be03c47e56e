"""The factors of a grid, their levels and its cells, and how they are called on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Sequence, Tuple

from nucdl_core.study.results import FACTORS, StudyResults

if TYPE_CHECKING:
    import pandas as pd

FACTOR_TITLES = {
    "network": "network",
    "start": "start",
    "kinds": "kinds of images",
    "images": "training images",
    "augmentation": "augmentation",
    "rescaled": "size of nuclei",
    "cycles": "training time",
    "regions": "different crops",
    "simulated": "simulated crops",
    "artificial": "artificial crops",
}
_TEXTS: Dict[str, Callable[[Any], str]] = {
    "images": lambda level: f"{level:g}",
    "rescaled": lambda level: "brought to one" if level else "as it is",
    "cycles": lambda level: f"{level:g} x usual",
    "regions": lambda level: f"{level:g}" if level else "always new",
    "simulated": lambda level: f"{level:.0%}",
    "artificial": lambda level: f"{level:.0%}",
}
# Always new crops are more than any number of different ones.
_ORDER: Dict[str, Callable[[Any], Any]] = {
    "images": lambda level: level,
    "rescaled": lambda level: level,
    "cycles": lambda level: level,
    "regions": lambda level: level or float("inf"),
    "simulated": lambda level: level,
    "artificial": lambda level: level,
}


@dataclass(frozen=True)
class GridCell:
    """A combination of the factors of a grid.

    Attributes
    ----------
    levels : mapping of str to object
        Level of each factor that the grid varies.
    trainings : sequence of str
        Its replicates, those that failed included.
    """

    levels: Mapping[str, Any]
    trainings: Sequence[str]


def grid_trainings(results: StudyResults, grid: str) -> pd.DataFrame:
    """Give the rows of the table of trainings that belong to a grid."""
    return results.trainings[results.trainings["training"].isin(list(results.grids[grid]))]


def ordered_levels(trainings: pd.DataFrame, factor: str) -> List[Any]:
    """Give the levels of a factor: numbers in their order, words in that of the table, single kinds before joined ones.

    Parameters
    ----------
    trainings : pandas.DataFrame
    factor : str
        One of `results.FACTORS`.

    Returns
    -------
    list of object
    """
    levels = trainings[factor].drop_duplicates().tolist()
    if factor == "kinds":
        return sorted(levels, key=lambda level: level.count("+"))
    return sorted(levels, key=_ORDER[factor]) if factor in _ORDER else levels


def has_order(factor: str) -> bool:
    """Tell whether the levels of a factor have an order from less to more."""
    return factor in _ORDER


def varied_factors(trainings: pd.DataFrame) -> List[str]:
    """Name the factors of which the trainings of a grid have more than one level."""
    return [factor for factor in FACTORS if trainings[factor].nunique() > 1]


def grid_cells(results: StudyResults, grid: str) -> List[GridCell]:
    """Sort the trainings of a grid into its cells.

    Parameters
    ----------
    results : StudyResults
    grid : str
        Its name.

    Returns
    -------
    list of GridCell
        In the order of the levels; only those that have a training.
    """
    trainings = grid_trainings(results, grid)
    factors = varied_factors(trainings)
    orders = [ordered_levels(trainings, factor) for factor in factors]
    members: Dict[Tuple[Any, ...], List[str]] = {}
    for row in trainings.to_dict("records"):
        members.setdefault(tuple(row[factor] for factor in factors), []).append(row["training"])
    keys = sorted(members, key=lambda key: [order.index(level) for order, level in zip(orders, key)])
    return [GridCell(dict(zip(factors, key)), members[key]) for key in keys]


def level_text(factor: str, level: Any) -> str:
    """Say a level of a factor in words; see `FACTOR_TITLES` for what they are words of."""
    return _TEXTS[factor](level) if factor in _TEXTS else str(level)


def levels_text(levels: Mapping[str, Any], without: str = "") -> str:
    """Say the levels of a cell in one line, each with the name of its factor where there are several.

    Parameters
    ----------
    levels : mapping of str to object
        See `GridCell`.
    without : str
        A factor that is left out.

    Returns
    -------
    str
    """
    shown = {factor: level for factor, level in levels.items() if factor != without}
    if len(shown) == 1:
        ((factor, level),) = shown.items()
        return level_text(factor, level)
    return ", ".join(f"{FACTOR_TITLES[factor]} {level_text(factor, level)}" for factor, level in shown.items())
