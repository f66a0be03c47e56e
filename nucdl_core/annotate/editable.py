"""A label image that is edited nucleus by nucleus, at a cost that does not grow with the image."""

from __future__ import annotations

import contextlib
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
from scipy import ndimage

from nucdl_core.annotate.changes import window_of
from nucdl_core.arrays import Labels
from nucdl_core.exchange.objects import PlacedMask, trimmed
from nucdl_core.labels import areas, as_labels
from nucdl_core.steps.tiling import Window


class Patch(NamedTuple):
    """A change of a label image.

    Attributes
    ----------
    window : Window
    before, after : int32 arrays (h, w)
        What it holds.
    """

    window: Window
    before: Labels
    after: Labels


class EditableLabels:
    """A label image that is edited nucleus by nucleus.

    Parameters
    ----------
    labels : integer array (H, W)
        It is copied.

    Attributes
    ----------
    labels : int32 array (H, W)
        To be read only.
    highest : int
        No number has been higher than this.
    """

    def __init__(self, labels: Labels) -> None:
        self.labels: Labels = as_labels(labels).copy()
        # Of each nucleus, its pixels, and a window that holds it.
        self._pixels: Dict[int, int] = dict(enumerate(areas(self.labels).tolist(), start=1))
        self._windows: Dict[int, Window] = {
            number: box for number, box in enumerate(ndimage.find_objects(self.labels), start=1) if box
        }
        self.highest = len(self._pixels)

    @property
    def numbers(self) -> List[int]:
        """Numbers of the nuclei, rising; there may be gaps."""
        return sorted(number for number, pixels in self._pixels.items() if pixels)

    def mask_of(self, number: int) -> PlacedMask:
        """Return the pixels of a nucleus; of shape (0, 0) where there is none of this number."""
        rows, cols = self._windows.get(number, (slice(0, 0), slice(0, 0)))
        return trimmed(self.labels[rows, cols] == number, rows.start, cols.start)

    @contextlib.contextmanager
    def without(self, *numbers: int) -> Iterator[Labels]:
        """Take nuclei out of the image for the time of a block, which gets what is left."""
        parts = [(number, self.mask_of(number)) for number in numbers if number]
        for _, placed in parts:
            self.labels[window_of(placed)][placed.mask] = 0
        try:
            yield self.labels
        finally:
            for number, placed in parts:
                self.labels[window_of(placed)][placed.mask] = number

    def draw(self, covered: PlacedMask, new: Sequence[Tuple[int, PlacedMask]], old: Sequence[PlacedMask]) -> Patch:
        """Clear masks and draw others.

        Parameters
        ----------
        covered : PlacedMask
            Its rows and columns hold all of them.
        new : sequence of (int, PlacedMask)
            Numbers and pixels.
        old : sequence of PlacedMask
            What becomes background first.

        Returns
        -------
        Patch
        """
        window = window_of(covered)
        before = self.labels[window].copy()
        for placed in old:
            self.labels[window_of(placed)][placed.mask] = 0
        for number, placed in new:
            self.labels[window_of(placed)][placed.mask] = number
            self.highest = max(self.highest, number)
        patch = Patch(window, before, self.labels[window].copy())
        self._note(window, before, patch.after)
        return patch

    def undo(self, patch: Patch) -> None:
        """Take back the last change that has not been taken back."""
        self.labels[patch.window] = patch.before
        self._note(patch.window, patch.after, patch.before)

    def redo(self, patch: Patch) -> None:
        """Make the change again that was taken back last."""
        self.labels[patch.window] = patch.after
        self._note(patch.window, patch.before, patch.after)

    def _note(self, window: Window, before: Labels, after: Labels) -> None:
        """Keep pixels and windows of nuclei up to date."""
        for sign, labels in ((-1, before), (1, after)):
            for number, pixels in zip(*(each.tolist() for each in np.unique(labels, return_counts=True))):
                if number:
                    self._pixels[number] = self._pixels.get(number, 0) + sign * pixels
                    rows, cols = (
                        slice(min(one.start, other.start), max(one.stop, other.stop))
                        for one, other in zip(self._windows.get(number, window), window)
                    )
                    self._windows[number] = (rows, cols)
