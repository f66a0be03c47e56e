"""Nuclei of very different size in one image: what was found at two scales, put together."""

from __future__ import annotations

from typing import Optional

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Floats, Labels
from nucdl_core.labels import areas, equivalent_diameters, relabel
from nucdl_core.results import Segmentation

# A nucleus of which more than this share is covered by one that suits the other scale is a part of that one.
COVERED = 0.5


def combine(typical: Segmentation, other: Segmentation) -> Segmentation:
    """Put together what was found at the scale of the typical nucleus and at that of much larger or smaller ones.

    Of what was found at the other scale, only nuclei count whose size is closer to that scale's than to the typical
    one. They replace the nuclei of the typical scale that they mostly cover, which are their parts or their cluster.

    Parameters
    ----------
    typical, other : Segmentation
        Of the same image; `diameter` is the one whose scale they were found at.

    Returns
    -------
    Segmentation
        With the diameter and the probability of `typical`; inside the added nuclei the probability is that of `other`.
    """
    border = float(np.sqrt(typical.diameter * other.diameter))
    sizes = equivalent_diameters(other.labels)
    suits = sizes > border if other.diameter > typical.diameter else sizes < border
    added = _kept(other.labels, suits)
    if not added.any():
        return typical
    before = areas(typical.labels)
    covered = np.bincount(typical.labels[added > 0], minlength=before.size + 1)[1:]
    stays = covered <= COVERED * before
    labels = _kept(typical.labels, stays)
    # Added nuclei that are smaller lie over what stays, larger ones under it.
    over = added > 0 if other.diameter < typical.diameter else (added > 0) & (labels == 0)
    labels = np.where(over, added + before.size, labels).astype(np.int32)
    origin = np.flatnonzero(areas(labels))
    return Segmentation(
        relabel(labels),
        np.concatenate([typical.scores, other.scores])[origin],
        _probability(typical, other, over),
        typical.diameter,
        _joined(typical.agreement, other.agreement, origin),
    )


def _kept(labels: Labels, chosen: NDArray[np.bool_]) -> Labels:
    number = np.where(chosen, np.arange(1, chosen.size + 1), 0)
    return np.append(0, number).astype(np.int32)[labels]


def _probability(typical: Segmentation, other: Segmentation, over: NDArray[np.bool_]) -> Optional[Floats]:
    if typical.probability is None or other.probability is None:
        return None
    return np.where(over, other.probability, typical.probability)


def _joined(first: Optional[Floats], second: Optional[Floats], chosen: NDArray[np.intp]) -> Optional[Floats]:
    if first is None or second is None:
        return None
    joined: Floats = np.concatenate([first, second])[chosen]
    return joined
