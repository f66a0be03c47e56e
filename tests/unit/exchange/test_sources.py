"""Names and sizes of annotated images, and files read as a whole."""

import os

import numpy as np
import pytest

from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.exchange import texts
from nucdl_core.exchange.sources import ImageSizes, annotation_stem, named_image
from nucdl_core.files.writing import write_png


@pytest.mark.parametrize(
    "name",
    ["a_RoiSet.zip", "a_ROIs.zip", "a.roi", "a_labels.tif", "a_stack.tif", "a_binary.png", "a.tif.geojson", "a.json"],
)
def test_the_name_of_the_image_is_found(name):
    assert annotation_stem(f"folder.x/{name}") == "a"


def test_a_file_that_is_called_like_an_image_belongs_to_it():
    assert annotation_stem("cells_stack.zip", {"cells_stack"}) == "cells_stack"


def test_points_in_names_are_kept():
    assert named_image("C:\\plate\\A01.f2.TIF") == named_image("/plate/A01.f2") == "A01.f2"
    assert annotation_stem("plate.A01.f2_RoiSet.zip") == "plate.A01.f2"
    assert annotation_stem("_labels.tif") == "_labels"


def test_sizes_come_from_images_and_then_from_the_size(tmp_path):
    write_png(tmp_path / "a.png", np.zeros((3, 4), np.uint8))
    sizes = ImageSizes.of(tmp_path, (8, 9))
    assert sizes.shape_of("a") == (3, 4)
    assert sizes.shape_of("b") == (8, 9)
    with pytest.raises(ImageError, match=r"for an image of 4 x 3 pixels, .*a\.png is 3 x 4"):
        sizes.shape_of("a", (4, 3))
    with pytest.raises(ImageError, match="do not say how large the image a is"):
        ImageSizes.of().shape_of("a")


def test_sizes_without_or_with_too_many_pixels_are_refused():
    with pytest.raises(ConfigError, match="of at least 1 pixel"):
        ImageSizes(size=(0, 4))
    with pytest.raises(ImageError, match="more than the limit"):
        ImageSizes().shape_of("a", (10**6, 10**6))


def test_two_images_of_one_name_are_refused(tmp_path):
    for suffix in ("png", "bmp"):
        (tmp_path / f"a.{suffix}").write_bytes(b"x")
    with pytest.raises(ImageError, match="rename one"):
        ImageSizes.of(tmp_path)


def test_files_that_cannot_be_read_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ImageError, match="no such file"):
        texts.read_bytes(tmp_path / "gone.json")
    with pytest.raises(ImageError, match="a folder or a device"):
        texts.read_bytes(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageError, match="a folder or a device"):
        texts.read_bytes(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    with pytest.raises(ImageError, match="the file is empty"):
        texts.read_bytes(tmp_path / "empty")
    (tmp_path / "large").write_bytes(bytes(20))
    monkeypatch.setattr(texts, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="has 20 bytes, the limit is 10"):
        texts.read_bytes(tmp_path / "large")


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"1")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(ImageError, match="cannot be read .Permission denied."):
        texts.read_bytes(tmp_path / "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"a": ', "no JSON"), (b"\xff\xfe", "no JSON"), (b"[" * 200_000, "nested too deeply|no JSON")],
)
def test_what_is_no_json_is_refused(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ImageError, match=message):
        texts.read_json(tmp_path / "x.json")


def test_tables_may_have_other_separators_and_a_byte_order_mark(tmp_path):
    (tmp_path / "x.csv").write_bytes("\ufeffX; Y\n1;2\n".encode())
    assert texts.read_text_table(tmp_path / "x.csv", ["x", "y"])["y"].tolist() == ["2"]
