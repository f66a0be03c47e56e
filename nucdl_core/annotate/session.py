"""The annotation of one image while a person works at it: nuclei, a pending contour, classes, undo.

It knows nothing of windows: a window calls its methods and shows what it holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import ArrayLike

from nucdl_core.annotate.changes import merge, moved, split_by_line
from nucdl_core.annotate.drawing import on_line
from nucdl_core.annotate.editable import EditableLabels, Patch
from nucdl_core.annotate.suggest import AS_DRAWN, ASSISTS, BY_MODEL, Guide, suggest
from nucdl_core.arrays import Labels
from nucdl_core.errors import AnnotationError
from nucdl_core.exchange.objects import PlacedMask, joined, trimmed
from nucdl_core.labels import relabel

OFFSET_STEP = 0.5
"""Pixels by which a contour moves at one press of a key: the least that pixels can show."""

Classes = Dict[int, str]
"""The class of nuclei by their numbers; those without one are left out."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A contour that waits to be accepted.

    Attributes
    ----------
    base : PlacedMask
        As it was suggested.
    placed : PlacedMask
        After its outline has been moved.
    source : str
        One of `suggest.ASSISTS`.
    offset : float
        Pixels by which it has been moved outwards.
    replaces : int
        The nucleus that it takes the place of; 0 for a new one.
    """

    base: PlacedMask
    placed: PlacedMask
    source: str
    offset: float = 0.0
    replaces: int = 0


class Annotated(NamedTuple):
    """An annotation, ready to be saved or handed on.

    Attributes
    ----------
    labels : int32 array (H, W)
        1..N without gaps.
    classes : dict of int to str
        The class of each nucleus that has one.
    """

    labels: Labels
    classes: Classes


class _Change(NamedTuple):
    """What undo and redo need to know."""

    patch: Patch
    classes: Tuple[Classes, Classes]
    selection: Tuple[Tuple[int, ...], Tuple[int, ...]]


class AnnotationSession:
    """The annotation of one image while a person works at it.

    A contour that was suggested is pending until it is accepted; any other action but undoing and discarding accepts it
    first, so that nothing that was drawn is lost.

    Parameters
    ----------
    labels : integer array (H, W)
        The nuclei to start with.
    guide : Guide
        What contours are suggested after.
    classes : mapping of int to str, optional
        The class of nuclei by their numbers.
    names : sequence of str
        All classes that can be given.
    offset : float
        Pixels by which suggested contours are moved outwards from the start.

    Raises
    ------
    AnnotationError
        If image and labels differ in shape, or a class is not among the names.
    """

    def __init__(
        self,
        labels: Labels,
        guide: Guide,
        classes: Optional[Mapping[int, str]] = None,
        names: Sequence[str] = (),
        offset: float = 0.0,
    ) -> None:
        if labels.shape != guide.image.shape:
            raise AnnotationError(
                f"the nuclei are {labels.shape}, their image is {guide.image.shape}; both must have the same shape"
            )
        self.guide, self.names, self.offset = guide, tuple(names), offset
        self._nuclei = EditableLabels(labels)
        self.classes: Classes = dict(classes or {})
        refuse_unknown_classes(self.classes, self.names)
        self.selection: Tuple[int, ...] = ()
        self.candidate: Optional[Candidate] = None
        self.assist = AS_DRAWN if guide.probability is None else BY_MODEL
        if guide.probability is None:
            self.next_assist()
        self.new_class = ""
        self._redrawn = 0
        self._saved = 0
        self._done: List[_Change] = []
        self._undone: List[_Change] = []

    @property
    def labels(self) -> Labels:
        """The nuclei without a pending contour, int32 array (H, W), to be read only; there may be gaps."""
        return self._nuclei.labels

    @property
    def numbers(self) -> List[int]:
        """Their numbers, rising."""
        return self._nuclei.numbers

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.numbers)

    @property
    def highest(self) -> int:
        """No number is higher than this."""
        return self._nuclei.highest

    @property
    def shape(self) -> Tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def redrawn(self) -> int:
        """The nucleus that the next contour takes the place of; 0 for none."""
        return self._redrawn

    @property
    def changed(self) -> bool:
        """Whether there is something that has not been saved."""
        return self.candidate is not None or len(self._done) != self._saved

    def mark_saved(self) -> None:
        """Note that the annotation has been saved as it is."""
        self._saved = len(self._done)

    def result(self) -> Annotated:
        """Return the annotation with its nuclei numbered 1..N; a pending contour is accepted first."""
        self.accept()
        classes = {
            place: self.classes[number] for place, number in enumerate(self.numbers, start=1) if number in self.classes
        }
        return Annotated(relabel(self.labels), classes)

    # Drawing

    def draw(self, drawn: PlacedMask) -> Candidate:
        """Suggest a contour for what was drawn roughly; it waits to be accepted.

        A pending contour that overlaps with it is redrawn; one elsewhere is accepted.

        Parameters
        ----------
        drawn : PlacedMask
            See `drawing.inside_line` and `drawing.inside_box`.

        Returns
        -------
        Candidate

        Raises
        ------
        AnnotationError
            If nothing was drawn, or only what other nuclei have.
        """
        replaces = self._redrawn
        if self.candidate is not None:
            if _overlap(self.candidate.placed, drawn):
                replaces = self.candidate.replaces
            else:
                self.accept()
        with self._nuclei.without(replaces) as others:
            found = suggest(drawn, self.guide, others, self.assist)
        if not found.placed.mask.size:
            raise AnnotationError("all that was drawn belongs to another nucleus; redraw or delete that one")
        offset = 0.0 if found.source == AS_DRAWN else self.offset
        self.candidate = self._candidate(Candidate(found.placed, found.placed, found.source, 0.0, replaces), offset)
        self._redrawn = 0
        return self.candidate

    def accept(self) -> int:
        """Make a pending contour a nucleus and select it; return its number, 0 where none is pending."""
        candidate = self.candidate
        if candidate is None:
            return 0
        self.candidate = None
        number = candidate.replaces or self.highest + 1
        classes = dict(self.classes)
        if not candidate.replaces and self.new_class:
            classes[number] = self.new_class
        old = [self.mask_of(number)] if candidate.replaces else []
        self._change(joined([*old, candidate.placed]), [(number, candidate.placed)], old, (number,), classes)
        return number

    def discard(self) -> bool:
        """Drop what is pending, or else the selection; tell whether there was any of them."""
        pending = self.candidate is not None or self._redrawn > 0 or bool(self.selection)
        if self.candidate is None and not self._redrawn:
            self.selection = ()
        self.candidate, self._redrawn = None, 0
        return pending

    def redraw(self) -> int:
        """Let the next contour take the place of the selected nucleus, or of the pending one; return its number."""
        if self.candidate is None:
            self._redrawn = self._only_selected("redrawn")
        return self._redrawn

    def next_assist(self) -> str:
        """Go on to the next of `suggest.ASSISTS`, and return it; without a model there are two."""
        offered = [each for each in ASSISTS if each != BY_MODEL or self.guide.probability is not None]
        place = offered.index(self.assist) + 1 if self.assist in offered else 0
        self.assist = offered[place % len(offered)]
        return self.assist

    def move_outline(self, steps: int) -> float:
        """Move the pending contour, or the outline of the selected nucleus, by steps of `OFFSET_STEP` outwards.

        A selected nucleus becomes pending, so that each step starts from its outline as it was.

        Returns
        -------
        float
            Pixels by which it has been moved in all.

        Raises
        ------
        AnnotationError
            If no nucleus is selected, or nothing would be left of it.
        """
        if self.candidate is None:
            number = self._only_selected("moved")
            placed = self.mask_of(number)
            self.candidate = Candidate(placed, placed, AS_DRAWN, 0.0, number)
        self.candidate = self._candidate(self.candidate, self.candidate.offset + steps * OFFSET_STEP)
        return self.candidate.offset

    def _candidate(self, candidate: Candidate, offset: float) -> Candidate:
        with self._nuclei.without(candidate.replaces) as others:
            placed = moved(candidate.base, offset, others)
        if not placed.mask.size:
            raise AnnotationError("nothing is left of the nucleus if its outline moves further in; delete it instead")
        return replace(candidate, placed=placed, offset=offset)

    # Selecting

    def number_at(self, row: float, col: float) -> int:
        """Return the nucleus at a position in pixels, 0 for background and outside of the image."""
        place = int(np.floor(row)), int(np.floor(col))
        inside = 0 <= place[0] < self.shape[0] and 0 <= place[1] < self.shape[1]
        return int(self.labels[place]) if inside else 0

    def select(self, number: int, add: bool = False) -> Tuple[int, ...]:
        """Select a nucleus, none (0), or with `add` one more or one less; return the selection."""
        self.accept()
        if add and number:
            kept = tuple(other for other in self.selection if other != number)
            self.selection = kept if number in self.selection else (*kept, number)
        elif not add:
            self.selection = (number,) if number else ()
        self._redrawn = 0
        return self.selection

    def select_next(self, step: int = 1) -> Tuple[int, ...]:
        """Select the next nucleus by number (`step` 1), or the one before (-1); return the selection."""
        self.accept()
        numbers = self.numbers
        if not numbers:
            return self.select(0)
        if not self.selection:
            return self.select(numbers[0 if step > 0 else -1])
        place = int(np.searchsorted(numbers, self.selection[-1])) + step
        return self.select(numbers[place % len(numbers)])

    def mask_of(self, number: int) -> PlacedMask:
        """Return the pixels of a nucleus."""
        return self._nuclei.mask_of(number)

    # Changing

    def delete(self) -> int:
        """Delete the pending contour, or else the selected nuclei; return how many there were.

        A pending contour that takes the place of a nucleus goes with it.
        """
        if self.candidate is not None:
            replaced, self.candidate = self.candidate.replaces, None
            if not replaced:
                return 1
            self.selection = (replaced,)
        old = [self.mask_of(number) for number in self._selected("deleted")]
        kept = {number: name for number, name in self.classes.items() if number not in self.selection}
        self._change(joined(old), [], old, (), kept)
        return len(old)

    def split(self, line: ArrayLike) -> int:
        """Part the nuclei that a line runs through from side to side.

        Where one of them is selected, only selected ones are parted. Parts keep the class; the largest one keeps the
        number.

        Parameters
        ----------
        line : (N, 2) numbers
            (row, col) along the line, in pixels.

        Returns
        -------
        int
            How many nuclei there are more now.

        Raises
        ------
        AnnotationError
            If the line parts none.
        """
        self.accept()
        crossed: List[int] = [each for each in np.unique(self.labels[on_line(line, self.shape)]).tolist() if each]
        crossed = [number for number in crossed if number in self.selection] or crossed
        parted = {number: split_by_line(self.mask_of(number), line) for number in crossed}
        parted = {number: parts for number, parts in parted.items() if len(parts) > 1}
        if not parted:
            raise AnnotationError("the line parts no nucleus; draw it across one, from background to background")
        new, classes, following = [], dict(self.classes), self.highest + 1
        for number, parts in parted.items():
            for part in parts[1:]:
                new.append((following, part))
                if number in classes:
                    classes[following] = classes[number]
                following += 1
        covered = joined([part for parts in parted.values() for part in parts])
        selected = (*parted, *(number for number, _ in new))
        self._change(covered, new, [], selected, classes)
        return len(new)

    def merge(self) -> int:
        """Join the selected nuclei into one with the lowest of their numbers, and return that.

        Of several classes it has that of the largest nucleus.

        Raises
        ------
        AnnotationError
            If fewer than two are selected, or they lie too far apart.
        """
        self.accept()
        numbers = sorted(self.selection)
        parts = [self.mask_of(number) for number in numbers]
        with self._nuclei.without(*numbers) as others:
            whole = merge(parts, others)
        largest = max(zip(numbers, parts), key=lambda each: each[1].mask.sum())[0]
        classes = {number: name for number, name in self.classes.items() if number not in numbers}
        if largest in self.classes:
            classes[numbers[0]] = self.classes[largest]
        self._change(whole, [(numbers[0], whole)], parts, (numbers[0],), classes)
        return numbers[0]

    def classify(self, name: str) -> None:
        """Give the selected nuclei, or else those that will be drawn next, a class; an empty name takes it away.

        Raises
        ------
        AnnotationError
            If the class is not among the names.
        """
        refuse_unknown_classes({0: name} if name else {}, self.names)
        self.accept()
        if not self.selection:
            self.new_class = name
            return
        classes = {number: other for number, other in self.classes.items() if number not in self.selection}
        if name:
            classes.update(dict.fromkeys(self.selection, name))
        self._change(trimmed(np.zeros((1, 1), bool)), [], [], self.selection, classes)

    # Undoing

    def undo(self) -> bool:
        """Take back the last action, which may be a pending contour; tell whether there was any."""
        if self.candidate is not None or self._redrawn:
            self.candidate, self._redrawn = None, 0
            return True
        return self._step(self._done, self._undone, 0)

    def redo(self) -> bool:
        """Do again what was undone; tell whether there was any."""
        self.accept()
        return self._step(self._undone, self._done, 1)

    def _step(self, source: List[_Change], target: List[_Change], which: int) -> bool:
        if not source:
            return False
        change = source.pop()
        target.append(change)
        (self._nuclei.undo, self._nuclei.redo)[which](change.patch)
        self.classes, self.selection = dict(change.classes[which]), change.selection[which]
        return True

    def _change(
        self,
        covered: PlacedMask,
        new: Sequence[Tuple[int, PlacedMask]],
        old: Sequence[PlacedMask],
        selection: Tuple[int, ...],
        classes: Classes,
    ) -> None:
        """Clear the old masks, draw the new ones with their numbers, and remember it; `covered` holds all of them."""
        patch = self._nuclei.draw(covered, new, old)
        self._done.append(_Change(patch, (self.classes, classes), (self.selection, selection)))
        # What was saved and then undone can no longer be reached.
        self._saved = -1 if self._saved >= len(self._done) else self._saved
        self._undone.clear()
        self.classes, self.selection = dict(classes), selection

    def _selected(self, doing: str) -> Tuple[int, ...]:
        if not self.selection:
            raise AnnotationError(f"no nucleus is selected that could be {doing}; click one, or press Tab")
        return self.selection

    def _only_selected(self, doing: str) -> int:
        selected = self._selected(doing)
        if len(selected) > 1:
            raise AnnotationError(f"{len(selected)} nuclei are selected, one at a time can be {doing}; click one")
        return selected[0]


def refuse_unknown_classes(classes: Mapping[int, str], names: Sequence[str]) -> None:
    """Raise an `AnnotationError` if a class is not among the names."""
    unknown = sorted(set(classes.values()) - set(names))
    if unknown:
        known = ", ".join(names) or "none"
        raise AnnotationError(f"the class {unknown[0]!r} is not among the classes ({known}); add it to their list")


def _overlap(first: PlacedMask, second: PlacedMask) -> bool:
    """Tell whether two masks of an image have a pixel in common."""
    whole = joined([first, second])
    return int(whole.mask.sum()) < int(first.mask.sum()) + int(second.mask.sum())
