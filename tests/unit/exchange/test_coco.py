"""COCO files of other programs."""

import json

import numpy as np
import pytest

from nucdl_core.errors import ImageError
from nucdl_core.exchange import coco
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, label_image, trimmed
from nucdl_core.exchange.sources import ImageSizes, ReadOptions

PLAIN = ReadOptions()
SIZED = {"id": 3, "file_name": "folder\\a.b.png", "height": 6, "width": 8}


@pytest.fixture
def read(tmp_path):
    def go(annotations, images=(SIZED,), options=PLAIN, **more):
        content = {"images": list(images), "annotations": annotations, "categories": [], **more}
        (tmp_path / "x.json").write_text(json.dumps(content))
        return [image.load() for image in coco.read_coco(tmp_path / "x.json", options)]

    return go


def annotation(**words):
    return {"id": 9, "image_id": 3, "category_id": 1, **words}


def encoded(runs):
    """Write run lengths as the COCO API does."""
    text = ""
    for place, run in enumerate(runs):
        value = run - (runs[place - 2] if place > 2 else 0)
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


def test_polygons_are_joined_and_go_by_pixel_centres(read):
    both = [[1, 1, 4, 1, 4, 3, 1, 3], [3.4, 2, 6.4, 2, 6.4, 5, 3.4, 5]]
    (found,) = read([annotation(segmentation=both)])
    assert found.image == "a.b"
    labels = label_image(found).labels
    assert labels.sum() == 6 + 9 - 1
    assert labels[2, 3] == 1


def test_run_lengths_are_read_as_numbers_and_as_text(read):
    mask = np.zeros((6, 8), bool)
    mask[2:5, 3:6] = True
    mask[3, 4] = False
    runs = coco.runs_of(trimmed(mask), mask.shape)
    assert runs == [20, 3, 3, 1, 1, 1, 3, 3, 13]
    for counts in (runs, encoded(runs)):
        (found,) = read([annotation(segmentation={"size": [6, 8], "counts": counts})])
        assert np.array_equal(label_image(found).labels > 0, mask)


def test_the_text_form_is_that_of_the_coco_api(read):
    # A mask of 9 x 10 pixels and one of 10 x 10 without any, as pycocotools encodes them.
    assert coco.run_lengths("61X13mN000`0", "x").tolist() == [6, 1, 40, 4, 5, 4, 5, 4, 21]
    assert coco.run_lengths("T3", "x").tolist() == [100]
    assert coco.run_lengths(encoded([0, 100_000, 5, 2]), "x").tolist() == [0, 100_000, 5, 2]


def test_a_mask_from_the_first_to_the_last_pixel_is_read(read):
    (found,) = read([annotation(segmentation={"size": [6, 8], "counts": [0, 48]})])
    assert label_image(found).labels.all()
    (found,) = read([annotation(segmentation={"size": [6, 8], "counts": [48]})])
    assert found.notes == ("1 objects have no pixel and are left out (1)",)


@pytest.mark.parametrize("counts", [[1, -1, 48], [[1]], 5, None, "\x01", "P", "n" * 20, {"a": 1}, ["x"], [2**70]])
def test_what_is_no_run_lengths_is_refused(read, counts):
    with pytest.raises(ImageError, match="counts of annotation 9 are no run lengths"):
        read([annotation(segmentation={"size": [6, 8], "counts": counts})])


def test_run_lengths_of_another_size_are_refused(read):
    with pytest.raises(ImageError, match="is for the size .8, 6., its image has .6, 8."):
        read([annotation(segmentation={"size": [8, 6], "counts": [48]})])
    with pytest.raises(ImageError, match="add up to 40 pixels, its image has 6 x 8"):
        read([annotation(segmentation={"size": [6, 8], "counts": [20, 20]})])


def test_a_mask_as_large_as_no_nucleus_is_refused(read, monkeypatch):
    monkeypatch.setattr(coco, "MAX_OBJECT_PIXELS", 40)
    with pytest.raises(ImageError, match="spans 8 columns of 6 pixels"):
        read([annotation(segmentation={"size": [6, 8], "counts": [0, 48]})])


def test_categories_crowds_numbers_and_names_are_kept_or_told(read):
    square = [[1, 1, 3, 1, 3, 3, 1, 3]]
    first = annotation(segmentation=square, iscrowd=1)
    second = annotation(segmentation=square, attributes={"number": 7, "name": "odd"}, iscrowd=1)
    (found,) = read([first, second], categories=[{"id": 1, "name": "mitotic"}])
    assert [(each.number, each.category, each.name) for each in found.objects] == [
        (8, "mitotic", ""),
        (7, "mitotic", "odd"),
    ]
    assert found.notes == ("1 annotations are crowds, which may be several nuclei; each is taken as one (9)",)


def test_annotations_without_an_outline_are_filled_boxes_only_where_asked_for(read):
    boxes = [annotation(bbox=[1, 1, 3, 2], segmentation=[])]
    (found,) = read(boxes)
    assert not found.objects
    assert "filled boxes are not nuclei (--fill-boxes takes them)" in found.notes[0]
    (found,) = read(boxes, options=ReadOptions(fill_boxes=True))
    assert found.objects[0].area == 6
    (found,) = read([annotation()], options=ReadOptions(fill_boxes=True))
    assert not found.objects


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, -3, 4], "1234", [1, 2]])
def test_what_is_no_box_is_refused(read, box):
    with pytest.raises(ImageError, match="object 9 is|annotation 9 is no list|outline of object 9"):
        read([annotation(bbox=box)], options=ReadOptions(fill_boxes=True))


def test_an_annotation_outside_the_image_is_told(read):
    (found,) = read([annotation(segmentation=[[20, 20, 30, 20, 30, 30]])])
    assert found.notes == ("1 objects lie outside the image and are left out (9)",)


def test_sizes_are_checked_and_looked_up(read):
    unsized = {"id": 3, "file_name": "a.png"}
    with pytest.raises(ImageError, match="do not say how large the image a is"):
        read([], images=[unsized])
    (found,) = read([], images=[unsized], options=ReadOptions(ImageSizes(size=(4, 5))))
    assert found.shape == (4, 5)
    with pytest.raises(ImageError, match="for an image of 6 x 8 pixels, the size that was given is 4 x 5"):
        read([], options=ReadOptions(ImageSizes(size=(4, 5))))
    with pytest.raises(ImageError, match="more than the limit"):
        read([], images=[{**SIZED, "height": 10**6, "width": 10**6}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "lists 'images' and 'annotations'"),
        ('{"images": [1], "annotations": []}', "is no object"),
        ('{"images": [{"id": 1}, {"id": 1}], "annotations": []}', "the same id"),
        ('{"images": [], "annotations": [{"id": 4, "image_id": 2}]}', "annotation 4 is of image 2"),
    ],
)
def test_what_is_no_coco_file_is_refused(tmp_path, content, message):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(ImageError, match=message):
        coco.read_coco(tmp_path / "x.json", ReadOptions())


def test_an_outline_that_is_no_list_of_pairs_is_refused(read):
    with pytest.raises(ImageError, match="is no list of x1, y1"):
        read([annotation(segmentation=[[1, 2, 3]])])


def test_polygons_are_written_where_there_are_no_holes_and_run_lengths_where_there_are(tmp_path):
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    objects = [AnnotatedObject(1, trimmed(np.eye(2, dtype=bool))), AnnotatedObject(2, trimmed(ring, 2, 2))]
    writer = coco.CocoWriter(tmp_path, {"b": tmp_path / "b.tiff"})
    writer.add(AnnotatedObjects("a", (6, 8), tuple(objects)))
    writer.add(AnnotatedObjects("b", (6, 8), ()))
    writer.finish()
    content = json.loads((tmp_path / "annotations.json").read_text())
    assert content["images"][0] == {"id": 1, "file_name": "a.png", "height": 6, "width": 8}
    assert content["images"][1]["file_name"] == "b.tiff"
    first, second = content["annotations"]
    points = [{*zip(ring[::2], ring[1::2])} for ring in first["segmentation"]]
    assert points == [{(0, 0), (1, 0), (1, 1), (0, 1)}, {(1, 1), (2, 1), (2, 2), (1, 2)}]
    assert first["bbox"] == [0, 0, 2, 2]
    assert second["segmentation"]["size"] == [6, 8]
    assert second["area"] == 8
    assert content["categories"][0]["name"] == "nucleus"
