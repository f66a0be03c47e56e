"""Tables (CSV): the boxes of objects, and the corners of their outlines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.errors import ImageError
from nucdl_core.exchange.coco import box_ring
from nucdl_core.exchange.objects import AnnotatedObjects, ObjectCollector
from nucdl_core.exchange.polygons import as_ring, fill, note_filled, polygons_of
from nucdl_core.exchange.sources import ImageToRead, ReadOptions, annotation_stem, named_image
from nucdl_core.exchange.texts import read_text_table
from nucdl_core.files.writing import write_table

if TYPE_CHECKING:
    import pandas as pd

BOXES_NAME = "boxes.csv"
OUTLINES_NAME = "outlines.csv"
BOX_COLUMNS = ("x", "y", "width", "height")
OUTLINE_COLUMNS = ("object", "x", "y")
_IMAGE_COLUMNS = ("image", "image_height", "image_width", "object", "class")
_BOX_TABLE = (*_IMAGE_COLUMNS, *BOX_COLUMNS)
_OUTLINE_TABLE = (*_IMAGE_COLUMNS, "ring", "vertex", "x", "y")


def read_boxes(path: Path, options: ReadOptions) -> Iterable[ImageToRead]:
    """Find the images of a table of boxes; see `sources.Reader`."""
    if not options.fill_boxes:
        raise ImageError(
            "boxes are no outlines: a nucleus that fills its box is a rectangle. If such nuclei are what you want, "
            "ask for them (--fill-boxes)"
        )
    table = read_text_table(path, BOX_COLUMNS)
    return _by_image(table, path, options, _add_boxes)


def read_outlines(path: Path, options: ReadOptions) -> Iterable[ImageToRead]:
    """Find the images of a table of outlines; see `sources.Reader`."""
    table = read_text_table(path, OUTLINE_COLUMNS)
    return _by_image(table, path, options, _add_outlines)


def _by_image(table: pd.DataFrame, path: Path, options: ReadOptions, add: Any) -> List[ImageToRead]:
    """Part a table into those of its images; without the column ``image`` it is of the image of the file's name."""
    if "image" not in table.columns:
        return [_lazily(annotation_stem(path, options.sizes.files), table, options, add)]
    names = table["image"].str.strip().map(named_image)
    if (names == "").any():
        raise ImageError(f"row {int((names == '').to_numpy().argmax()) + 2} of the table names no image; complete it")
    return [_lazily(str(name), rows, options, add) for name, rows in table.groupby(names, sort=False)]


def _lazily(name: str, rows: pd.DataFrame, options: ReadOptions, add: Any) -> ImageToRead:
    def load() -> AnnotatedObjects:
        collector = ObjectCollector(name, options.sizes.shape_of(name, _stated_shape(rows)))
        add(collector, rows[~_is_empty(rows)])
        return collector.finish()

    return ImageToRead(name, load)


def _is_empty(rows: pd.DataFrame) -> pd.Series:
    """Mark the rows that say only that an image has no objects."""
    return (rows["x"].str.strip() == "") & (rows["y"].str.strip() == "")


def _stated_shape(rows: pd.DataFrame) -> Optional[Tuple[int, int]]:
    if not {"image_height", "image_width"} <= set(rows.columns):
        return None
    sizes = {(height.strip(), width.strip()) for height, width in zip(rows["image_height"], rows["image_width"])}
    if len(sizes) != 1:
        raise ImageError(f"the rows of the image state {len(sizes)} sizes; it has one")
    ((height, width),) = sizes
    if not (height.isdecimal() and width.isdecimal() and int(height) > 0 and int(width) > 0):
        raise ImageError(f"the image is {height!r} x {width!r} pixels; give whole numbers from 1")
    return int(height), int(width)


def _numbers(rows: pd.DataFrame, columns: Iterable[str]) -> NDArray[np.float64]:
    """Return columns of a table as numbers (N, C)."""
    import pandas as pd

    names = list(columns)
    values = np.column_stack([pd.to_numeric(rows[name], errors="coerce").to_numpy(np.float64) for name in names])
    wrong = ~np.isfinite(values)
    if wrong.any():
        place, column = (int(part[0]) for part in np.nonzero(wrong))
        raise ImageError(
            f"row {rows.index[place] + 2} of the table has {rows[names[column]].iloc[place]!r} in column "
            f"{names[column]}; it must be a number"
        )
    return values


def _texts(rows: pd.DataFrame, column: str) -> List[str]:
    return [text.strip() for text in rows[column]] if column in rows.columns else [""] * len(rows)


def _number_in(text: str) -> Optional[int]:
    return int(text) if text.isdecimal() and len(text) < 11 else None


def _add_boxes(collector: ObjectCollector, rows: pd.DataFrame) -> None:
    boxes = _numbers(rows, BOX_COLUMNS)
    collector.remark("boxes were filled: the nuclei are rectangles, not outlines")
    for place, (box, name, category) in enumerate(zip(boxes, _texts(rows, "object"), _texts(rows, "class"))):
        label = name or str(place + 1)
        filled = fill([box_ring(box.tolist(), label)], collector.shape)
        note_filled(collector, filled, label)
        if filled.placed.mask.size or not filled.outside:
            collector.add(filled.placed, _number_in(name), category, "" if name.isdecimal() else name)


def _add_outlines(collector: ObjectCollector, rows: pd.DataFrame) -> None:
    points = _numbers(rows, ("x", "y"))
    names, categories, rings = (_texts(rows, column) for column in ("object", "class", "ring"))
    order = np.arange(len(rows))
    if "vertex" in rows.columns:
        order = np.argsort(_numbers(rows, ("vertex",))[:, 0], kind="stable")
    found: Dict[str, Dict[str, List[int]]] = {name: {} for name in names}
    for place in order.tolist():
        found[names[place]].setdefault(rings[place], []).append(place)
    category_of = dict(zip(names, categories))
    for name, parts in found.items():
        filled = fill([as_ring(points[places], name) for places in parts.values()], collector.shape)
        note_filled(collector, filled, name)
        if filled.placed.mask.size or not filled.outside:
            collector.add(filled.placed, _number_in(name), category_of[name], "" if name.isdecimal() else name)


class _TableWriter:
    """Collects rows of all images and writes them into one table; see `formats.AnnotationWriter`."""

    def __init__(self, folder: Path, name: str, columns: Tuple[str, ...]) -> None:
        self._path, self._columns = folder / name, columns
        self._rows: List[Tuple[Any, ...]] = []

    def _keep(self, annotated: AnnotatedObjects, rows: List[Tuple[Any, ...]]) -> None:
        """Keep the rows of an image; one without objects gets a row that says so."""
        start = (annotated.image, *annotated.shape)
        rows = rows or [(None,) * (len(self._columns) - len(start))]
        self._rows.extend((*start, *row) for row in rows)

    def finish(self) -> None:
        """Write the table."""
        import pandas as pd

        table = pd.DataFrame(self._rows, columns=list(self._columns), dtype=object)
        write_table(self._path, table)


class BoxWriter(_TableWriter):
    """Writes ``boxes.csv``: left, top, width and height in pixels of each nucleus; see `formats.AnnotationWriter`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, BOXES_NAME, _BOX_TABLE)

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Keep the boxes of one image."""
        rows = []
        for found in annotated.objects:
            mask, row, col = found.placed
            rows.append((found.number, found.category, col, row, mask.shape[1], mask.shape[0]))
        self._keep(annotated, rows)
        return ("boxes keep place and size of the nuclei, their outlines are lost",) if rows else ()


class OutlineWriter(_TableWriter):
    """Writes ``outlines.csv``: the corners of each nucleus, ring by ring; see `formats.AnnotationWriter`.

    What two rings of a nucleus have in common is outside of it: a hole.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, OUTLINES_NAME, _OUTLINE_TABLE)

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Keep the outlines of one image."""
        rows: List[Tuple[Any, ...]] = []
        for found in annotated.objects:
            rings = [ring for piece in polygons_of(found.placed) for ring in (piece.shell, *piece.holes)]
            for part, ring in enumerate(rings, start=1):
                for vertex, (x, y) in enumerate(ring.astype(np.int64).tolist(), start=1):
                    rows.append((found.number, found.category, part, vertex, x, y))
        self._keep(annotated, rows)
        return ()
