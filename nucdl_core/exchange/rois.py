"""ImageJ ROIs to masks and back: what Fiji's ROI Manager and AnnotatorJ save.

The format is that of ImageJ's RoiDecoder (W. Rasband), read and written with the library roifile (C. Gohlke).
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from nucdl_core.errors import ImageError
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, ObjectCollector, first_few
from nucdl_core.exchange.polygons import Filled, Ring, as_points, as_ring, fill, fill_ellipse, note_filled, polygons_of
from nucdl_core.exchange.roi_archive import read_members, write_members
from nucdl_core.exchange.sources import ImageToRead, ReadOptions, annotation_stem
from nucdl_core.files.writing import write_atomically

ROI_SET_ENDING = "_RoiSet.zip"
LARGEST_GROUP = 255
# ImageJ stores whole coordinates in 16 bits of which it takes those below -5000 for large ones.
_FARTHEST = 60_536
_VERSION = 227
_AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED, ROI_TYPE.RECT, ROI_TYPE.OVAL)
_NO_AREAS = (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE)
_GROUP = "group {}"
# Names that ImageJ and plugins make of positions; they say nothing.
_AUTOMATIC = re.compile(r"\d{4,}(-\d{4,})+(-\d+)?")
_BROKEN = (ValueError, TypeError, LookupError, struct.error, RuntimeError, ArithmeticError, AttributeError)
_CURVE_STEPS = 16
# Points that follow each command of a path: move, line, quadratic and cubic curve, close.
_POINTS_OF = {0.0: 1, 1.0: 1, 2.0: 2, 3.0: 3, 4.0: 0}


def read_roi_set(path: Path, options: ReadOptions) -> Iterable[ImageToRead]:
    """Find the image of an ImageJ ROI set or ROI; see `sources.Reader`."""
    name = annotation_stem(path, options.sizes.files)
    return [ImageToRead(name, lambda: _read_set(path, name, options))]


def _read_set(path: Path, image: str, options: ReadOptions) -> AnnotatedObjects:
    members = read_members(path)
    collector = ObjectCollector(image, options.sizes.shape_of(image))
    positions: Counter[Tuple[int, ...]] = Counter()
    for entry, content in members:
        roi = _decode(entry, content)
        label = roi.name or entry
        positions[(roi.position, roi.c_position, roi.z_position, roi.t_position)] += 1
        filled = _fill_roi(roi, collector, label)
        if filled is None:
            continue
        note_filled(collector, filled, label)
        if filled.placed.mask.size or not filled.outside:
            properties = _properties(content)
            category = properties.get("class") or (_GROUP.format(roi.group) if roi.group > 0 else "")
            number = int(label) if label.isdecimal() and len(label) < 11 else None
            plain = number is not None or _AUTOMATIC.fullmatch(label)
            collector.add(filled.placed, number, category, properties.get("name") or ("" if plain else label))
    if len(positions) > 1:
        collector.remark(f"the ROIs lie on {len(positions)} slices of a stack; all are taken as those of one image")
    return collector.finish()


def _decode(entry: str, content: bytes) -> ImagejRoi:
    try:
        return ImagejRoi.frombytes(content)
    except _BROKEN as error:
        raise ImageError(f"{entry!r} is no whole ImageJ ROI ({error}); save it again from the ROI Manager") from error


def _fill_roi(roi: ImagejRoi, collector: ObjectCollector, name: str) -> Optional[Filled]:
    """Return the pixels of a ROI; None, with a note, where it is none that has any."""
    if roi.roitype not in _AREAS or roi.subtype in _NO_AREAS:
        collector.notes.add("ROIs are points, lines, angles or texts, which enclose nothing, and are left out", name)
        return None
    if roi.composite:
        path = [] if roi.multi_coordinates is None else roi.multi_coordinates.tolist()
        return fill(_rings_of_path(path, name), collector.shape)
    left, top, wide, high = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
    box = (roi.xd, roi.yd, roi.widthd, roi.heightd) if roi.subpixelrect else (left, top, wide, high)
    if roi.roitype == ROI_TYPE.OVAL:
        as_points([box[:2], box[2:]], name)
        return fill_ellipse(box, collector.shape)
    if roi.roitype == ROI_TYPE.RECT:
        if roi.rounded_rect_arc_size:
            collector.notes.add("rectangles have round corners, which are taken as square", name)
        (x, y), (right, bottom) = box[:2], (box[0] + box[2], box[1] + box[3])
        return fill([as_ring([[x, y], [right, y], [right, bottom], [x, bottom]], name)], collector.shape)
    if roi.options & ROI_OPTIONS.SPLINE_FIT:
        collector.notes.add("outlines are splines, which are taken as straight lines between their points", name)
    return fill([as_ring(roi.coordinates(), name)], collector.shape)


def _rings_of_path(path: List[float], name: str) -> List[Ring]:
    """Read the path of a composite ROI, as Java's PathIterator gives it."""
    rings: List[List[Tuple[float, float]]] = []
    place = 0
    while place < len(path):
        command, count = path[place], _POINTS_OF.get(path[place], -1)
        values = path[place + 1 : place + 1 + 2 * max(count, 0)]
        if count < 0 or len(values) < 2 * count or (command != 0 and not rings):
            raise ImageError(f"the path of the composite ROI {name!r} is broken at {place}; save the ROI again")
        points = list(zip(values[::2], values[1::2]))
        if command == 0:
            rings.append(points)
        elif count:
            rings[-1].extend(_curve(rings[-1][-1], points) if count > 1 else points)
        place += 1 + 2 * count
    return [as_ring(ring, name) for ring in rings]


def _curve(start: Tuple[float, float], points: List[Tuple[float, float]]) -> List[Tuple[float, float]]:
    """Return points on a Bezier curve (de Casteljau's algorithm)."""
    found = []
    for share in np.linspace(0, 1, _CURVE_STEPS + 1)[1:]:
        corners = np.array([start, *points], np.float64)
        while len(corners) > 1:
            corners = (1 - share) * corners[:-1] + share * corners[1:]
        found.append((float(corners[0, 0]), float(corners[0, 1])))
    return found


def _properties(content: bytes) -> Dict[str, str]:
    """Read the properties of a ROI, which roifile cuts off: lines of a name, a colon and a value."""
    (header,) = struct.unpack(">i", content[60:64])
    if not 0 < header <= len(content) - 52:
        return {}
    start, length = struct.unpack(">ii", content[header + 40 : header + 48])
    if start <= 0 or length <= 0 or start + 2 * length > len(content):
        return {}
    lines = content[start : start + 2 * length].decode("utf-16-be", "replace").split("\n")
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


class RoiSetWriter:
    """Writes ``NAME_RoiSet.zip`` for each image; see `formats.AnnotationWriter`.

    A nucleus without holes that is one piece becomes a traced ROI, any other one a composite ROI. Its number is its
    name, as AnnotatorJ names ROIs; its class is a group, which ImageJ and AnnotatorJ show, and a property of the ROI.

    Parameters
    ----------
    folder : Path
    classes : sequence of str
        Classes that have the first groups, in this order, also where the first images lack some of them.
    """

    def __init__(self, folder: Path, classes: Sequence[str] = ()) -> None:
        self._folder = folder
        self._groups: Dict[str, int] = {name: group for group, name in enumerate(classes, start=1)}

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Write the set of one image."""
        beyond = [str(found.number) for found in annotated.objects if found.window[1].stop > _FARTHEST]
        beyond += [str(found.number) for found in annotated.objects if found.window[0].stop > _FARTHEST]
        if beyond:
            raise ImageError(
                f"ImageJ ROIs end at {_FARTHEST} pixels, {len(beyond)} objects lie beyond ({first_few(beyond)}); "
                "cut the image into parts, or choose another format"
            )
        members = [(f"{found.number:04}", self._encoded(found)) for found in annotated.objects]
        target = self._folder / f"{annotated.image}{ROI_SET_ENDING}"
        write_atomically(target, lambda stream: write_members(stream, members))
        told = []
        over = [name for name, group in self._groups.items() if group > LARGEST_GROUP]
        if over:
            told.append(f"ROIs have {LARGEST_GROUP} groups; {len(over)} classes are properties only")
        texts = [text for found in annotated.objects for text in (found.category, found.name)]
        if changed := sorted({text for text in texts if property_text(text) != text}):
            told.append(f"{len(changed)} classes or names hold what ROIs cannot keep, as emoji ({first_few(changed)})")
        return tuple(told)

    def finish(self) -> None:
        """Do nothing: each image has its own file."""

    def _encoded(self, found: AnnotatedObject) -> bytes:
        mask, row, col = found.placed
        roi = ImagejRoi(version=_VERSION, name=f"{found.number:04}", group=self._group(found.category))
        roi.top, roi.left, roi.bottom, roi.right = row, col, row + mask.shape[0], col + mask.shape[1]
        lines = (("class", found.category), ("name", found.name))
        roi.props = "".join(f"{key}: {property_text(value)}\n" for key, value in lines if value)
        polygons = polygons_of(found.placed)
        if len(polygons) == 1 and not polygons[0].holes:
            roi.roitype = ROI_TYPE.TRACED
            roi.integer_coordinates = (polygons[0].shell - (col, row)).astype(np.int32)
            roi.n_coordinates = len(roi.integer_coordinates)
        else:
            roi.roitype = ROI_TYPE.RECT
            rings = [ring for polygon in polygons for ring in (polygon.shell, *polygon.holes)]
            path = [part for ring in rings for part in (*_commands(ring), np.array([4]))]
            roi.multi_coordinates = np.concatenate(path).astype(np.float32)
            roi.shape_roi_size = len(roi.multi_coordinates)
        return roi.tobytes()

    def _group(self, category: str) -> int:
        """Return the group of a class: that of its name, or the next free one; 0 where there is none."""
        if not category:
            return 0
        if category not in self._groups:
            named = re.fullmatch(_GROUP.format(r"(\d{1,3})"), category)
            self._groups[category] = int(named.group(1)) if named else max(self._groups.values(), default=0) + 1
        return self._groups[category] if self._groups[category] <= LARGEST_GROUP else 0


def property_text(value: str) -> str:
    """Return a text as a property of a ROI can hold it: on one line, in characters of 16 bits."""
    return "".join(letter if ord(letter) < 2**16 else "?" for letter in " ".join(value.split()))


def _commands(ring: Ring) -> List[Ring]:
    """Turn the corners of a ring into commands of a path: move to the first one, lines to the others."""
    return [np.array([0 if position == 0 else 1, x, y]) for position, (x, y) in enumerate(ring.tolist())]
