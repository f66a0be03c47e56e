"""The one result type of the engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nucdl_core.arrays import Floats, Labels, Mask


@dataclass(frozen=True)
class Segmentation:
    """What the engine knows about one image, also when it holds no nucleus.

    Attributes
    ----------
    labels : int32 array (H, W)
        0 is background, nuclei are numbered 1..N without gaps.
    scores : float32 array (N,)
        Confidence of nucleus ``i + 1`` in [0, 1].
    probability : float32 array (H, W)
        Probability of each pixel to lie in a nucleus, in [0, 1].
    diameter : float
        Typical nucleus diameter in pixels that the image was rescaled by: given or estimated.
        NaN where it was estimated and no nucleus was found.
    """

    labels: Labels
    scores: Floats
    probability: Floats
    diameter: float

    def __post_init__(self) -> None:
        count = int(self.labels.max(initial=0))
        if self.scores.shape != (count,):
            raise ValueError(f"{count} nuclei need as many scores, not an array of shape {self.scores.shape}")
        if self.labels.shape != self.probability.shape:
            raise ValueError(f"labels {self.labels.shape} and probability {self.probability.shape} differ in shape")

    @property
    def count(self) -> int:
        """Number of nuclei."""
        return len(self.scores)

    def keep(self, kept: Mask) -> Segmentation:
        """Return the segmentation with only the nuclei where `kept` is true, renumbered 1..M.

        Parameters
        ----------
        kept : bool array (N,)
            One flag per nucleus.

        Returns
        -------
        Segmentation
            Labels and scores of the kept nuclei in their old order; map and diameter unchanged.
        """
        renumber = np.zeros(self.count + 1, np.int32)
        renumber[1:] = np.where(kept, np.cumsum(kept), 0)
        return Segmentation(renumber[self.labels], self.scores[kept], self.probability, self.diameter)
