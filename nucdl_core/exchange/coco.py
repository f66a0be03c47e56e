"""COCO JSON: one file for the objects of many images, as CVAT, Label Studio and most training programs use it.

Segmentations are polygons or run lengths (RLE): uncompressed, or in the text form of the COCO API (T.-Y. Lin and
P. Dollar, maskApi.c). Runs go down the columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.errors import ImageError
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, ObjectCollector, PlacedMask, trimmed
from nucdl_core.exchange.polygons import MAX_OBJECT_PIXELS, as_points, as_ring, fill, note_filled, polygons_of
from nucdl_core.exchange.sources import ImageToRead, ReadOptions, named_image
from nucdl_core.exchange.texts import read_json, write_compact_json

COCO_NAME = "annotations.json"
DEFAULT_CATEGORY = "nucleus"
# Five bits a character; 64 bits are more than any run needs.
_LONGEST_NUMBER = 13


def is_coco(content: Any) -> bool:
    """Tell whether what a JSON file holds is a COCO file: lists of images and annotations."""
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))


def read_coco(path: Path, options: ReadOptions) -> Iterable[ImageToRead]:
    """Find the images of a COCO file; see `sources.Reader`."""
    content = read_json(path)
    if not is_coco(content):
        raise ImageError("a COCO file is an object with the lists 'images' and 'annotations', this file is not")
    entries = [*content["images"], *content["annotations"]]
    if not all(isinstance(each, dict) for each in (*entries, *_listed(content.get("categories")))):
        raise ImageError("an image, annotation or category of the COCO file is no object; export it again")
    categories = {_key(each.get("id")): str(each.get("name", "")) for each in _listed(content.get("categories"))}
    of_image: Dict[str, List[Dict[str, Any]]] = {_key(each.get("id")): [] for each in content["images"]}
    if len(of_image) < len(content["images"]):
        raise ImageError("two images of the COCO file have the same id; export it again")
    for annotation in content["annotations"]:
        if _key(annotation.get("image_id")) not in of_image:
            raise ImageError(
                f"annotation {annotation.get('id')} is of image {annotation.get('image_id')}, which the file does not "
                "list; export it again with its images"
            )
        of_image[_key(annotation["image_id"])].append(annotation)
    return [_lazily(image, of_image[_key(image.get("id"))], categories, options) for image in content["images"]]


def _listed(value: Any) -> List[Any]:
    return value if isinstance(value, list) else []


def _key(identity: Any) -> str:
    return str(identity)


def _lazily(
    image: Dict[str, Any], annotations: List[Dict[str, Any]], categories: Dict[str, str], options: ReadOptions
) -> ImageToRead:
    name = named_image(str(image.get("file_name") or image.get("id")))
    return ImageToRead(name, lambda: _read_image(name, image, annotations, categories, options))


def _read_image(
    name: str,
    image: Dict[str, Any],
    annotations: List[Dict[str, Any]],
    categories: Dict[str, str],
    options: ReadOptions,
) -> AnnotatedObjects:
    height, width = image.get("height"), image.get("width")
    stated = (int(height), int(width)) if height and width and _is_count(height) and _is_count(width) else None
    collector = ObjectCollector(name, options.sizes.shape_of(name, stated))
    for annotation in annotations:
        label = str(annotation.get("id"))
        placed = _mask_of(annotation, label, collector, options)
        if placed is None:
            continue
        if annotation.get("iscrowd") == 1 and "number" not in _attributes(annotation):
            collector.notes.add("annotations are crowds, which may be several nuclei; each is taken as one", label)
        attributes = _attributes(annotation)
        category = categories.get(_key(annotation.get("category_id")), "")
        number = attributes.get("number")
        collector.add(placed, number if _is_count(number) else None, category, str(attributes.get("name") or ""))
    return collector.finish()


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _attributes(annotation: Dict[str, Any]) -> Dict[str, Any]:
    found = annotation.get("attributes")
    return found if isinstance(found, dict) else {}


def _mask_of(
    annotation: Dict[str, Any], label: str, collector: ObjectCollector, options: ReadOptions
) -> Optional[PlacedMask]:
    """Return the pixels of an annotation; None, with a note, for one that has none or lies outside."""
    shape, segmentation = collector.shape, annotation.get("segmentation")
    if isinstance(segmentation, dict):
        if segmentation.get("size") != list(shape):
            raise ImageError(
                f"the mask of annotation {label} is for the size {segmentation.get('size')}, its image has "
                f"{list(shape)} (height, width); export the file again"
            )
        return masked_runs(run_lengths(segmentation.get("counts"), label), shape, label)
    rings = [as_ring(_pairs(each, label), label) for each in _listed(segmentation)]
    if not rings:
        box = annotation.get("bbox")
        if not options.fill_boxes or box is None:
            reason = "annotations have no outline, at most a box, and are left out; filled boxes are not nuclei"
            collector.notes.add(f"{reason} (--fill-boxes takes them)", label)
            return None
        rings = [box_ring(box, label)]
    filled = fill(rings, shape, together=False)
    note_filled(collector, filled, label)
    return None if filled.outside and not filled.placed.mask.size else filled.placed


def box_ring(box: Any, label: str) -> NDArray[np.float64]:
    """Return the outline of a box of four numbers: left, top, width, height.

    Raises
    ------
    ImageError
        If it is no box.
    """
    corners = as_points(_pairs(box, label), label)
    if len(corners) != 2 or min(corners[1]) < 0:
        raise ImageError(f"the box of object {label} is {box!r}; it must be x, y, width, height")
    (x, y), (width, height) = corners.tolist()
    return np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], np.float64)


def _pairs(numbers: Any, label: str) -> List[List[Any]]:
    if not isinstance(numbers, (list, tuple)) or len(numbers) % 2:
        raise ImageError(f"an outline of annotation {label} is no list of x1, y1, x2, y2 ...; export the file again")
    return [list(pair) for pair in zip(numbers[::2], numbers[1::2])]


def run_lengths(counts: Any, label: str) -> NDArray[np.int64]:
    """Read the run lengths of a mask, as numbers or in the text form of the COCO API.

    Parameters
    ----------
    counts : list of int, str or bytes
    label : str
        Of the annotation, for errors.

    Returns
    -------
    int64 array (N,)
        Lengths of runs outside and inside the mask in turn, beginning outside.

    Raises
    ------
    ImageError
        If these are no run lengths.
    """
    try:
        numbers = _decoded(counts) if isinstance(counts, str) else counts
        runs = np.array(numbers, np.int64)
        valid = isinstance(counts, (list, str)) and runs.ndim == 1 and bool((runs >= 0).all())
    except (ValueError, TypeError, OverflowError, LookupError):
        valid = False
    if not valid:
        raise ImageError(f"the counts of annotation {label} are no run lengths; export the file again")
    return runs


def _decoded(text: str) -> List[int]:
    """Decode the text form: five bits a character, lowest first; from the fourth number on, differences."""
    numbers: List[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift >= 5 * _LONGEST_NUMBER:
            raise ValueError(f"{character!r} is no part of a run length")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text ends within a number")
    return numbers


def masked_runs(runs: NDArray[np.int64], shape: Tuple[int, int], label: str) -> PlacedMask:
    """Return the pixels that run lengths stand for.

    Parameters
    ----------
    runs : int64 array (N,)
        As of `run_lengths`, down the columns.
    shape : (int, int)
        Height and width of the image in pixels.
    label : str
        Of the annotation, for errors.

    Returns
    -------
    PlacedMask

    Raises
    ------
    ImageError
        If the runs do not add up to the pixels of the image, or the mask spans more than `MAX_OBJECT_PIXELS`.
    """
    # Sums of floats cannot overflow.
    if runs.sum(dtype=np.float64) != shape[0] * shape[1]:
        raise ImageError(
            f"the runs of annotation {label} add up to {runs.sum(dtype=np.float64):.0f} pixels, its image has "
            f"{shape[0]} x {shape[1]}; export the file again"
        )
    ends = np.cumsum(runs)
    begins, lengths = (ends - runs)[1::2], runs[1::2]
    begins, lengths = begins[lengths > 0], lengths[lengths > 0]
    if not begins.size:
        return trimmed(np.zeros((0, 0), bool))
    left, right = int(begins[0] // shape[0]), int((begins[-1] + lengths[-1] - 1) // shape[0]) + 1
    if (right - left) * shape[0] > MAX_OBJECT_PIXELS:
        raise ImageError(
            f"annotation {label} spans {right - left} columns of {shape[0]} pixels, the limit is {MAX_OBJECT_PIXELS} "
            "pixels; check the file"
        )
    # The columns between, as steps up and down that are summed.
    steps = np.zeros((right - left) * shape[0] + 1, np.int8)
    steps[begins - left * shape[0]] += 1
    steps[begins + lengths - left * shape[0]] -= 1
    inside = np.cumsum(steps[:-1], dtype=np.int8).astype(bool).reshape(right - left, shape[0])
    return trimmed(np.ascontiguousarray(inside.T), 0, left)


def runs_of(placed: PlacedMask, shape: Tuple[int, int]) -> List[int]:
    """Return the run lengths of a mask down the columns of its image of this height and width; see `run_lengths`."""
    mask, row, col = placed
    cols, rows = np.nonzero(mask.T)
    places = (cols + col) * shape[0] + rows + row
    begins = np.flatnonzero(np.diff(places, prepend=-2) > 1)
    starts, stops = places[begins], places[np.append(begins[1:], places.size) - 1] + 1
    edges = np.concatenate([[0], np.column_stack([starts, stops]).ravel(), [shape[0] * shape[1]]])
    return [int(length) for length in np.diff(edges)]


class CocoWriter:
    """Writes ``annotations.json``; see `formats.AnnotationWriter`.

    A nucleus without holes becomes polygons, which annotation programs can edit; one with holes uncompressed run
    lengths, since COCO polygons know no holes. Both are exact. Its number is an attribute, as CVAT keeps them.

    Parameters
    ----------
    folder : Path
    files : mapping of str to Path
        Images by their names without suffix; one that is not among them is called ``NAME.png`` in the file.
    """

    def __init__(self, folder: Path, files: Mapping[str, Path]) -> None:
        self._folder, self._files = folder, files
        self._images: List[Dict[str, Any]] = []
        self._annotations: List[Dict[str, Any]] = []
        self._categories: Dict[str, int] = {DEFAULT_CATEGORY: 1}

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Keep the objects of one image for the file."""
        identity = len(self._images) + 1
        height, width = annotated.shape
        file = self._files.get(annotated.image)
        name = f"{annotated.image}.png" if file is None else file.name
        self._images.append({"id": identity, "file_name": name, "height": height, "width": width})
        for found in annotated.objects:
            self._annotations.append(self._annotation(found, annotated.shape, identity))
        return ()

    def _annotation(self, found: AnnotatedObject, shape: Tuple[int, int], image: int) -> Dict[str, Any]:
        mask, row, col = found.placed
        polygons = polygons_of(found.placed)
        segmentation: Any = [polygon.shell.astype(np.int64).ravel().tolist() for polygon in polygons]
        if any(polygon.holes for polygon in polygons):
            segmentation = {"size": list(shape), "counts": runs_of(found.placed, shape)}
        attributes: Dict[str, Any] = {"number": found.number, **({"name": found.name} if found.name else {})}
        category = found.category or DEFAULT_CATEGORY
        return {
            "id": len(self._annotations) + 1,
            "image_id": image,
            "category_id": self._categories.setdefault(category, len(self._categories) + 1),
            "segmentation": segmentation,
            "bbox": [col, row, mask.shape[1], mask.shape[0]],
            "area": found.area,
            "iscrowd": 0,
            "attributes": attributes,
        }

    def finish(self) -> None:
        """Write the file."""
        categories = [{"id": number, "name": name, "supercategory": ""} for name, number in self._categories.items()]
        content = {"images": self._images, "annotations": self._annotations, "categories": categories}
        write_compact_json(self._folder / COCO_NAME, content)
