"""Reading annotated images for training: image and nuclei belong together, or a person is told what is wrong."""

from __future__ import annotations

import csv
import dataclasses
import logging
from pathlib import Path
from typing import Collection, Dict, Iterator, List, Optional

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError
from nucdl_core.exchange.annotations import read_annotations
from nucdl_core.files.folders import image_files, image_stem, refuse_same_names
from nucdl_core.files.reading import read_image
from nucdl_core.labels import highest, relabel
from nucdl_core.training.sources import AnnotatedImage, is_dark_on_bright, prepare

_LOGGER = logging.getLogger(__name__)
INDEX = "index.csv"
# Columns of the index that name a group, the first one that is there counts.
GROUP_COLUMNS = ("group", "cell_type", "cell_line", "plate", "experiment")
_NAMED_AT_MOST = 3
# A label image with so few numbers, each in pieces, tells classes of pixels rather than nuclei.
_FEW_NUMBERS = 3
_CORNERS_TOUCH = np.ones((3, 3), bool)


@dataclasses.dataclass(frozen=True)
class AnnotatedFile:
    """An image file with its annotation.

    Attributes
    ----------
    path : Path
    image : array (H, W)
        Grey values with bright nuclei, of the type in the file.
    labels : int32 array (H, W)
    inverted : bool
        Whether the nuclei are dark in the file.
    row : dict of str to str
        What ``index.csv`` says about it.
    """

    path: Path
    image: AnyArray
    labels: Labels
    inverted: bool
    row: Dict[str, str]


def read_annotated_images(folder: Path) -> List[AnnotatedImage]:
    """Read the folders ``images`` and ``masks`` of a folder; see `read_annotated`."""
    return read_annotated(folder / "images", folder / "masks")


def read_annotated(
    images: Path, masks: Path, kind: Optional[str] = None, names: Optional[Collection[str]] = None
) -> List[AnnotatedImage]:
    """Read annotated images; images with dark nuclei are inverted.

    Parameters
    ----------
    images : Path
        Folder of the images. An ``index.csv`` in it or beside it may name, by the name of the image without suffix in
        the column ``id``, the ``modality`` and a group (one of `GROUP_COLUMNS`).
    masks : Path
        The annotations: a folder or file in any format of `nucdl_core.exchange`, by the names of the images.
    kind : str, optional
        Their format; without it it is recognized.
    names : collection of str, optional
        The images that are wanted, by their names; without it all.

    Returns
    -------
    list of AnnotatedImage
        In the order of the images. Images without annotations are left out, which the log tells.

    Raises
    ------
    ImageError
        See `annotated_files`.
    """
    sources = []
    for file in annotated_files(images, masks, kind, names):
        row = file.row
        group = next((row[column] for column in GROUP_COLUMNS if row.get(column)), "")
        source = prepare(image_stem(file.path), file.image, file.labels, row.get("modality") or "", group=group)
        sources.append(dataclasses.replace(source, inverted=file.inverted))
    return sources


def annotated_files(
    images: Path, masks: Path, kind: Optional[str] = None, names: Optional[Collection[str]] = None
) -> Iterator[AnnotatedFile]:
    """Open annotated images one by one; see `read_annotated` for the arguments.

    Yields
    ------
    AnnotatedFile

    Raises
    ------
    ImageError
        Naming the file, if an image or annotation cannot be read, the two do not belong together, or an annotation
        holds no nuclei or no numbers of nuclei.
    """
    files = image_files([images])
    refuse_same_names(files)
    found = read_annotations(masks, images, kind)
    check_names(files, found, masks)
    rows = read_index(images)
    check_index(files, rows)
    wanted = found if names is None else set(found) & set(names)
    for path in (file for file in files if image_stem(file) in wanted):
        name = image_stem(path)
        image, labels = read_image(path), found[name]
        if image.shape != labels.shape:
            raise ImageError(f"{path} is {image.shape} but its mask is {labels.shape}; both must have the same shape")
        check_nuclei(name, labels, kind)
        if image.min() == image.max():
            raise ImageError(f"{path} is {image.min()} everywhere, so that nothing can be learnt from it; take it out")
        inverted = is_dark_on_bright(image, labels)
        bright = image.max() - image if inverted else image
        yield AnnotatedFile(path, bright, labels, inverted, rows.get(name, {}))


def check_names(files: List[Path], found: Dict[str, Labels], masks: Path) -> None:
    """Refuse annotations without an image, and tell which images have no annotation.

    Raises
    ------
    ImageError
    """
    names = {image_stem(file) for file in files}
    without_image = sorted(set(found) - names)
    if without_image:
        raise ImageError(
            f"{masks}: {_some(without_image)} {'has' if len(without_image) == 1 else 'have'} no image of the same name "
            f"in {files[0].parent}, which holds {_some(sorted(names))}; give image and mask the same name"
        )
    without_mask = sorted(names - set(found))
    if without_mask:
        _LOGGER.warning("%d images have no mask and are left out: %s", len(without_mask), _some(without_mask))


def check_nuclei(name: str, labels: Labels, kind: Optional[str]) -> None:
    """Refuse an annotation that holds no nuclei, or classes of pixels instead of one number per nucleus.

    Parameters
    ----------
    name : str
        Of the image.
    labels : int32 array (H, W)
    kind : str or None
        The format that a person named; who names it has seen what is in it.

    Raises
    ------
    ImageError
    """
    if highest(labels) == 0:
        raise ImageError(f"the mask of {name} holds no nuclei; annotate them, or take the image out")
    numbers = relabel(labels)
    count = highest(numbers)
    if kind is not None or count > _FEW_NUMBERS:
        return
    pieces = [ndimage.label(numbers == number, _CORNERS_TOUCH)[1] for number in range(1, count + 1)]
    if max(pieces) > 1:
        raise ImageError(
            f"the mask of {name} has {count} number{'s' if count > 1 else ''} for {sum(pieces)} separate parts, as if "
            "it told foreground, or interior and boundary, and not which nucleus a pixel belongs to; give each nucleus "
            "a number of its own. If each separate part is one nucleus and none touch, say --from binary; if the mask "
            "is right as it is, --from labels"
        )


def read_index(images: Path) -> Dict[str, Dict[str, str]]:
    """Read what ``index.csv``, in the folder of the images or beside it, says about each image.

    Parameters
    ----------
    images : Path
        Folder of the images.

    Returns
    -------
    dict of str to dict
        Row by the ``id`` of the image; empty without a file.

    Raises
    ------
    ImageError
        If the file cannot be read, or lacks the column.
    """
    path = next((each for each in (images / INDEX, images.parent / INDEX) if each.is_file()), None)
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageError(f"{path} cannot be read as a table ({error}); save it as CSV in UTF-8") from error
    if rows and "id" not in rows[0]:
        # What a row holds beyond the columns is listed under no name.
        columns = ", ".join(name for name in rows[0] if name is not None)
        raise ImageError(f"{path} has the columns {columns}; one called id must name the images")
    return {row["id"]: row for row in rows}


def check_index(files: List[Path], rows: Dict[str, Dict[str, str]]) -> None:
    """Tell if the index names none of the images, for example because it names them with their suffixes."""
    names = {image_stem(file) for file in files}
    if rows and not names & set(rows):
        _LOGGER.warning(
            "%s names %s in the column id, and none of the images (%s), so that it has no effect; give their names "
            "without suffix",
            INDEX,
            _some(sorted(map(str, rows))),
            _some(sorted(names)),
        )


def _some(names: List[str]) -> str:
    others = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + others
