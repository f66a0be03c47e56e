"""GeoJSON as QuPath (0.4 and later) exports and imports it: polygons in pixels, with holes and classifications."""

from __future__ import annotations

import colorsys
import hashlib
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

import numpy as np

from nucdl_core.errors import ImageError
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, ObjectCollector, joined
from nucdl_core.exchange.polygons import Filled, Ring, as_ring, fill, note_filled, polygons_of
from nucdl_core.exchange.sources import ImageToRead, ReadOptions, annotation_stem
from nucdl_core.exchange.texts import read_json, write_compact_json

GEOJSON_SUFFIX = ".geojson"
# What NucDL adds to the file and other programs pass over: QuPath's files do not say how large the image is.
_IMAGE_SIZE = "image_size"
_NO_AREAS = ("Point", "MultiPoint", "LineString", "MultiLineString")


def features_in(content: Any) -> Optional[List[Any]]:
    """Return the features of a GeoJSON file: a collection, a list of features or a single one; None for other JSON."""
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        found = content.get("features")
        return found if isinstance(found, list) else None
    if isinstance(content, dict) and content.get("type") == "Feature":
        return [content]
    if isinstance(content, list) and all(isinstance(each, dict) and each.get("type") == "Feature" for each in content):
        return content
    return None


def read_geojson(path: Path, options: ReadOptions) -> Iterable[ImageToRead]:
    """Find the image of a GeoJSON file; see `sources.Reader`."""
    name = annotation_stem(path, options.sizes.files)
    return [ImageToRead(name, lambda: _read_features(path, name, options))]


def _read_features(path: Path, image: str, options: ReadOptions) -> AnnotatedObjects:
    content = read_json(path)
    features = features_in(content)
    if features is None or not all(isinstance(each, dict) for each in features):
        raise ImageError("this is no GeoJSON of objects (a FeatureCollection); export objects as GeoJSON from QuPath")
    size = content.get(_IMAGE_SIZE) if isinstance(content, dict) else None
    stated = (size[0], size[1]) if size and _is_size(size) else None
    collector = ObjectCollector(image, options.sizes.shape_of(image, stated))
    planes = set()
    for position, feature in enumerate(features):
        properties = _mapping(feature.get("properties"))
        label = str(properties.get("name") or position + 1)
        geometry = _mapping(feature.get("nucleusGeometry") or feature.get("geometry"))
        if feature.get("nucleusGeometry"):
            collector.notes.add("objects are cells, of which the nucleus is taken", label)
        planes.add(str(_mapping(geometry.get("plane"))))
        filled = _fill_geometry(geometry, collector, label)
        if filled is not None and (filled.placed.mask.size or not filled.outside):
            name = str(properties.get("name") or "")
            number = properties.get("number", int(name) if name.isdecimal() and len(name) < 11 else None)
            valid = isinstance(number, int) and not isinstance(number, bool)
            named = "" if name.isdecimal() else name
            collector.add(filled.placed, number if valid else None, _class_of(properties), named)
    if len(planes) > 1:
        collector.remark(f"the objects lie on {len(planes)} planes of a stack; all are taken as those of one image")
    return collector.finish()


def _mapping(value: Any) -> Dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(side) is int and side > 0 for side in value)


def _class_of(properties: Dict[str, Any]) -> str:
    classification = properties.get("classification")
    if isinstance(classification, str):
        return classification
    found = _mapping(classification)
    names = found.get("names")
    return ": ".join(str(name) for name in names) if isinstance(names, list) else str(found.get("name") or "")


def _fill_geometry(geometry: Dict[str, Any], collector: ObjectCollector, label: str) -> Optional[Filled]:
    """Return the pixels of a geometry; None, with a note, where it is none that has any."""
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind in _NO_AREAS:
        collector.notes.add("objects are points or lines, which enclose nothing, and are left out", label)
        return None
    if kind not in ("Polygon", "MultiPolygon"):
        raise ImageError(f"object {label} is a {kind!r}; NucDL reads Polygon and MultiPolygon")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(polygons, list) or not all(isinstance(each, list) for each in polygons):
        raise ImageError(f"the coordinates of object {label} are no list of polygons; export the file again")
    parts = [fill([as_ring(points, label) for points in polygon], collector.shape) for polygon in polygons]
    filled = Filled(
        joined([part.placed for part in parts]),
        any(part.outside for part in parts),
        any(part.crossing for part in parts),
    )
    note_filled(collector, filled, label)
    return filled


class GeoJsonWriter:
    """Writes ``NAME.geojson`` for each image, a polygon or several for each nucleus; see `formats.AnnotationWriter`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Write the objects of one image."""
        content = {
            "type": "FeatureCollection",
            "features": [_feature(found) for found in annotated.objects],
            _IMAGE_SIZE: list(annotated.shape),
        }
        write_compact_json(self._folder / f"{annotated.image}{GEOJSON_SUFFIX}", content)
        return ()

    def finish(self) -> None:
        """Do nothing: each image has its own file."""


def _feature(found: AnnotatedObject) -> Dict[str, Any]:
    pieces = [[_closed(ring) for ring in (piece.shell, *piece.holes)] for piece in polygons_of(found.placed)]
    single = len(pieces) == 1
    properties: Dict[str, Any] = {
        "objectType": "annotation",
        "name": found.name or str(found.number),
        "number": found.number,
    }
    if found.category:
        properties["classification"] = {"name": found.category, "color": _colour(found.category)}
    geometry = {"type": "Polygon" if single else "MultiPolygon", "coordinates": pieces[0] if single else pieces}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _closed(ring: Ring) -> List[List[int]]:
    points: List[List[int]] = ring.astype(np.int64).tolist()
    return [*points, points[0]]


def _colour(category: str) -> List[int]:
    """Return a colour that a class always has."""
    hue = hashlib.sha256(category.encode("utf-8", "surrogateescape")).digest()[0] / 256
    return [round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.8, 0.9)]
