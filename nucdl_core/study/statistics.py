"""The numbers of a study: means over replicates with intervals, and paired tests between the cells of a grid."""

from __future__ import annotations

from dataclasses import asdict, fields
from itertools import combinations
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.scores.matching import MISSED_THRESHOLD, THRESHOLDS
from nucdl_core.scores.significance import CONFIDENCE_LEVEL, PairedComparison, compare_paired, holm
from nucdl_core.study.grids import GridCell, grid_cells, grid_trainings, levels_text
from nucdl_core.study.results import FACTORS, TEST_PART, TRAINING_PART, StudyResults, missing_trainings

if TYPE_CHECKING:
    import pandas as pd

ERROR_COUNTS = (f"missed_{MISSED_THRESHOLD:.2f}", "merges", "splits")
"""Counts that are added up over the test images of a training."""
ERROR_SHARES = tuple(f"{name}_share" for name in ERROR_COUNTS)
"""The same as shares of the true nuclei."""
SUMMARIZED = ("mean_f1", "f1_0.50", "f1_0.70", "f1_0.90", *ERROR_COUNTS)
"""Of which the summary gives mean and interval."""
_F1S = ("mean_f1", *(f"f1_{threshold:.2f}" for threshold in THRESHOLDS))
_TRUTH = "n_truth"
_PAIR = ("grid", "factor", "within", "first", "second")


def mean_interval(values: Any) -> Tuple[float, float, float]:
    """Give the mean of replicates and its 95 % confidence interval after Student.

    Parameters
    ----------
    values : sequence of float (R,)
        One per replicate; those that are not a number are left out.

    Returns
    -------
    mean, low, high : float
        NaN where there are too few: an interval needs two replicates.
    """
    from scipy.stats import t

    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if len(known) == 0:
        return float("nan"), float("nan"), float("nan")
    mean = float(known.mean())
    if len(known) == 1:
        return mean, float("nan"), float("nan")
    quantile = float(t.ppf(0.5 + CONFIDENCE_LEVEL / 2, len(known) - 1))
    half = quantile * float(known.std(ddof=1)) / float(np.sqrt(len(known)))
    return mean, mean - half, mean + half


def arms(middle: Any, low: Any, high: Any, highest: float = np.inf) -> NDArray[np.float64]:
    """Give the lengths of error bars: within the possible values, and 0 where there is no interval.

    Parameters
    ----------
    middle, low, high : float, or arrays of float (N,)
        See `mean_interval`.
    highest : float
        Highest possible value; the lowest is 0.

    Returns
    -------
    float64 array (2, N)
        Downwards and upwards.
    """
    down, up = middle - np.maximum(low, 0), np.minimum(high, highest) - middle
    return np.nan_to_num(np.array([down, up], np.float64)).reshape(2, -1)


def training_scores(results: StudyResults) -> pd.DataFrame:
    """Give one row of scores per training.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    pandas.DataFrame
        By "training", only those that have scores of test images and did not fail: the means of the F1s over the test
        images, sums of `ERROR_COUNTS`, `ERROR_SHARES`, "n_truth", "test_images", and "training_f1", the mean F1 of the
        images that taught it (NaN where they were not looked at).
    """
    scores = results.scores[~results.scores["training"].isin(list(missing_trainings(results)))]
    by_training = scores[scores["part"] == TEST_PART].groupby("training", sort=False)
    table = by_training[list(_F1S)].mean().join(by_training[[*ERROR_COUNTS, _TRUTH]].sum())
    for share, error in zip(ERROR_SHARES, ERROR_COUNTS):
        table[share] = table[error] / table[_TRUTH].clip(lower=1)
    table["test_images"] = by_training.size()
    taught = scores[scores["part"] == TRAINING_PART].groupby("training")["mean_f1"].mean()
    table["training_f1"] = taught.reindex(table.index)
    return table


def grid_rows(results: StudyResults, grid: str) -> pd.DataFrame:
    """Give the trainings of a grid that have scores, with those scores.

    Parameters
    ----------
    results : StudyResults
    grid : str
        Its name.

    Returns
    -------
    pandas.DataFrame
        Columns of the table of trainings, then those of `training_scores`.
    """
    return grid_trainings(results, grid).join(training_scores(results), on="training", how="inner")


def summarize_study(results: StudyResults) -> pd.DataFrame:
    """Give the scores of each cell of each grid.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    pandas.DataFrame
        One row per cell: "grid", `results.FACTORS` (empty where the grid does not vary them), "replicates" (that have
        scores), "test_images", and of each of `SUMMARIZED` the mean over the replicates and the bounds "NAME_low" and
        "NAME_high" of its interval. Of one training, F1s are means and errors are sums over its test images.
    """
    import pandas as pd

    scores = training_scores(results)
    rows = []
    for grid in results.grids:
        for cell in grid_cells(results, grid):
            own = scores[scores.index.isin(list(cell.trainings))]
            row = {"grid": grid, **{factor: cell.levels.get(factor, "") for factor in FACTORS}}
            row.update({"replicates": len(own), "test_images": int(own["test_images"].max()) if len(own) else 0})
            for name in SUMMARIZED:
                row.update(zip((name, f"{name}_low", f"{name}_high"), mean_interval(own[name])))
            rows.append(row)
    bounds = [f"{name}{bound}" for name in SUMMARIZED for bound in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["grid", *FACTORS, "replicates", "test_images", *bounds])


def compare_cells(results: StudyResults) -> pd.DataFrame:
    """Compare the cells of each grid that differ in exactly one factor, on the same test images.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    pandas.DataFrame
        One row per pair: "grid", "factor" (in which the cells differ), "within" (the levels that both have, empty in
        a grid of one factor), "first" and "second" (levels), the attributes of `significance.PairedComparison` of the
        mean F1 of each image, averaged over the replicates, and "p_holm", corrected for the pairs of the grid.
    """
    import pandas as pd

    rows: List[Dict[str, Any]] = []
    for grid in results.grids:
        pairs = _compare_grid(results, grid)
        corrected = holm(np.array([row["p_value"] for row in pairs]))
        rows += [{"grid": grid, **row, "p_holm": float(value)} for row, value in zip(pairs, corrected)]
    return pd.DataFrame(rows, columns=[*_PAIR, *(field.name for field in fields(PairedComparison)), "p_holm"])


def _compare_grid(results: StudyResults, grid: str) -> List[Dict[str, Any]]:
    import pandas as pd

    missing = missing_trainings(results)
    scores = results.scores[results.scores["part"] == TEST_PART]
    cells = grid_cells(results, grid)
    worked = [[name for name in cell.trainings if name not in missing] for cell in cells]
    by_image = [scores[scores["training"].isin(names)].groupby(["kind", "image"])["mean_f1"].mean() for names in worked]
    rows = []
    for first, second in combinations(range(len(cells)), 2):
        factor = _only_difference(cells[first], cells[second])
        both = pd.concat([by_image[first], by_image[second]], axis=1, join="inner").to_numpy()
        if factor is None or len(both) == 0:
            continue
        words = [levels_text({factor: cells[number].levels[factor]}) for number in (first, second)]
        row = {"factor": factor, "within": levels_text(cells[first].levels, without=factor)}
        compared = asdict(compare_paired(both[:, 0], both[:, 1]))
        rows.append({**row, "first": words[0], "second": words[1], **compared})
    return rows


def _only_difference(first: GridCell, second: GridCell) -> Optional[str]:
    """Name the factor in which two cells differ, if it is the only one."""
    different = [factor for factor, level in first.levels.items() if second.levels[factor] != level]
    return different[0] if len(different) == 1 else None
