"""Images that look alike, told apart by k-means with more clusters than there are kinds (Hollandi et al.)."""

from __future__ import annotations

from typing import List, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from nucdl_core.adaptation.similarity import Similarity, places_of
from nucdl_core.arrays import Doubles
from nucdl_core.synthesis.appearance import Appearance

MOST_CLUSTERS = 8
FEWEST_IMAGES = 3
"""Smaller clusters say too little about how their images look, and join the nearest one."""


def cluster_images(network: Similarity, appearances: Sequence[Appearance], seed: int = 0) -> NDArray[np.int64]:
    """Part images into clusters that look alike.

    Parameters
    ----------
    network : Similarity
    appearances : sequence of Appearance
        At least one.
    seed : int

    Returns
    -------
    int64 array (N,)
        Cluster of each image, from 0, the largest cluster first.
    """
    places = places_of(network, appearances)
    wanted = int(np.clip(np.ceil(np.sqrt(len(places) / 2)), 1, MOST_CLUSTERS))
    _, numbers = kmeans2(places, wanted, minit="++", seed=np.random.default_rng(seed), iter=50)
    numbers = _without_small(places, np.asarray(numbers, np.int64))
    found, counts = np.unique(numbers, return_counts=True)
    order: List[int] = found[np.argsort(-counts, kind="stable")].tolist()
    return np.array([order.index(number) for number in numbers], np.int64)


def _without_small(places: Doubles, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Let clusters of too few images join the nearest one, the smallest first."""
    while True:
        found, counts = np.unique(numbers, return_counts=True)
        if len(found) == 1 or counts.min() >= FEWEST_IMAGES:
            return numbers
        small = found[counts.argmin()]
        centres = {number: places[numbers == number].mean(axis=0) for number in found}
        nearest = min((number for number in found if number != small), key=lambda n: _apart(centres[n], centres[small]))
        numbers = np.where(numbers == small, nearest, numbers)


def _apart(first: Doubles, second: Doubles) -> float:
    return float(np.linalg.norm(first - second))
