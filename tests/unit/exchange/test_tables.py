"""Tables of boxes and outlines."""

import pandas as pd
import pytest

from nucdl_core.errors import ImageError
from nucdl_core.exchange import tables
from nucdl_core.exchange.objects import label_image
from nucdl_core.exchange.sources import ImageSizes, ReadOptions

OPTIONS = ReadOptions(ImageSizes(size=(10, 12)), fill_boxes=True)


@pytest.fixture
def read(tmp_path):
    def go(reader, text, options=OPTIONS):
        (tmp_path / "field.csv").write_text(text)
        return [image.load() for image in reader(tmp_path / "field.csv", options)]

    return go


def test_boxes_become_nuclei_only_where_asked_for(read):
    text = "x\ty\twidth\theight\n1\t2\t3\t4\n6.0\t0\t2\t2\n"
    with pytest.raises(ImageError, match="boxes are no outlines"):
        read(tables.read_boxes, text, ReadOptions(OPTIONS.sizes))
    (found,) = read(tables.read_boxes, text)
    assert found.image == "field"
    assert [each.area for each in found.objects] == [12, 4]
    assert found.notes == ("boxes were filled: the nuclei are rectangles, not outlines",)


def test_boxes_of_several_images_keep_numbers_classes_and_names(read):
    text = "image,object,class,x,y,width,height\nb.png,4,round,0,0,2,2\na.png,odd,,1,1,1,1\nb.png,9,,50,50,1,1\n"
    first, second = read(tables.read_boxes, text)
    assert (first.image, second.image) == ("b", "a")
    assert [(each.number, each.category) for each in first.objects] == [(4, "round")]
    assert second.objects[0].name == "odd"
    assert "1 objects lie outside the image and are left out (9)" in first.notes


def test_boxes_are_written_with_the_size_of_the_image_also_where_there_are_none(tmp_path, overlapping):
    from nucdl_core.exchange.objects import AnnotatedObjects

    writer = tables.BoxWriter(tmp_path)
    (told,) = writer.add(overlapping)
    assert "their outlines are lost" in told
    assert writer.add(AnnotatedObjects("empty", (3, 4), ())) == ()
    writer.finish()
    table = pd.read_csv(tmp_path / "boxes.csv")
    assert list(table.columns)[:5] == ["image", "image_height", "image_width", "object", "class"]
    assert table.loc[0, ["object", "x", "y", "width", "height"]].tolist() == [1, 2, 2, 8, 8]
    images = tables.read_boxes(tmp_path / "boxes.csv", ReadOptions(fill_boxes=True))
    found = {image.image: image.load() for image in images}
    assert found["empty"].shape == (3, 4)
    assert not found["empty"].objects


def test_outlines_go_by_the_number_of_the_vertex(read):
    text = "image,object,vertex,x,y\na,1,2,5,1\na,1,1,2,1\na,1,4,2,3\na,1,3,5,3\n"
    (found,) = read(tables.read_outlines, text)
    assert label_image(found).labels.sum() == 6


def test_rings_of_an_outline_make_holes(read):
    rings = {1: [(0, 0), (6, 0), (6, 6), (0, 6)], 2: [(2, 2), (4, 2), (4, 4), (2, 4)]}
    rows = [f"odd,{ring},{x},{y}" for ring, points in rings.items() for x, y in points]
    (found,) = read(tables.read_outlines, "\n".join(["object;ring;x;y".replace(";", ","), *rows]))
    assert label_image(found).labels.sum() == 32
    assert found.objects[0].name == "odd"


def test_outlines_outside_the_image_are_told(read):
    (found,) = read(tables.read_outlines, "object,x,y\n1,20,20\n1,30,20\n1,30,30\n")
    assert found.notes == ("1 objects lie outside the image and are left out (1)",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("object,x\n1,1\n", "no column y"),
        ("image,object,x,y\n,1,1,1\n", "row 2 of the table names no image"),
        ("object,x,y\n1,1,1\n1,a,2\n", "row 3 of the table has 'a' in column x"),
        ("object,x,y\n1,1,\n", "row 2 of the table has '' in column y"),
        ("object,x,y,image_height,image_width\n1,1,1,5,5\n1,1,1,5,6\n", "state 2 sizes"),
        ("object,x,y,image_height,image_width\n1,1,1,5,0\n", "is '5' x '0' pixels"),
        ("object,x,X,y\n1,1,1,1\n", "two columns have one name"),
        ('object,x,y\n1,"1,1\n', "no table in UTF-8"),
        ("object,x,y\n1,1,1,1\n", "no table in UTF-8"),
    ],
)
def test_a_broken_table_is_refused(read, text, message):
    with pytest.raises(ImageError, match=message):
        read(tables.read_outlines, text)
