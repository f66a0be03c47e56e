"""Label images out of annotations of any format, for other parts of the program."""

import logging

import numpy as np
import pytest

import nucdl_core.exchange
from nucdl_core.errors import ImageError
from nucdl_core.exchange import read_annotations
from nucdl_core.exchange.formats import FORMATS, WriteOptions
from nucdl_core.exchange.objects import objects_of
from nucdl_core.files.writing import write_labels, write_png

EXACT = ("labels", "rois", "masks", "coco", "geojson", "stack", "outlines")


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    write_png(tmp_path / "images" / "a.png", np.zeros((24, 30), np.uint8))
    return tmp_path / "images"


@pytest.mark.parametrize("kind", EXACT)
def test_label_images_come_out_of_every_format(tmp_path, images, peculiar, kind):
    writer = FORMATS[kind].write(tmp_path / "in", WriteOptions())
    (tmp_path / "in").mkdir()
    writer.add(objects_of("a", peculiar))
    writer.finish()
    found = read_annotations(tmp_path / "in", images)
    assert list(found) == ["a"]
    assert np.array_equal(found["a"], peculiar)
    assert found["a"].dtype == np.int32


def test_overlaps_are_told_in_the_log(tmp_path, overlapping, caplog):
    FORMATS["geojson"].write(tmp_path, WriteOptions()).add(overlapping)
    with caplog.at_level(logging.WARNING):
        read_annotations(tmp_path / "field.geojson")
    assert "field: 8 pixels belong to several objects" in caplog.text


def test_what_cannot_be_read_is_an_error_with_the_name_of_the_file(tmp_path, peculiar):
    (tmp_path / "a.roi").write_bytes(b"no ROI")
    with pytest.raises(ImageError, match=r"a\.roi: the annotations do not say|a\.roi: this is no ImageJ ROI"):
        read_annotations(tmp_path / "a.roi")
    with pytest.raises(ImageError, match=r"b\.json: there is no such file"):
        read_annotations(tmp_path / "b.json")
    with pytest.raises(ImageError, match=r"b\.tif: there is no such file"):
        read_annotations(tmp_path / "b.tif")


def test_annotations_of_one_image_in_two_files_are_refused(tmp_path, images, peculiar):
    for name in ("a_stack.tif", "a_labels.tif"):
        write_labels(tmp_path / name, peculiar)
    with pytest.raises(ImageError, match="the image a has annotations already"):
        read_annotations(tmp_path, images)


def test_a_label_image_of_another_size_than_its_image_is_refused(tmp_path, images):
    write_labels(tmp_path / "a.tif", np.eye(4, dtype=np.int32))
    with pytest.raises(ImageError, match=r"a\.png is 24 x 30"):
        read_annotations(tmp_path / "a.tif", images, "labels")


def test_the_package_has_nothing_else_to_take():
    with pytest.raises(AttributeError, match="has no attribute 'write_annotations'"):
        nucdl_core.exchange.write_annotations  # noqa: B018
