"""CellProfiler's objects as the engine takes them, and the engine's nuclei as CellProfiler's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from _nucdl_engine import engine
from _nucdl_errors import ImageError
from cellprofiler_core.object import Objects
from numpy.typing import NDArray

if TYPE_CHECKING:
    from cellprofiler_core.image import Image
    from cellprofiler_core.workspace import Workspace

    from nucdl_core.arrays import Labels, Mask


class LabelSets(NamedTuple):
    """The three label images that CellProfiler keeps of objects; `nucdl_core.steps.filters` says what they mean.

    Attributes
    ----------
    segmented : int32 array (H, W)
        The objects, numbered 1..N without gaps.
    unedited : int32 array (H, W)
        With all that were discarded.
    small_removed : int32 array (H, W)
        `unedited` without those that were discarded at the border or as too small.
    """

    segmented: Labels
    unedited: Labels
    small_removed: Labels


class Nuclei(Objects):
    """CellProfiler's objects, numbered without gaps, whose centers are computed in a fraction of the time."""

    def center_of_mass(self) -> NDArray[np.float64]:
        """Return the (row, col) of each object in pixels, as CellProfiler's own method does: float64 array (N, 2)."""
        return engine().centroids(self.segmented)


def only(labels: Labels, kept: Mask) -> Labels:
    """Return the objects of (H, W) for which `kept`, bool (N,), is true, in their numbers."""
    numbers = np.arange(len(kept) + 1, dtype=np.int32)
    numbers[1:][~kept] = 0
    return numbers[labels]


def add_objects(workspace: Workspace, name: str, image: Image, sets: LabelSets) -> None:
    """Store nuclei as CellProfiler's objects.

    All three label sets are given, as IdentifyPrimaryObjects does: IdentifySecondaryObjects needs them, or its cells
    grow into nuclei that were discarded at the border.

    Parameters
    ----------
    workspace : Workspace
    name : str
        The name under which later modules find the objects.
    image : Image
        The image that they were found in.
    sets : LabelSets
    """
    objects = Nuclei()
    objects.segmented = sets.segmented
    objects.unedited_segmented = sets.unedited
    objects.small_removed_segmented = sets.small_removed
    objects.parent_image = image
    workspace.object_set.add_objects(objects, name)


def labels_without_overlaps(objects: Objects, name: str) -> Labels:
    """Take the labels of CellProfiler's objects, in whatever integers it keeps them.

    Parameters
    ----------
    objects : Objects
    name : str
        What an error calls them, such as "the objects Nuclei".

    Returns
    -------
    int32 array (H, W)

    Raises
    ------
    ImageError
        If objects overlap.
    """
    planes = objects.get_labels()
    if len(planes) > 1:
        raise ImageError(f"{name} overlap; select objects that do not, or separate them with another module first")
    labels: Labels = planes[0][0].astype(np.int32, copy=False)
    return labels
