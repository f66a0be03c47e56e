"""Images and label images are read strictly."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from nucdl_core.errors import ImageError
from nucdl_core.files import decoding, reading

NOISE = np.random.default_rng(4).integers(0, 4096, (40, 30)).astype(np.uint16)


def save(path, array, **options):
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, **options)
    else:
        Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("name", ["a.tif", "a.png", "wörld # 100% + [b];'.tif"])
def test_a_16_bit_image_is_read_as_it_is(tmp_path, name):
    image = reading.read_image(save(tmp_path / name, NOISE))
    assert image.dtype == np.uint16
    assert np.array_equal(image, NOISE)
    assert np.array_equal(reading.read_image(str(tmp_path / name)), NOISE)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("u1", "u1"),
        ("u2", "u2"),
        ("u4", "u4"),
        ("u8", "u4"),
        ("i1", "u1"),
        ("i2", "u2"),
        ("i4", "u4"),
        ("i8", "u4"),
        ("f2", "f4"),
        ("f4", "f4"),
        ("f8", "f4"),
    ],
)
def test_types_become_unsigned_and_at_most_32_bits(tmp_path, stored, expected):
    array = np.arange(100).reshape(10, 10).astype(stored)
    image = reading.read_image(save(tmp_path / "a.tif", array))
    assert image.dtype == np.dtype(expected)
    assert np.array_equal(image, array)
    assert image.flags.writeable


def test_an_all_black_image_and_a_single_pixel_are_images(tmp_path):
    assert not reading.read_image(save(tmp_path / "a.tif", np.zeros((5, 6), np.uint16))).any()
    assert reading.read_image(save(tmp_path / "b.png", np.array([[3]], np.uint8))).tolist() == [[3]]


def test_the_content_and_not_the_name_tells_the_format(tmp_path):
    (tmp_path / "a.png").write_bytes(save(tmp_path / "a.tif", NOISE).read_bytes())
    assert np.array_equal(reading.read_image(tmp_path / "a.png"), NOISE)


def test_a_colour_image_becomes_the_mean_of_its_channels(tmp_path):
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[:, :, 2] = 90
    image = reading.read_image(save(tmp_path / "a.png", rgb))
    assert image.dtype == np.float32
    assert (image == 30).all()


def test_a_page_is_read_by_its_number(tmp_path):
    path = save(tmp_path / "a.tif", np.stack([NOISE, NOISE + 1]), photometric="minisblack")
    assert np.array_equal(reading.read_image(path, page=1), NOISE + 1)
    with pytest.raises(ImageError, match="several pages"):
        reading.read_image(path)


def test_a_page_of_a_format_without_pages_is_refused(tmp_path):
    path = save(tmp_path / "a.png", NOISE)
    assert np.array_equal(reading.read_image(path, page=0), NOISE)
    with pytest.raises(ImageError, match="no page 1"):
        reading.read_image(path, page=1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1, np.nan], [np.nan, 2]], np.float32), "2 pixels are NaN and 0 infinite"),
        (np.array([[1, np.inf], [-np.inf, 2]], np.float32), "0 pixels are NaN and 2 infinite"),
        (np.array([[1e300]], np.float64), "1 infinite"),
        (np.array([[2**40]], np.uint64), "highest pixel is 1099511627776"),
        (np.array([[2**40]], np.int64), "highest pixel is 1099511627776"),
    ],
)
def test_numbers_that_cannot_be_used_are_refused(tmp_path, array, message):
    path = save(tmp_path / "bad.tif", array)
    with pytest.raises(ImageError, match=f"bad.tif: .*{message}"):
        reading.read_image(path)


@pytest.mark.parametrize("array", [np.array([[0, -0.5]], np.float32), np.array([[9, -7]], np.int16)])
def test_negative_numbers_as_of_a_subtracted_background_are_kept(tmp_path, array):
    image = reading.read_image(save(tmp_path / "dark.tif", array))
    assert image.dtype == np.float32 and np.array_equal(image, array)


def test_a_float_image_of_both_signs_of_infinity_is_refused_although_they_cancel(tmp_path):
    path = save(tmp_path / "a.tif", np.array([[np.inf, -np.inf]], np.float32))
    with pytest.raises(ImageError, match="2 infinite"):
        reading.read_image(path)


@pytest.mark.parametrize("read", [reading.read_image, reading.read_labels])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello, world", "no image that can be read"),
        (b"II*\0", "damaged or cut off"),
        (b"\x89PNG\r\n\x1a\n", "damaged or cut off"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "damaged or cut off"),
    ],
)
def test_a_file_that_is_no_image_is_refused_by_name(tmp_path, read, content, message):
    path = tmp_path / "field 1.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=f"field 1.png: .*{message}"):
        read(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"gone.tif: there is no such file"):
        reading.read_image(tmp_path / "gone.tif")


def test_a_folder_and_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    for path in (tmp_path, tmp_path / "pipe.tif"):
        with pytest.raises(ImageError, match="a folder or a device"):
            reading.read_image(path)


def test_a_ring_of_links_is_refused(tmp_path):
    (tmp_path / "a.tif").symlink_to(tmp_path / "b.tif")
    (tmp_path / "b.tif").symlink_to(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a.tif: the file cannot be read"):
        reading.read_image(tmp_path / "a.tif")


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", NOISE)

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)  # The permissions themselves do not stop root.
    with pytest.raises(ImageError, match=r"a.tif: you have no permission to read the file"):
        reading.read_image(path)


def test_an_image_beyond_the_memory_is_refused(tmp_path, monkeypatch):
    def refuse(*_args):
        raise MemoryError

    monkeypatch.setattr(decoding, "read_tiff", refuse)
    with pytest.raises(ImageError, match="fit into memory"):
        reading.read_image(save(tmp_path / "a.tif", NOISE))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 3), np.float32), "whole numbers"),
        (np.array([[0, -1]], np.int16), "holds -1"),
        (np.array([[0, 2**31]], np.uint32), "holds 2147483648"),
        (np.zeros((3, 3, 3), np.uint8), "RGB"),
    ],
)
def test_a_file_that_is_no_label_image_is_refused(tmp_path, array, message):
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb" if array.ndim == 3 else "minisblack")
    with pytest.raises(ImageError, match=f"a.tif: .*{message}"):
        reading.read_labels(tmp_path / "a.tif")


def test_the_index_of_a_palette_is_the_label(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), "P")
    image.putpalette([200, 10, 30] * 4)
    image.save(tmp_path / "a.png")
    assert reading.read_labels(tmp_path / "a.png").tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("value, parts", [(255, 2), (65535, 2), (1, 3)])
def test_a_mask_of_several_nuclei_is_no_label_image_to_be_scored(tmp_path, value, parts):
    labels = np.zeros((20, 40), np.uint16)
    for part in range(parts):
        labels[5:15, 10 * part : 10 * part + 6] = value
    tifffile.imwrite(tmp_path / "a.tif", labels)
    with pytest.raises(ImageError, match=f"{value} is the only number, in {parts} separate parts.*number the nuclei"):
        reading.read_nuclei(tmp_path / "a.tif")


@pytest.mark.parametrize("value, parts", [(255, 1), (1, 2), (0, 0)])
def test_one_nucleus_even_in_two_pieces_is_a_label_image(tmp_path, value, parts):
    labels = np.zeros((20, 40), np.uint16)
    for part in range(parts):
        labels[5:15, 10 * part : 10 * part + 6] = value
    tifffile.imwrite(tmp_path / "a.tif", labels)
    assert np.array_equal(reading.read_nuclei(tmp_path / "a.tif"), labels)


def test_an_image_given_for_labels_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    for name, image in (
        ("dim", rng.integers(100, 200, (60, 60))),
        ("bright", rng.permutation(60 * 60).reshape(60, 60) + 1),
    ):
        tifffile.imwrite(tmp_path / f"{name}.tif", image.astype(np.uint16))
        with pytest.raises(ImageError, match="numbers change from pixel to pixel, as in an image; give label images"):
            reading.read_nuclei(tmp_path / f"{name}.tif")


def test_many_nuclei_of_a_single_pixel_are_labels(tmp_path):
    points = np.zeros((60, 60), np.uint16)
    points[::2, ::2] = np.arange(1, 901).reshape(30, 30)
    tifffile.imwrite(tmp_path / "points.tif", points)
    assert np.array_equal(reading.read_nuclei(tmp_path / "points.tif"), points)
