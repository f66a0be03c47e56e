"""Classes of nuclei by a person's own masks: regions of tissue, infected cells, anything that was drawn or computed."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import Labels
from nucdl_core.errors import ImageError
from nucdl_core.files.folders import label_images
from nucdl_core.files.reading import read_labels
from nucdl_core.labels import highest

CLASS_COLUMN = "NucDL_Class"


class ClassMasks:
    """A folder of masks whose pixels hold the number of a class, 0 where there is none.

    Parameters
    ----------
    folder : Path
        Masks are named as label images are, after their images: ``NAME.tif`` or ``NAME.png``.

    Raises
    ------
    ImageError
        If the folder has no masks.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: Dict[str, Path] = label_images(folder)

    def classes_of(self, name: str, labels: Labels) -> NDArray[np.int64]:
        """Return the class of each nucleus of an image.

        Parameters
        ----------
        name : str
            Of the image, without suffix.
        labels : int32 array (H, W)
            1..N without gaps.

        Returns
        -------
        int64 array (N,)
            The number below most of its pixels; the lowest of those that are below equally many.

        Raises
        ------
        ImageError
            If there is no mask of that name, or it cannot be read, or has another shape.
        """
        if name not in self._files:
            raise ImageError(f"{self._folder} has no mask for {name}; add {name}.tif, with 0 where there is no class")
        mask = read_labels(self._files[name])
        if mask.shape != labels.shape:
            raise ImageError(f"{self._files[name]} is {mask.shape}, its image {labels.shape}; both must have one shape")
        return classes_below(labels, mask)


def classes_below(labels: Labels, mask: Labels) -> NDArray[np.int64]:
    """Return the number of a mask (H, W) below most pixels of each nucleus of (H, W); see `ClassMasks.classes_of`."""
    inside, count = labels > 0, highest(labels)
    numbers, place = np.unique(mask[inside], return_inverse=True)
    if not numbers.size:
        return np.zeros(count, np.int64)
    keys = (labels[inside].astype(np.int64) - 1) * numbers.size + place
    votes = np.bincount(keys, minlength=count * numbers.size).reshape(count, numbers.size)
    return numbers[votes.argmax(axis=1)].astype(np.int64)
