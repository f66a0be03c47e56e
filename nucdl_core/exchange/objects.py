"""What all formats of annotations are read into: one small mask for each nucleus of an image.

A label image gives a pixel to one nucleus. Most other formats do not, so the common form keeps nuclei apart until a
label image is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import DefaultDict, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nucdl_core.arrays import Labels, Mask
from nucdl_core.errors import ImageError
from nucdl_core.labels import relabel
from nucdl_core.large import strips, zeros

HIGHEST_NUMBER = int(np.iinfo(np.int32).max)
# Pixels of the masks of one image, all together: far above what nuclei cover, far below what fills the memory.
MAX_MASK_PIXELS = 2**31
_NAMED = 5


class PlacedMask(NamedTuple):
    """A mask and the place of its first pixel in the image.

    Attributes
    ----------
    mask : bool array (h, w)
        As small as it can be: each side has a pixel, or there are none at all.
    row, col : int
        Place of ``mask[0, 0]`` in the image.
    """

    mask: Mask
    row: int
    col: int


@dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """One annotated nucleus.

    Attributes
    ----------
    number : int
        From 1; no two objects of an image have the same.
    placed : PlacedMask
        Its pixels, at least one, all of them inside the image. Holes and several pieces are possible.
    category : str
        Its class, empty where it has none.
    name : str
        What a person called it, empty where that is nothing but its number.
    """

    number: int
    placed: PlacedMask
    category: str = ""
    name: str = ""

    @property
    def area(self) -> int:
        """Its pixels."""
        return int(np.count_nonzero(self.placed.mask))

    @property
    def window(self) -> Tuple[slice, slice]:
        """Rows and columns of the image that its mask covers."""
        mask, row, col = self.placed
        return slice(row, row + mask.shape[0]), slice(col, col + mask.shape[1])


@dataclass(frozen=True, eq=False)
class AnnotatedObjects:
    """The annotated nuclei of one image.

    Attributes
    ----------
    image : str
        Name of the image without its suffix.
    shape : (int, int)
        Height and width of the image in pixels.
    objects : tuple of AnnotatedObject
        In the order of the file.
    notes : tuple of str
        What a person must know about how they were read, a sentence each.
    """

    image: str
    shape: Tuple[int, int]
    objects: Tuple[AnnotatedObject, ...]
    notes: Tuple[str, ...] = ()


class NoteBook:
    """Collects what happened to objects, to tell it in one sentence a kind."""

    def __init__(self) -> None:
        self._names: DefaultDict[str, List[str]] = defaultdict(list)

    def add(self, kind: str, name: str) -> None:
        """Note that something of this kind happened to the object of this name; `kind` reads on from a number."""
        self._names[kind].append(name)

    def sentences(self) -> Tuple[str, ...]:
        """Return one sentence for each kind, with the number of objects and the names of the first ones."""
        return tuple(f"{len(names)} {kind} ({first_few(names)})" for kind, names in self._names.items())


def first_few(names: List[str]) -> str:
    """Join the first names of a list with commas, and dots where there are more."""
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


class ObjectCollector:
    """Gathers the objects of one image while a file is read, numbers them and notes what was peculiar.

    Parameters
    ----------
    image : str
        Name of the image without its suffix.
    shape : (int, int)
        Height and width of the image in pixels.
    """

    def __init__(self, image: str, shape: Tuple[int, int]) -> None:
        self.image, self.shape, self.notes = image, shape, NoteBook()
        self._extra: List[str] = []
        self._found: List[Tuple[Optional[int], PlacedMask, str, str]] = []
        self._pixels = 0

    def remark(self, sentence: str) -> None:
        """Note a sentence about the image as a whole."""
        self._extra.append(sentence)

    def add(self, placed: PlacedMask, number: Optional[int] = None, category: str = "", name: str = "") -> None:
        """Add an object; one without pixels is left out and noted.

        Parameters
        ----------
        placed : PlacedMask
            Inside the image.
        number : int, optional
            Its number in the file, where it has one.
        category, name : str
            See `AnnotatedObject`.

        Raises
        ------
        ImageError
            If the masks of the image become more than `MAX_MASK_PIXELS` pixels.
        """
        self._pixels += placed.mask.size
        if self._pixels > MAX_MASK_PIXELS:
            raise ImageError(
                f"the objects cover more than {MAX_MASK_PIXELS} pixels in all, which nuclei do not; check the file"
            )
        if not placed.mask.size:
            self.notes.add("objects have no pixel and are left out", name or str(number or len(self._found) + 1))
            return
        valid = number is not None and 0 < number <= HIGHEST_NUMBER
        self._found.append((number if valid else None, placed, _whole_text(category), _whole_text(name)))

    def finish(self) -> AnnotatedObjects:
        """Return the objects, each with a number of its own.

        Those with a number keep it; the others, and those whose number another one has already, get the next ones.
        """
        taken: Set[int] = set()
        numbers: List[Optional[int]] = []
        for number, _, _, name in self._found:
            if number in taken:
                self.notes.add("objects have the number of another one and get a new one", name or str(number))
                number = None
            taken.update([] if number is None else [number])
            numbers.append(number)
        following = max(taken, default=0) + 1
        objects: List[AnnotatedObject] = []
        for number, (_, placed, category, name) in zip(numbers, self._found):
            if number is None:
                number, following = following, following + 1
            if number > HIGHEST_NUMBER:
                raise ImageError(f"no number up to {HIGHEST_NUMBER} is left for an object; renumber the nuclei 1..N")
            objects.append(AnnotatedObject(number, placed, category, name))
        return AnnotatedObjects(self.image, self.shape, tuple(objects), (*self.notes.sentences(), *self._extra))


def _whole_text(text: str) -> str:
    """Replace halves of characters, which JSON can hold and files cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if text else text


def trimmed(mask: Mask, row: int = 0, col: int = 0) -> PlacedMask:
    """Cut away the empty rows and columns around the pixels of a mask.

    Parameters
    ----------
    mask : bool array (h, w)
    row, col : int
        Place of its first pixel in the image.

    Returns
    -------
    PlacedMask
        Of shape (0, 0) where the mask has no pixel.
    """
    if mask.size and mask.all():
        return PlacedMask(mask, row, col)
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return PlacedMask(np.zeros((0, 0), bool), row, col)
    top, left = int(rows[0]), int(cols[0])
    return PlacedMask(mask[top : rows[-1] + 1, left : cols[-1] + 1], row + top, col + left)


def joined(parts: Sequence[PlacedMask]) -> PlacedMask:
    """Return the pixels that at least one of several masks of an image has."""
    parts = [part for part in parts if part.mask.size]
    if len(parts) < 2:
        return parts[0] if parts else trimmed(np.zeros((0, 0), bool))
    top, left = min(part.row for part in parts), min(part.col for part in parts)
    bottom = max(part.row + part.mask.shape[0] for part in parts)
    right = max(part.col + part.mask.shape[1] for part in parts)
    if (bottom - top) * (right - left) > MAX_MASK_PIXELS:
        raise ImageError("the pieces of one object lie too far apart for a nucleus; check the file")
    mask = np.zeros((bottom - top, right - left), bool)
    for each, row, col in parts:
        mask[row - top : row - top + each.shape[0], col - left : col - left + each.shape[1]] |= each
    return PlacedMask(mask, top, left)


def objects_of(image: str, labels: Labels) -> AnnotatedObjects:
    """Take the nuclei out of a label image.

    Parameters
    ----------
    image : str
        Name of the image without its suffix.
    labels : int32 array (H, W)

    Returns
    -------
    AnnotatedObjects
        In the order of their numbers, which they keep.
    """
    numbers = numbers_in(labels)
    # Numbers without gaps: the list of windows is as long as the highest number.
    closed = labels if numbers.size and numbers[-1] == numbers.size else relabel(labels)
    found = []
    for position, window in enumerate(ndimage.find_objects(closed, max_label=int(numbers.size))):
        placed = PlacedMask(closed[window] == position + 1, window[0].start, window[1].start)
        found.append(AnnotatedObject(int(numbers[position]), placed))
    return AnnotatedObjects(image, (labels.shape[0], labels.shape[1]), tuple(found))


def numbers_in(labels: Labels) -> NDArray[np.int32]:
    """Return the numbers of the nuclei in a label image (H, W), rising."""
    parts = [np.unique(strip) for (strip,) in strips(labels)]
    numbers = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int32)
    return numbers[numbers > 0]


class LabelImage(NamedTuple):
    """A label image made of objects, and what did not fit into it.

    Attributes
    ----------
    labels : int32 array (H, W)
    shared : int
        Pixels that more than one object has.
    hidden : tuple of int
        Numbers of the objects that have no pixel left.
    """

    labels: Labels
    shared: int
    hidden: Tuple[int, ...]

    def sentences(self) -> Tuple[str, ...]:
        """Say what did not fit, in a sentence each."""
        told = []
        if self.shared:
            told.append(f"{self.shared} pixels belong to several objects; the smallest of these gets them")
        if self.hidden:
            names = first_few([str(number) for number in self.hidden])
            told.append(f"{len(self.hidden)} objects lie wholly under smaller ones and are lost ({names})")
        return tuple(told)


def label_image(annotated: AnnotatedObjects) -> LabelImage:
    """Make a label image of objects.

    Parameters
    ----------
    annotated : AnnotatedObjects

    Returns
    -------
    LabelImage
        A pixel of several objects goes to the one with the fewest pixels, so that a small nucleus on a large one stays
        visible; of objects of the same size to the one that comes last.
    """
    labels: Labels = zeros(annotated.shape, np.int32)
    several: Optional[Mask] = None
    areas = np.array([found.area for found in annotated.objects], np.int64)
    for position in np.argsort(-areas, kind="stable"):
        found = annotated.objects[position]
        part, mask = labels[found.window], found.placed.mask
        covered = mask & (part > 0)
        if covered.any():
            several = np.zeros(annotated.shape, bool) if several is None else several
            several[found.window] |= covered
        part[mask] = found.number
    if several is None:
        return LabelImage(labels, 0, ())
    hidden = {found.number for found in annotated.objects} - set(numbers_in(labels).tolist())
    return LabelImage(labels, int(np.count_nonzero(several)), tuple(sorted(hidden)))


def layers(annotated: AnnotatedObjects) -> List[Labels]:
    """Spread objects over as few label images as a simple rule finds, so that none covers another one.

    Parameters
    ----------
    annotated : AnnotatedObjects

    Returns
    -------
    list of int32 arrays (H, W)
        At least one. Each object, in order, goes to the first layer where its pixels are free.
    """
    found: List[Labels] = [zeros(annotated.shape, np.int32)]
    for each in annotated.objects:
        for layer in found:
            if not layer[each.window][each.placed.mask].any():
                break
        else:
            layer = zeros(annotated.shape, np.int32)
            found.append(layer)
        layer[each.window][each.placed.mask] = each.number
    return found


def categories_of(annotated: AnnotatedObjects) -> Dict[str, int]:
    """Count the objects of each class, those without one left out."""
    counts: Dict[str, int] = {}
    for found in annotated.objects:
        if found.category:
            counts[found.category] = counts.get(found.category, 0) + 1
    return counts
