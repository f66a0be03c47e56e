"""GeoJSON as QuPath writes it."""

import json

import pytest

from nucdl_core.errors import ImageError
from nucdl_core.exchange import geojson
from nucdl_core.exchange.objects import label_image
from nucdl_core.exchange.sources import ImageSizes, ReadOptions

OPTIONS = ReadOptions(ImageSizes(size=(12, 14)))
SQUARE = [[2, 2], [8, 2], [8, 8], [2, 8], [2, 2]]
HOLE = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]


def feature(kind="Polygon", coordinates=(SQUARE,), more=None, **properties):
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "id": "0", "geometry": geometry, "properties": properties, **(more or {})}


@pytest.fixture
def read(tmp_path, one_image):
    def go(*features, whole=None):
        content = {"type": "FeatureCollection", "features": list(features)} if whole is None else whole
        (tmp_path / "a.tif.geojson").write_text(json.dumps(content))
        return one_image(geojson.read_geojson, tmp_path / "a.tif.geojson", OPTIONS)

    return go


def test_polygons_have_holes_and_classes(read):
    found = read(feature(coordinates=[SQUARE, HOLE], classification={"name": "Tumor", "color": [200, 0, 0]}))
    assert found.image == "a"
    assert label_image(found).labels.sum() == 32
    assert found.objects[0].category == "Tumor"
    assert not found.notes


@pytest.mark.parametrize(
    ("classification", "category"),
    [("Stroma", "Stroma"), ({"names": ["Tumor", "Positive"]}, "Tumor: Positive"), ({"name": None}, ""), (None, "")],
)
def test_classes_of_all_versions_are_read(read, classification, category):
    assert read(feature(classification=classification)).objects[0].category == category


def test_several_polygons_are_one_nucleus_also_where_they_overlap(read):
    far = [[9, 9], [11, 9], [11, 11], [9, 11], [9, 9]]
    assert label_image(read(feature("MultiPolygon", [[SQUARE, HOLE], [far]]))).labels.sum() == 36
    assert label_image(read(feature("MultiPolygon", [[SQUARE], [HOLE]]))).labels.sum() == 36


def test_of_a_cell_the_nucleus_is_taken(read):
    nucleus = {"nucleusGeometry": {"type": "Polygon", "coordinates": [HOLE]}}
    found = read(feature(more=nucleus, objectType="cell"))
    assert label_image(found).labels.sum() == 4
    assert found.notes == ("1 objects are cells, of which the nucleus is taken (1)",)


def test_a_list_of_features_and_a_single_one_are_read(read):
    assert len(read(whole=[feature(), feature()]).objects) == 2
    assert len(read(whole=feature()).objects) == 1


def test_points_lines_and_what_lies_outside_are_told(read):
    found = read(
        feature("Point", [1, 1]),
        feature("LineString", [[1, 1], [2, 2]], name="line"),
        feature(coordinates=[[[20, 20], [30, 20], [30, 30], [20, 20]]]),
        feature(coordinates=[[[10, 10], [30, 10], [30, 30], [10, 10]]]),
    )
    assert len(found.objects) == 1
    assert found.notes == (
        "2 objects are points or lines, which enclose nothing, and are left out (1, line)",
        "1 objects lie outside the image and are left out (3)",
        "1 objects reach out of the image and are cut at its border (4)",
    )


def test_planes_of_a_stack_are_told(read):
    planes = [feature(), feature()]
    planes[1]["geometry"]["plane"] = {"c": -1, "z": 3, "t": 0}
    assert "the objects lie on 2 planes of a stack; all are taken as those of one image" in read(*planes).notes


def test_names_are_numbers_or_names(read):
    found = read(feature(name="12"), feature(name="odd"), feature(name="odd", number=3), feature(number=True))
    assert [(each.number, each.name) for each in found.objects] == [(12, ""), (13, "odd"), (3, "odd"), (14, "")]


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        ({"type": "FeatureCollection", "features": 3}, "no GeoJSON of objects"),
        ({"type": "FeatureCollection", "features": [3]}, "no GeoJSON of objects"),
        ({"a": 1}, "no GeoJSON of objects"),
        (feature("GeometryCollection"), "is a 'GeometryCollection'"),
        (feature(coordinates=3), "no list of polygons"),
        (feature("MultiPolygon", 3), "no list of polygons"),
        (feature(coordinates=["abc"]), "outline of object 1"),
    ],
)
def test_what_is_no_geojson_of_areas_is_refused(read, whole, message):
    with pytest.raises(ImageError, match=message):
        read(whole=whole)


def test_the_size_of_the_image_is_written_and_checked(tmp_path, one_image, overlapping):
    geojson.GeoJsonWriter(tmp_path).add(overlapping)
    found = one_image(geojson.read_geojson, tmp_path / "field.geojson", ReadOptions())
    assert found.shape == (12, 14)
    with pytest.raises(ImageError, match="for an image of 12 x 14 pixels"):
        one_image(geojson.read_geojson, tmp_path / "field.geojson", ReadOptions(ImageSizes(size=(5, 5))))


def test_what_is_written_is_what_qupath_imports(tmp_path, overlapping):
    geojson.GeoJsonWriter(tmp_path).add(overlapping)
    content = json.loads((tmp_path / "field.geojson").read_text())
    first, second, third = content["features"]
    assert first["geometry"] == {"type": "Polygon", "coordinates": [[[2, 2], [10, 2], [10, 10], [2, 10], [2, 2]]]}
    assert first["properties"]["objectType"] == "annotation"
    assert first["properties"]["classification"]["name"] == "round"
    assert all(0 <= part <= 255 for part in first["properties"]["classification"]["color"])
    assert second["properties"]["name"] == "the odd one"
    assert "classification" not in third["properties"]
