"""Annotated images read for training."""

import logging

import numpy as np
import pytest
import tifffile
from drawings import disks

from nucdl_core.errors import ImageError
from nucdl_core.training.reading import check_nuclei, read_annotated, read_annotated_images, read_index

TWO = disks((40, 40), [(10, 10), (28, 28)], 6)


def write(folder, images=(), masks=()):
    """Write images and masks, each as (name, array)."""
    for kind, files in (("images", images), ("masks", masks)):
        (folder / kind).mkdir(exist_ok=True)
        for name, array in files:
            tifffile.imwrite(folder / kind / f"{name}.tif", array)
    return folder


def annotated(folder, *names):
    bright = (50 + 100 * (TWO > 0)).astype(np.uint8)
    return write(folder, [(name, bright) for name in names], [(name, TWO.astype(np.uint16)) for name in names])


def test_an_image_with_dark_nuclei_is_inverted(tmp_path):
    dark = (200 - 150 * (TWO > 0)).astype(np.uint8)
    image = read_annotated_images(write(tmp_path, [("a", dark)], [("a", TWO.astype(np.uint8))]))[0].pyramid[0][0, 0]
    assert image[10, 10] > 0.5 > image[0, 0]


def test_a_mask_without_image_is_refused_by_name(tmp_path):
    write(tmp_path, [("a", TWO.astype(np.uint8))], [("b", TWO.astype(np.uint16))])
    with pytest.raises(ImageError, match="b has no image of the same name in .*images, which holds a;"):
        read_annotated_images(tmp_path)


def test_images_without_mask_are_left_out_and_named(tmp_path, caplog):
    annotated(tmp_path, "a", "b")
    (tmp_path / "masks" / "a.tif").unlink()
    with caplog.at_level(logging.WARNING):
        assert [source.name for source in read_annotated_images(tmp_path)] == ["b"]
    assert "1 images have no mask and are left out: a" in caplog.text


def test_an_image_and_a_mask_of_different_shape_are_refused(tmp_path):
    write(tmp_path, [("a", np.ones((9, 9), np.uint8))], [("a", np.ones((9, 8), np.uint16))])
    with pytest.raises(ImageError, match="9 x 8 pixels.* 9 x 9"):
        read_annotated_images(tmp_path)


def test_a_mask_without_nuclei_is_refused_by_name(tmp_path):
    write(tmp_path, [("a", TWO.astype(np.uint8))], [("a", np.zeros((40, 40), np.uint16))])
    with pytest.raises(ImageError, match="the mask of a holds no nuclei"):
        read_annotated_images(tmp_path)


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_of_foreground_is_refused_where_it_has_several_parts(tmp_path, value):
    write(tmp_path, [("a", TWO.astype(np.uint8))], [("a", (value * (TWO > 0)).astype(np.uint8))])
    with pytest.raises(ImageError, match="--from binary"):
        read_annotated_images(tmp_path)


def test_a_mask_of_interior_and_boundary_is_refused():
    classes = disks((40, 40), [(10, 10), (28, 28)], 7) > 0
    classes = classes.astype(np.int32) + (TWO > 0)
    with pytest.raises(ImageError, match="a has 2 numbers for 4 separate parts, as if it told foreground, or interior"):
        check_nuclei("a", classes, None)


def test_a_mask_of_foreground_is_taken_from_whoever_says_so(tmp_path):
    write(tmp_path, [("a", TWO.astype(np.uint8))], [("a", (255 * (TWO > 0)).astype(np.uint8))])
    (source,) = read_annotated(tmp_path / "images", tmp_path / "masks", "binary")
    assert len(source.sizes) == 3


def test_many_nuclei_may_each_be_in_pieces():
    labels = np.zeros((20, 20), np.int32)
    for number in range(1, 5):
        labels[4 * number, 2] = labels[4 * number, 9] = number
    check_nuclei("a", labels, None)


def test_the_index_names_modality_and_group_of_an_image(tmp_path):
    annotated(tmp_path, "a", "b")
    (tmp_path / "index.csv").write_text("id,modality,cell_line\na,fluorescence,HeLa\n")
    first, second = read_annotated_images(tmp_path)
    assert (first.modality, first.group) == ("fluorescence", "HeLa")
    assert (second.modality, second.group) == ("", "")


def test_an_index_in_the_folder_of_the_images_comes_first(tmp_path):
    annotated(tmp_path, "a")
    (tmp_path / "index.csv").write_text("id,group\na,beside\n")
    (tmp_path / "images" / "index.csv").write_text("id,group\na,inside\n")
    assert read_index(tmp_path / "images")["a"]["group"] == "inside"


def test_an_index_without_names_of_images_is_refused(tmp_path):
    annotated(tmp_path, "a")
    (tmp_path / "index.csv").write_text("image,group\na,x\n")
    with pytest.raises(ImageError, match="has the columns image, group; one called id must name the images"):
        read_annotated_images(tmp_path)


def test_an_index_that_is_no_text_is_refused(tmp_path):
    annotated(tmp_path, "a")
    (tmp_path / "index.csv").write_bytes(b"id\n\xff\xfe")
    with pytest.raises(ImageError, match="cannot be read as a table"):
        read_annotated_images(tmp_path)


def test_an_index_with_more_values_than_columns_is_refused_if_none_names_images(tmp_path):
    annotated(tmp_path, "a")
    (tmp_path / "index.csv").write_text("image,group\na,x,y\n")
    with pytest.raises(ImageError, match="has the columns image, group; one called id must name the images"):
        read_annotated_images(tmp_path)


def test_an_index_that_names_none_of_the_images_is_told(tmp_path, caplog):
    annotated(tmp_path, "a")
    (tmp_path / "index.csv").write_text("id,group\na.tif,x\n")
    with caplog.at_level(logging.WARNING):
        read_annotated_images(tmp_path)
    assert "index.csv names a.tif in the column id, and none of the images (a)" in caplog.text


def test_an_image_that_is_the_same_everywhere_is_refused(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", np.full((40, 40), 7, np.uint8))
    tifffile.imwrite(tmp_path / "masks" / "a.tif", np.pad(np.ones((9, 9), np.uint16), (0, 31)))
    with pytest.raises(ImageError, match=r"a\.tif is 7 everywhere"):
        read_annotated_images(tmp_path)
