"""Image files of annotations: label images, stacks of them, binary images, and one mask a nucleus."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any, Iterable, List, Optional, Tuple

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError, NucDLError
from nucdl_core.exchange.objects import (
    AnnotatedObjects,
    ObjectCollector,
    label_image,
    layers,
    objects_of,
    trimmed,
)
from nucdl_core.exchange.sources import ImageToRead, ReadOptions, annotation_stem
from nucdl_core.files import decoding
from nucdl_core.files.decoding import Limits
from nucdl_core.files.folders import IMAGE_SUFFIXES, LABEL_SUFFIX, list_folder
from nucdl_core.files.reading import MAX_PIXELS, read_picture
from nucdl_core.files.writing import replaced_folder, write_atomically, write_labels, write_png
from nucdl_core.labels import as_labels, contact_share

STACK_SUFFIX = "_stack.tif"
BINARY_SUFFIX = "_binary.png"
_LIMITS = Limits(pixels=MAX_PIXELS, expansion=math.inf)
# Label images have at most 0.04, photographs at least 0.22 (see `labels.contact_share`).
_MOST_CONTACT = 0.13
_CORNERS_TOUCH = np.ones((3, 3), bool)


def read_label_image(path: Path, options: ReadOptions) -> Iterable[ImageToRead]:
    """Find the image of a label image; see `sources.Reader`."""
    name = annotation_stem(path, options.sizes.files)

    def load() -> AnnotatedObjects:
        labels = _whole_numbers(path, None)
        _check_shape(name, labels, options)
        found = objects_of(name, labels)
        return AnnotatedObjects(name, found.shape, found.objects, _doubts(found))

    return [ImageToRead(name, load)]


def _doubts(found: AnnotatedObjects) -> Tuple[str, ...]:
    """Say that a label image with a single number may be a binary image."""
    if len(found.objects) != 1 or found.objects[0].number not in (1, 255):
        return ()
    _, parts = ndimage.label(found.objects[0].placed.mask, _CORNERS_TOUCH)
    told = f"all {parts} separate parts have one number and are one nucleus; in a binary image each is one"
    return (f"{told} (--from binary)",) if parts > 1 else ()


def _whole_numbers(path: Path, page: Optional[int]) -> Labels:
    samples = read_picture(path, page, _LIMITS).samples
    if samples.ndim != 2:
        raise ImageError("nuclei are one number per pixel, this is an RGB image; save a grey image of 8, 16 or 32 bits")
    return as_labels(samples)


def _check_shape(name: str, array: AnyArray, options: ReadOptions) -> None:
    options.sizes.shape_of(name, (array.shape[0], array.shape[1]))


def kind_of_raster(path: Path) -> str:
    """Tell what an image file of annotations is.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
        ``"labels"`` or ``"stack"``.

    Raises
    ------
    ImageError
        If it cannot be read, or it is not certain what it is.
    """
    if pages_of(path) > 1:
        return "stack"
    labels = _whole_numbers(path, None)
    numbers = np.unique(labels)
    if numbers[numbers > 0].tolist() == [255]:
        raise ImageError(
            "all nuclear pixels have the number 255, as in a binary image; say whether each separate part is a nucleus "
            "(--from binary) or all of them are one (--from labels)"
        )
    if contact_share(labels) > _MOST_CONTACT:
        raise ImageError(
            "this looks like a photograph: neighbouring pixels have different numbers nearly everywhere; if it is a "
            "label image nevertheless, say so (--from labels)"
        )
    return "labels"


def pages_of(path: Path) -> int:
    """Count the images in a file; 1 for anything but a TIFF file, which other functions refuse or read."""
    if not path.is_file():
        return 1
    try:
        with path.open("rb") as stream, decoding.strictly():
            start = stream.read(4)
            stream.seek(0)
            if not start.startswith(decoding.TIFF_SIGNATURES):
                return 1
            # Reduced copies (1) and masks (4) of other pages are no layers.
            return sum(1 for page in decoding.tiff_pages(stream) if not page.subfiletype & 5)
    except OSError as error:
        raise ImageError(f"the file cannot be read ({error.strerror}); check its permissions and the disk") from error


def read_stack(path: Path, options: ReadOptions) -> Iterable[ImageToRead]:
    """Find the image of a stack of layers; see `sources.Reader`."""
    name = annotation_stem(path, options.sizes.files)
    return [ImageToRead(name, lambda: _read_layers(path, name, options))]


def _read_layers(path: Path, name: str, options: ReadOptions) -> AnnotatedObjects:
    count = pages_of(path)
    first = _whole_numbers(path, 0 if count > 1 else None)
    _check_shape(name, first, options)
    collector = ObjectCollector(name, (first.shape[0], first.shape[1]))
    found = [objects_of(name, first)]
    for page in range(1, count):
        layer = _whole_numbers(path, page)
        if layer.shape != first.shape:
            raise ImageError(f"layer {page + 1} has the shape {layer.shape}, the first one {first.shape}")
        found.append(objects_of(name, layer))
    # AnnotatorJ writes a layer for each nucleus, with the same number in all of them.
    numbers = {each.number for nuclei in found for each in nuclei.objects}
    one_each = count > 1 and len(numbers) == 1 and all(len(nuclei.objects) <= 1 for nuclei in found)
    for position, nuclei in enumerate(found):
        for each in nuclei.objects:
            collector.add(each.placed, position + 1 if one_each else each.number)
    return collector.finish()


def read_binary(path: Path, options: ReadOptions) -> Iterable[ImageToRead]:
    """Find the image of a binary image; see `sources.Reader`."""
    name = annotation_stem(path, options.sizes.files)

    def load() -> AnnotatedObjects:
        samples = _whole_numbers(path, None)
        _check_shape(name, samples, options)
        values = np.unique(samples)
        if values.size > 2:
            raise ImageError(f"a binary image has two numbers, this one has {values.size}; make it black and white")
        parts, _ = ndimage.label(samples > 0, _CORNERS_TOUCH)
        found = objects_of(name, parts.astype(np.int32, copy=False))
        told = "each separate part is taken as one nucleus; nuclei that touch in a binary image cannot be told apart"
        return AnnotatedObjects(name, found.shape, found.objects, (told,))

    return [ImageToRead(name, load)]


def is_mask_folder(folder: Path) -> bool:
    """Tell whether a folder is an image of the Data Science Bowl: ``masks`` and, of its own name, ``images/NAME.*``."""
    if not (folder / "masks").is_dir():
        return False
    images = folder / "images"
    return not images.is_dir() or [file.stem for file in list_folder(images)] == [folder.resolve().name]


def read_masks(folder: Path, options: ReadOptions) -> Iterable[ImageToRead]:
    """Find the image of a folder with one mask a nucleus; see `sources.Reader`."""
    name = folder.resolve().name
    return [ImageToRead(name, lambda: _read_masks(folder, name, options))]


def _read_masks(folder: Path, name: str, options: ReadOptions) -> AnnotatedObjects:
    if not (folder / "masks").is_dir():
        raise ImageError("the folder has no folder 'masks'; each image needs a folder NAME with NAME/masks/*.png")
    files = list_folder(folder / "masks")
    collector: Optional[ObjectCollector] = None
    for file in files:
        samples = read_picture(file, None, _LIMITS).samples
        mask = samples > 0 if samples.ndim == 2 else (samples > 0).any(axis=2)
        shape = (mask.shape[0], mask.shape[1])
        if collector is None:
            collector = ObjectCollector(name, _shape_of_folder(folder, name, options, shape))
        if shape != collector.shape:
            raise ImageError(f"the mask {file.name} is {shape[0]} x {shape[1]} pixels, others are {collector.shape}")
        if np.unique(samples).size > 2:
            collector.notes.add("masks have more than two values; all but 0 count as the nucleus", file.name)
        number = int(file.stem) if file.stem.isdecimal() and len(file.stem) < 11 else None
        placed = trimmed(mask)
        collector.add(placed._replace(mask=placed.mask.copy()), number, name="" if number else file.stem)
    if collector is None:
        collector = ObjectCollector(name, _shape_of_folder(folder, name, options, None))
    return collector.finish()


def _shape_of_folder(
    folder: Path, name: str, options: ReadOptions, stated: Optional[Tuple[int, int]]
) -> Tuple[int, int]:
    """Return height and width, and check that masks, their own image and what is known otherwise agree."""
    images = list_folder(folder / "images") if (folder / "images").is_dir() else []
    if images and name not in options.sizes.files:
        samples = read_picture(images[0], None, _LIMITS).samples
        own = (samples.shape[0], samples.shape[1])
        if stated is not None and own != stated:
            raise ImageError(f"the masks are {stated[0]} x {stated[1]} pixels, {images[0]} is {own[0]} x {own[1]}")
        stated = own
    return options.sizes.shape_of(name, stated)


class LabelWriter:
    """Writes ``NAME_labels.tif`` for each image; see `formats.AnnotationWriter`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Write the label image of one image."""
        made = label_image(annotated)
        write_labels(self._folder / f"{annotated.image}{LABEL_SUFFIX}", made.labels)
        return made.sentences()

    def finish(self) -> None:
        """Do nothing: each image has its own file."""


class StackWriter:
    """Writes ``NAME_stack.tif`` for each image, layers without overlaps; see `formats.AnnotationWriter`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Write the layers of one image."""
        import tifffile

        found = layers(annotated)
        highest = max((each.number for each in annotated.objects), default=0)
        kind = np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32

        def write(stream: Any) -> None:
            with tifffile.TiffWriter(stream) as file:
                for layer in found:
                    file.write(layer.astype(kind), photometric="minisblack", compression="zlib", metadata=None)

        write_atomically(self._folder / f"{annotated.image}{STACK_SUFFIX}", write)
        return ()

    def finish(self) -> None:
        """Do nothing: each image has its own file."""


class BinaryWriter:
    """Writes ``NAME_binary.png`` for each image: 255 in nuclei, 0 elsewhere; see `formats.AnnotationWriter`.

    Parameters
    ----------
    folder : Path
    cut_touching : bool
        Whether pixels of a nucleus that touch another one become background, so that a gap parts them.
    """

    def __init__(self, folder: Path, cut_touching: bool) -> None:
        self._folder, self._cut = folder, cut_touching

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Write the binary image of one image."""
        made = label_image(annotated)
        touching = touching_pixels(made.labels)
        inside = made.labels > 0
        told: List[str] = list(made.sentences())
        if touching.any():
            if not self._cut:
                count = np.unique(made.labels[touching]).size
                raise ImageError(
                    f"{count} nuclei touch another one and would become one part of a binary image; choose another "
                    "format, or let a gap of background be cut between them (--cut-touching)"
                )
            told.append(f"{np.count_nonzero(touching)} pixels became background so that a gap parts touching nuclei")
            inside &= ~touching
            gone = np.setdiff1d(made.labels, np.append(made.labels[inside], 0)).size
            told += [f"{gone} nuclei vanished in the gaps"] if gone else []
        told += _pieces_note(np.where(inside, made.labels, 0))
        write_png(self._folder / f"{annotated.image}{BINARY_SUFFIX}", inside.astype(np.uint8) * np.uint8(255))
        return tuple(told)

    def finish(self) -> None:
        """Do nothing: each image has its own file."""


def _pieces_note(labels: AnyArray) -> List[str]:
    """Say that nuclei of several pieces become several parts."""
    _, parts = ndimage.label(labels > 0, _CORNERS_TOUCH)
    nuclei = np.unique(labels[labels > 0]).size
    return [f"{nuclei} nuclei became {parts} separate parts, since some have several pieces"] if parts > nuclei else []


def touching_pixels(labels: Labels) -> AnyArray:
    """Mark the pixels that must go so that no two nuclei touch, not even at a corner.

    Parameters
    ----------
    labels : int32 array (H, W)

    Returns
    -------
    bool array (H, W)
        Of two pixels of different nuclei that touch, the one with the higher number.
    """
    touching = np.zeros(labels.shape, bool)
    height, width = labels.shape
    for down, across in ((0, 1), (1, 0), (1, 1), (1, -1)):
        first = np.s_[: height - down, max(0, -across) : width - max(0, across)]
        second = np.s_[down:, max(0, across) : width - max(0, -across)]
        both = (labels[first] > 0) & (labels[second] > 0) & (labels[first] != labels[second])
        touching[first] |= both & (labels[first] > labels[second])
        touching[second] |= both & (labels[second] > labels[first])
    return touching


class MaskWriter:
    """Writes ``NAME/masks/NUMBER.png`` for each nucleus, and the image beside it where it is known.

    Parameters
    ----------
    folder : Path
    images : mapping of str to Path
        Images by their names without suffix.
    """

    def __init__(self, folder: Path, images: Any) -> None:
        self._folder, self._images = folder, images

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Write the masks of one image, instead of those that are there."""
        image, folder = self._images.get(annotated.image), self._folder / annotated.image
        with replaced_folder(folder, lambda part: part.parts[0] == "masks") as target:
            try:
                _write_masks(annotated, image, target)
            except OSError as error:
                raise NucDLError(f"{folder}: cannot be written ({error.strerror}); check the disk") from error
        if not annotated.objects and image is None:
            return ("there is no nucleus, so that no mask tells how large the image is; give its image (--images)",)
        return ()

    def finish(self) -> None:
        """Do nothing: each image has its own folder."""


def _write_masks(annotated: AnnotatedObjects, image: Optional[Path], folder: Path) -> None:
    """Fill the empty folder of an image."""
    from PIL import Image

    (folder / "masks").mkdir()
    for found in annotated.objects:
        picture = np.zeros(annotated.shape, np.uint8)
        picture[found.window][found.placed.mask] = 255
        Image.fromarray(picture).save(folder / "masks" / f"{found.number:04}.png")
    if image is not None:
        (folder / "images").mkdir()
        shutil.copyfile(image, folder / "images" / f"{annotated.image}{image.suffix}")


def is_raster(path: Path) -> bool:
    """Tell by its name whether a file may be a label image, a stack or a binary image."""
    return path.suffix.lower() in IMAGE_SUFFIXES
