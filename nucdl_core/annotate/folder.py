"""The folder of annotations: finished images as training takes them, drafts apart from them, and two lists.

::

    images/NAME.tif  masks/NAME.tif  rois/NAME_RoiSet.zip      finished images: ``nucdl train --data FOLDER``
    drafts/images/...  drafts/masks/...  drafts/rois/...       images that are not finished
    images.csv                                                 a row for each image
    annotations.csv                                            a row for each nucleus

An image is in one of the two states. Whatever moment a run is killed at, no unfinished image is among the finished
ones, and nothing that was saved is lost.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from nucdl_core.annotate.session import Annotated, Classes, refuse_unknown_classes
from nucdl_core.arrays import AnyArray
from nucdl_core.errors import AnnotationError, ImageError, NucDLError
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, numbers_in, objects_of
from nucdl_core.exchange.rois import ROI_SET_ENDING, RoiSetWriter, property_text, read_roi_set
from nucdl_core.exchange.sources import ImageSizes, ReadOptions
from nucdl_core.files.folders import PathLike
from nucdl_core.files.reading import as_grey_numbers, read_image, read_labels
from nucdl_core.files.writing import make_folder, write_grey, write_labels, write_table
from nucdl_core.labels import areas, centroids, relabel

if TYPE_CHECKING:
    import pandas as pd

_IMAGES, _MASKS, _ROIS, _DRAFTS = "images", "masks", "rois", "drafts"
IMAGE_LIST, NUCLEUS_LIST = "images.csv", "annotations.csv"
FINISHED, DRAFT = "finished", "draft"
STATES = (FINISHED, DRAFT)

_LOCK = ".lock"
# Seconds that a window waits for another one that is saving.
_PATIENCE = 30.0
_FORBIDDEN = '/\\:*?"<>|'
_IMAGE_COLUMNS = ("image", "state", "nuclei", "saved")
_NUCLEUS_COLUMNS = ("image", "state", "nucleus", "class", "center_x", "center_y", "area")


class Saved(NamedTuple):
    """An annotation that was saved.

    Attributes
    ----------
    annotated : Annotated
    state : str
        One of `STATES`.
    """

    annotated: Annotated
    state: str


@dataclass(frozen=True)
class _Place:
    """The files of one image in one state."""

    image: Path
    mask: Path
    rois: Path


class AnnotationFolder:
    """A folder of annotations.

    Parameters
    ----------
    folder : str or path
        It is made when the first image is saved.
    names : sequence of str
        All classes that nuclei can have; their order is that of the groups of ROIs.

    Raises
    ------
    AnnotationError
        If a class is listed twice, or ROIs cannot keep its name.
    """

    def __init__(self, folder: PathLike, names: Sequence[str] = ()) -> None:
        check_class_names(names)
        self.folder, self.names = Path(folder), tuple(names)

    def state(self, name: str) -> Optional[str]:
        """Tell in which of `STATES` an image has been saved; None where it has not."""
        # A draft that is newer than what was finished is written before that is removed.
        return next((state for state in (DRAFT, FINISHED) if self._place(name, state).mask.is_file()), None)

    def load(self, name: str, image: AnyArray) -> Optional[Saved]:
        """Load what was saved of an image.

        Parameters
        ----------
        name : str
            Of the image, without suffix.
        image : array (H, W)
            The image, as it was or would be saved.

        Returns
        -------
        Saved or None
            None where nothing was saved. Labels are those of the label image, without gaps, classes those of the ROI
            set.

        Raises
        ------
        AnnotationError
            If another image has been saved under this name, or a class is not among the names.
        ImageError
            If a file cannot be read.
        """
        check_name(name)
        state = self.state(name)
        if state is None:
            return None
        place = self._place(name, state)
        labels = read_labels(place.mask)
        before = read_image(place.image) if place.image.is_file() else None
        if labels.shape != image.shape or (before is not None and not np.array_equal(before, image)):
            raise AnnotationError(
                f"{place.image} shows another image than the one that is called {name} now; give each image a name of "
                "its own, or choose another folder"
            )
        classes = _classes_in(place.rois, name, (labels.shape[0], labels.shape[1]))
        try:
            refuse_unknown_classes(classes, self.names)
        except AnnotationError as error:
            raise AnnotationError(f"{place.rois}: {error}") from error
        # Another program may have left gaps between the numbers.
        numbers = numbers_in(labels).tolist()
        closed = {place: classes[number] for place, number in enumerate(numbers, start=1) if number in classes}
        return Saved(Annotated(relabel(labels), closed), state)

    def save(self, name: str, image: AnyArray, annotated: Annotated, state: str) -> None:
        """Save the annotation of an image; what was saved of it before is replaced, in either state.

        Parameters
        ----------
        name : str
            Of the image, without suffix.
        image : array (H, W)
            See `stored_image`.
        annotated : Annotated
        state : str
            One of `STATES`.

        Raises
        ------
        AnnotationError
            If the name cannot be that of a file, the state is unknown, or another image has been saved under the name.
        NucDLError
            If a file cannot be written.
        """
        check_name(name)
        if state not in STATES:
            raise AnnotationError(f"the state of an annotation is one of {', '.join(STATES)}, not {state!r}")
        if annotated.labels.shape != image.shape:
            raise AnnotationError(f"nuclei {annotated.labels.shape} and image {image.shape} must have one shape")
        make_folder(self.folder)
        with self._locked():
            self._refuse_another_image(name, image)
            # Before anything is written: what cannot be listed is not saved.
            lists = self._renewed_lists(name, annotated, state)
            place, other = (self._place(name, each) for each in (state, DRAFT if state == FINISHED else FINISHED))
            for path in (place.image, place.mask, place.rois):
                make_folder(path.parent)
            # Training refuses an image without a mask, so a finished image comes last, and goes first.
            if state == DRAFT:
                _write_image(place.image, image)
                self._write_nuclei(place, name, annotated)
                _remove([other.image, other.mask, other.rois])
            else:
                self._write_nuclei(place, name, annotated)
                _write_image(place.image, image)
                _remove([other.mask, other.rois, other.image])
            for path, table in lists:
                write_table(path, table)

    def _place(self, name: str, state: str) -> _Place:
        folder = self.folder / _DRAFTS if state == DRAFT else self.folder
        return _Place(
            folder / _IMAGES / f"{name}.tif",
            folder / _MASKS / f"{name}.tif",
            folder / _ROIS / f"{name}{ROI_SET_ENDING}",
        )

    def _refuse_another_image(self, name: str, image: AnyArray) -> None:
        for path in (self._place(name, state).image for state in STATES):
            if path.is_file() and not np.array_equal(read_image(path), image):
                raise AnnotationError(
                    f"{path} is another image of the same name and would be overwritten; give each image a name of its "
                    "own, or choose another folder"
                )

    def _write_nuclei(self, place: _Place, name: str, annotated: Annotated) -> None:
        found = objects_of(name, annotated.labels)
        with_classes = [
            AnnotatedObject(each.number, each.placed, annotated.classes.get(each.number, "")) for each in found.objects
        ]
        RoiSetWriter(place.rois.parent, self.names).add(AnnotatedObjects(name, found.shape, tuple(with_classes)))
        write_labels(place.mask, annotated.labels)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Let no other window write into the folder meanwhile."""
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.folder / _LOCK, timeout=_PATIENCE):
                yield
        except Timeout as error:
            raise NucDLError(
                f"{self.folder}: another window has been saving here for {_PATIENCE:g} s; close it, or choose another "
                "folder"
            ) from error
        except OSError as error:
            raise NucDLError(f"{self.folder}: cannot be written ({error.strerror}); check the folder") from error

    def _renewed_lists(self, name: str, annotated: Annotated, state: str) -> List[Tuple[Path, pd.DataFrame]]:
        """Return the lists, each with its path, with the image and its nuclei in the place of their former rows."""
        saved = datetime.now().astimezone().isoformat(timespec="seconds")
        count = int(annotated.labels.max(initial=0))
        return [
            self._renewed(IMAGE_LIST, _IMAGE_COLUMNS, name, [(name, state, count, saved)]),
            self._renewed(NUCLEUS_LIST, _NUCLEUS_COLUMNS, name, _rows_of_nuclei(name, annotated, state)),
        ]

    def _renewed(
        self, file: str, columns: Sequence[str], name: str, rows: Sequence[Tuple[Any, ...]]
    ) -> Tuple[Path, pd.DataFrame]:
        import pandas as pd

        path = self.folder / file
        new = pd.DataFrame(list(rows), columns=list(columns))
        if path.is_file():
            try:
                old = pd.read_csv(path, dtype={"image": str, "class": str}, keep_default_na=False)
                kept = old[list(columns)][old["image"] != name]
            except (OSError, ValueError, KeyError) as error:
                raise NucDLError(
                    f"{path}: the list cannot be read ({error}); move it away, and it is made again"
                ) from error
            new = pd.concat([each for each in (kept, new) if len(each)] or [new])
        return path, new.sort_values("image", kind="stable")


def check_class_names(names: Sequence[str]) -> None:
    """Raise an `AnnotationError` if a class is listed twice, or ROIs cannot keep its name."""
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise AnnotationError(f"the class {twice[0]} is listed twice; leave it out once")
    lost = [name for name in names if property_text(name) != name or not name]
    if lost:
        raise AnnotationError(
            f"ROIs cannot keep the name of the class {lost[0]!r}; use letters of usual alphabets and single spaces"
        )


def check_name(name: str) -> None:
    """Raise an `AnnotationError` if an image cannot be saved under this name."""
    wrong = sorted(set(name) & set(_FORBIDDEN))
    if wrong or not name.strip() or name.startswith((".", "~")) or name.endswith(("~", " ", "_labels")):
        raise AnnotationError(
            f"{name!r} cannot be the name of a saved image: names hold none of {_FORBIDDEN}, do not begin with a point "
            "and do not end with '_labels'; choose another name"
        )


def stored_image(pixels: AnyArray, scale: Optional[float] = None) -> AnyArray:
    """Return an image as it is saved: with the whole numbers of its file, where it still has them.

    Parameters
    ----------
    pixels : array (H, W)
    scale : float, optional
        What the numbers of the file have been divided by, as CellProfiler does: 255 for 8 and 65,535 for 16 bits.

    Returns
    -------
    uint8, uint16, uint32 or float32 array (H, W)

    Raises
    ------
    ImageError
        If it holds NaN or infinite numbers.
    """
    if pixels.dtype.kind != "f" or not scale or scale <= 1:
        return as_grey_numbers(pixels)
    numbers = pixels.astype(np.float64) * scale
    whole = np.rint(numbers)
    limit = np.iinfo(np.uint16).max
    # 32 bits keep the numbers of 16 within 0.004.
    if np.all(np.abs(numbers - whole) < 0.01) and whole.min(initial=0) >= 0 and whole.max(initial=0) <= limit:
        return whole.astype(np.uint8 if scale <= np.iinfo(np.uint8).max else np.uint16)
    return as_grey_numbers(pixels)


def _rows_of_nuclei(name: str, annotated: Annotated, state: str) -> List[Tuple[Any, ...]]:
    sizes = areas(annotated.labels)
    centres = np.round(centroids(annotated.labels, sizes), 2)
    return [
        (name, state, number, annotated.classes.get(number, ""), col, row, size)
        for number, (size, (row, col)) in enumerate(zip(sizes.tolist(), centres.tolist()), start=1)
    ]


def _classes_in(path: Path, name: str, shape: Tuple[int, int]) -> Classes:
    """Read the classes of a ROI set by the numbers of its nuclei; none where there is no set."""
    if not path.is_file():
        return {}
    try:
        (found,) = read_roi_set(path, ReadOptions(ImageSizes(size=shape)))
        return {each.number: each.category for each in found.load().objects if each.category}
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _write_image(path: Path, image: AnyArray) -> None:
    if not path.is_file():
        write_grey(path, image)


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise NucDLError(f"{path}: cannot be removed ({error.strerror}); check the folder") from error
