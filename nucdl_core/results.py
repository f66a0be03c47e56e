"""What the engine finds: the nuclei of one tile while they are worked on, and the one result type of an image."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Floats, Labels, Mask
from nucdl_core.labels import areas, gapless, mean_inside, renumbered
from nucdl_core.regions import MICRONUCLEUS, Regions, median_of_nuclei, regions_of, touches_edge


@dataclass(frozen=True)
class Found:
    """The nuclei that a model finds in an image or a tile, before their outlines are final.

    Attributes
    ----------
    labels : int32 array (H, W)
        1..N without gaps.
    areas : int64 array (N,)
        Pixels of each nucleus.
    probability : float32 array (H, W)
        Probability of each pixel to lie in a nucleus.
    scores : float32 array (N,) or None
        None where the mean probability of a nucleus's pixels, as its final outline has them, is its score.
    agreement : float32 array (N,) or None
        See `Segmentation`.
    """

    labels: Labels
    areas: NDArray[np.int64]
    probability: Floats
    scores: Optional[Floats] = None
    agreement: Optional[Floats] = None

    def redrawn(self, labels: Labels, numbers: Optional[NDArray[np.int32]] = None) -> Found:
        """Return the nuclei with other outlines; those that have vanished are left out.

        Parameters
        ----------
        labels : int32 array (H, W)
            Gaps are allowed.
        numbers : int32 array (M,), optional
            The number that each nucleus of `labels` has here; without it they have kept their numbers.

        Returns
        -------
        Found
            1..N without gaps.
        """
        counted = areas(labels, len(self.areas) if numbers is None else len(numbers))
        present = np.flatnonzero(counted)
        if present.size < counted.size:
            labels = renumbered(labels, gapless(counted > 0))
        before = present if numbers is None else numbers[present] - 1
        scores, agreement = (None if each is None else each[before] for each in (self.scores, self.agreement))
        return Found(labels, counted[present], self.probability, scores, agreement)

    def inside(self, mask: Mask) -> Found:
        """Return what lies where a mask (H, W) is true."""
        return replace(self.redrawn(self.labels * mask), probability=self.probability * mask)

    def segmentation(self, diameter: float, keep_probability: bool = True) -> Segmentation:
        """Return the final result, with the typical diameter in pixels that the nuclei were looked for at."""
        scores = mean_inside(self.probability, self.labels, self.areas) if self.scores is None else self.scores
        regions = regions_of(self.labels, self.areas)
        probability = self.probability if keep_probability else None
        return Segmentation(self.labels, scores, probability, float(diameter), self.agreement, regions)


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
        filters and without micronuclei; NaN where there is none.
    agreement : float32 array (N,) or None
        How much the views agree on each nucleus, in [0, 1], see `views.agreement`; None where there was one view.
    measured : Regions or None
        Areas and bounding boxes, where they are known already; `regions` has them in any case.
    """

    labels: Labels
    scores: Floats
    probability: Optional[Floats]
    diameter: float
    agreement: Optional[Floats] = None
    measured: Optional[Regions] = None

    def __post_init__(self) -> None:
        count = self.regions.count
        for vector in (self.scores, self.agreement):
            if vector is not None and vector.shape != (count,):
                raise ValueError(f"{count} nuclei need as many values, not an array of shape {vector.shape}")
        if self.probability is not None and self.labels.shape != self.probability.shape:
            raise ValueError(f"labels {self.labels.shape} and probability {self.probability.shape} differ in shape")

    @functools.cached_property
    def regions(self) -> Regions:
        """Area and bounding box of each nucleus."""
        return regions_of(self.labels) if self.measured is None else self.measured

    @property
    def count(self) -> int:
        """Number of nuclei."""
        return len(self.scores)

    @property
    def median_diameter(self) -> float:
        """Median equivalent diameter in pixels of the nuclei that are no micronuclei, NaN where there is none."""
        return median_of_nuclei(self.regions.diameters)

    @property
    def micronuclei(self) -> Mask:
        """Which nuclei are micronuclei, or debris: those below `MICRONUCLEUS` of the typical diameter, bool array (N,).

        None of those that touch the border of the image, which are parts of nuclei.
        """
        small: Mask = self.regions.diameters < MICRONUCLEUS * self.diameter
        return small & ~touches_edge(self.regions, self.labels.shape)

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
        return replace(
            self,
            labels=renumbered(self.labels, gapless(kept)),
            scores=self.scores[kept],
            agreement=None if self.agreement is None else self.agreement[kept],
            measured=self.regions.keep(kept),
        )
