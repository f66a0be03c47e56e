"""Discarding of nuclei by size and at the border, with the three label sets that CellProfiler keeps.

CellProfiler's IdentifyPrimaryObjects leaves three label images, and the modules after it need all three:
IdentifySecondaryObjects, for example, lets the nuclei that were discarded at the edge of the image claim their
part of the cytoplasm, so that no neighbour grows into it. This module follows its definitions:

* *unedited*: every nucleus that was found;
* *small removed*: without those at the border (if they are discarded) and without those that are too small or too
  doubtful, in the numbers of *unedited*;
* *segmented*: without those that are too large either, renumbered 1..N.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Optional

import numpy as np

from nucdl_core.arrays import Labels, Mask
from nucdl_core.config import NONE_OF_THEM, SegmentConfig
from nucdl_core.labels import renumbered, touches_border
from nucdl_core.regions import touches_edge
from nucdl_core.results import Segmentation

LEAST_PIXELS = 5
"""Pixels of the smallest nucleus: of 54,814 annotated ones a single one has fewer, hot pixels of a camera have 1."""


@dataclass(frozen=True)
class FilteredNuclei:
    """The nuclei of an image that were kept, and which were discarded for what reason.

    Attributes
    ----------
    segmentation : Segmentation
        The kept nuclei, numbered 1..N, with their scores.
    unedited : int32 array (H, W)
        All nuclei that were found, numbered 1..M.
    at_border, too_small, too_large, doubtful : bool array (M,)
        Why nucleus ``i + 1`` of `unedited` was discarded. A nucleus at the border may be too small as well.
        All False where the configuration discards nothing for that reason.
    """

    segmentation: Segmentation
    unedited: Labels
    at_border: Mask
    too_small: Mask
    too_large: Mask
    doubtful: Mask

    @functools.cached_property
    def small_removed(self) -> Labels:
        """Int32 array (H, W): `unedited` without nuclei at the border, too small ones and doubtful ones."""
        return _only(self.unedited, ~(self.at_border | self.too_small | self.doubtful))

    @property
    def border_excluded(self) -> Labels:
        """Int32 array (H, W): the nuclei of `unedited` that were discarded at the border."""
        return _only(self.unedited, self.at_border)

    @property
    def discarded_inside(self) -> Mask:
        """Bool array (M,): the nuclei of `unedited` away from the border that were discarded for size or confidence."""
        return (self.too_small | self.too_large | self.doubtful) & ~self.at_border

    @property
    def inside_excluded(self) -> Labels:
        """Int32 array (H, W): the nuclei of `discarded_inside`."""
        return _only(self.unedited, self.discarded_inside)


def without_specks(found: Segmentation) -> Segmentation:
    """Return the nuclei that have at least `LEAST_PIXELS` pixels."""
    sizes = found.regions.areas
    return found if not sizes.size or sizes.min() >= LEAST_PIXELS else found.keep(sizes >= LEAST_PIXELS)


def filter_nuclei(segmentation: Segmentation, config: SegmentConfig, mask: Optional[Mask] = None) -> FilteredNuclei:
    """Discard the nuclei that the configuration does not want.

    Parameters
    ----------
    segmentation : Segmentation
        Everything that was found.
    config : SegmentConfig
        Its `minimum_diameter`, `maximum_diameter` (equivalent diameters in pixels; a nucleus exactly as large as
        a limit is kept), `micronuclei`, `minimum_confidence` and `discard_border` count.
    mask : bool array (H, W), optional
        True where the image is valid; its border counts like that of the image.

    Returns
    -------
    FilteredNuclei
        The kept nuclei and the discarded ones.

    Notes
    -----
    The definitions are those of CellProfiler 4.2, with one difference: IdentifyPrimaryObjects looks at the border
    of the mask only in images where no nucleus touches the border of the image. Here both always count, so that
    the images of a plate are treated alike.
    """
    labels = segmentation.labels
    diameters = segmentation.regions.diameters
    at_border = np.zeros(segmentation.count, bool)
    if config.discard_border:
        at_border = touches_edge(segmentation.regions, labels.shape) if mask is None else touches_border(labels, mask)
    too_small = diameters < config.minimum_diameter
    if config.micronuclei == NONE_OF_THEM:
        too_small = too_small | segmentation.micronuclei
    too_large = diameters > config.maximum_diameter
    doubtful = segmentation.scores < config.minimum_confidence
    discarded = at_border | too_small | too_large | doubtful
    kept = segmentation.keep(~discarded) if discarded.any() else segmentation
    return FilteredNuclei(kept, labels, at_border, too_small, too_large, doubtful)


def _only(labels: Labels, kept: Mask) -> Labels:
    if kept.all():
        return labels
    numbers = np.arange(len(kept) + 1, dtype=np.int32)
    numbers[1:][~kept] = 0
    return renumbered(labels, numbers)
