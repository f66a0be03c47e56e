"""How sure a score is, and whether one method is better than another on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE_LEVEL = 0.95
REPETITIONS = 2000
# Resamples are drawn in parts of about so many numbers, so that memory stays small for any number of images.
_PART = 2_000_000
# Differences below this are rounding errors of equal scores.
_DECIMALS = 12


@dataclass(frozen=True)
class PairedComparison:
    """A method against another one on the same images.

    Attributes
    ----------
    images : int
        Number of images.
    better, worse : int
        Images on which the first method has the higher, or the lower, score.
    difference : float
        Mean over the images of the first minus the second score.
    low, high : float
        Bootstrap confidence interval of the difference.
    p_value : float
        Of the two-sided Wilcoxon signed-rank test; 1 where no image differs.
    rank_biserial : float
        Effect size in [-1, 1]: the share of the rank sum that favours the first method minus the share that favours
        the second; 0 where no image differs.
    """

    images: int
    better: int
    worse: int
    difference: float
    low: float
    high: float
    p_value: float
    rank_biserial: float


def bootstrap_interval(
    values: NDArray[np.float64], seed: int = 0, repetitions: int = REPETITIONS
) -> Tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the confidence interval of the mean over images of each score.

    Images are drawn with replacement; the bounds are the percentiles between which `CONFIDENCE_LEVEL` of the means lie
    (percentile bootstrap). Of a single image both bounds are its scores.

    Parameters
    ----------
    values : float64 array (N, C)
        One row per image, one column per score, all finite; at least one row.
    seed : int
        The same seed gives the same interval.
    repetitions : int
        Number of resamples.

    Returns
    -------
    low, high : float64 arrays (C,)

    Raises
    ------
    ValueError
        If there is no image.
    """
    from scipy.stats import bootstrap

    count = len(values)
    if count == 0:
        raise ValueError("there is no image to resample; give at least one row of scores")
    if count == 1:
        return values[0], values[0]
    interval = bootstrap(
        (values,),
        np.mean,
        axis=0,
        n_resamples=repetitions,
        batch=max(1, _PART // values.size),
        confidence_level=CONFIDENCE_LEVEL,
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return interval.low, interval.high


def compare_paired(first: NDArray[np.float64], second: NDArray[np.float64], seed: int = 0) -> PairedComparison:
    """Compare the scores of two methods on the same images.

    Parameters
    ----------
    first, second : float64 arrays (N,)
        Score of each image, in the same order; at least one.
    seed : int
        Of the bootstrap.

    Returns
    -------
    PairedComparison

    Raises
    ------
    ValueError
        If there is no image.

    Notes
    -----
    The signed-rank test of Wilcoxon without the images that do not differ; matched-pairs rank-biserial correlation
    after Kerby, Comprehensive Psychology 2014.
    """
    from scipy.stats import rankdata, wilcoxon

    differences = np.round(np.subtract(first, second), _DECIMALS)
    low, high = bootstrap_interval(differences[:, None], seed)
    changed = differences[differences != 0]
    p_value, effect = 1.0, 0.0
    if len(changed):
        ranks = rankdata(np.abs(changed))
        effect = float((ranks * np.sign(changed)).sum() / ranks.sum())
        p_value = float(wilcoxon(changed).pvalue)
    return PairedComparison(
        images=len(differences),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
        difference=float(differences.mean()),
        low=float(low[0]),
        high=float(high[0]),
        p_value=p_value,
        rank_biserial=effect,
    )


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p-values of several tests by the step-down method of Holm.

    Parameters
    ----------
    p_values : float64 array (T,)

    Returns
    -------
    float64 array (T,)
        In the same order, at most 1.

    Notes
    -----
    Holm, Scandinavian Journal of Statistics 1979. Written out here since scipy does not have it.
    """
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return corrected
