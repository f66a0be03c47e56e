"""The one result type of the engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional

from nucdl_core.arrays import Floats, Labels, Mask
from nucdl_core.labels import gapless, highest, renumbered


@dataclass(frozen=True)
class Segmentation:
    """What the engine knows about one image, also when it holds no nucleus.

    Attributes
    ----------
    labels : int32 array (H, W)
        0 is background, nuclei are numbered 1..N without gaps.
    scores : float32 array (N,)
        Confidence of nucleus ``i + 1`` in [0, 1].
    probability : float32 array (H, W) or None
        Probability of each pixel to lie in a nucleus, in [0, 1]; None where it was not wanted.
    diameter : float
        Typical nucleus diameter in pixels: as it was given, or else the median of the nuclei that were found, before
        filters; NaN where there is none.
    agreement : float32 array (N,) or None
        How much the views agree on each nucleus, in [0, 1], see `tta.agreement`; None where there was one view.
    """

    labels: Labels
    scores: Floats
    probability: Optional[Floats]
    diameter: float
    agreement: Optional[Floats] = None

    def __post_init__(self) -> None:
        count = highest(self.labels)
        for vector in (self.scores, self.agreement):
            if vector is not None and vector.shape != (count,):
                raise ValueError(f"{count} nuclei need as many values, not an array of shape {vector.shape}")
        if self.probability is not None and self.labels.shape != self.probability.shape:
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
        agreement = None if self.agreement is None else self.agreement[kept]
        return replace(
            self, labels=renumbered(self.labels, gapless(kept)), scores=self.scores[kept], agreement=agreement
        )
