"""Files: strict reading, atomic writing, listing of folders."""

from __future__ import annotations

import hashlib
import json
import os
import stat

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from nucdl_core import large
from nucdl_core.errors import ImageError, NucDLError
from nucdl_core.files import decoding as pictures
from nucdl_core.files import folders, writing
from nucdl_core.files import reading as files

NOISE = np.random.default_rng(4).integers(0, 4096, (40, 30)).astype(np.uint16)


def save(path, array, **options):
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, **options)
    else:
        Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize("name", ["a.tif", "a.png", "wörld # 100% + [b];'.tif"])
def test_a_16_bit_image_is_read_as_it_is(tmp_path, name):
    image = files.read_image(save(tmp_path / name, NOISE))
    assert image.dtype == np.uint16
    assert np.array_equal(image, NOISE)
    assert np.array_equal(files.read_image(str(tmp_path / name)), NOISE)


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
    image = files.read_image(save(tmp_path / "a.tif", array))
    assert image.dtype == np.dtype(expected)
    assert np.array_equal(image, array)
    assert image.flags.writeable


def test_an_all_black_image_and_a_single_pixel_are_images(tmp_path):
    assert not files.read_image(save(tmp_path / "a.tif", np.zeros((5, 6), np.uint16))).any()
    assert files.read_image(save(tmp_path / "b.png", np.array([[3]], np.uint8))).tolist() == [[3]]


def test_the_content_and_not_the_name_tells_the_format(tmp_path):
    (tmp_path / "a.png").write_bytes(save(tmp_path / "a.tif", NOISE).read_bytes())
    assert np.array_equal(files.read_image(tmp_path / "a.png"), NOISE)


def test_a_colour_image_becomes_the_mean_of_its_channels(tmp_path):
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[:, :, 2] = 90
    image = files.read_image(save(tmp_path / "a.png", rgb))
    assert image.dtype == np.float32
    assert (image == 30).all()


def test_a_page_is_read_by_its_number(tmp_path):
    path = save(tmp_path / "a.tif", np.stack([NOISE, NOISE + 1]), photometric="minisblack")
    assert np.array_equal(files.read_image(path, page=1), NOISE + 1)
    with pytest.raises(ImageError, match="several pages"):
        files.read_image(path)


def test_a_page_of_a_format_without_pages_is_refused(tmp_path):
    path = save(tmp_path / "a.png", NOISE)
    assert np.array_equal(files.read_image(path, page=0), NOISE)
    with pytest.raises(ImageError, match="no page 1"):
        files.read_image(path, page=1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1, np.nan], [np.nan, 2]], np.float32), "2 pixels are NaN and 0 infinite"),
        (np.array([[1, np.inf], [-np.inf, 2]], np.float32), "0 pixels are NaN and 2 infinite"),
        (np.array([[1e300]], np.float64), "1 infinite"),
        (np.array([[0, -0.5]], np.float32), "lowest pixel is -0.5"),
        (np.array([[0, -7]], np.int16), "lowest pixel is -7"),
        (np.array([[2**40]], np.uint64), "highest pixel is 1099511627776"),
        (np.array([[2**40]], np.int64), "highest pixel is 1099511627776"),
    ],
)
def test_numbers_that_cannot_be_used_are_refused(tmp_path, array, message):
    path = save(tmp_path / "bad.tif", array)
    with pytest.raises(ImageError, match=f"bad.tif: .*{message}"):
        files.read_image(path)


def test_a_float_image_of_both_signs_of_infinity_is_refused_although_they_cancel(tmp_path):
    path = save(tmp_path / "a.tif", np.array([[np.inf, -np.inf]], np.float32))
    with pytest.raises(ImageError, match="2 infinite"):
        files.read_image(path)


@pytest.mark.parametrize("read", [files.read_image, files.read_labels])
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
        files.read_image(tmp_path / "gone.tif")


def test_a_folder_and_a_pipe_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    for path in (tmp_path, tmp_path / "pipe.tif"):
        with pytest.raises(ImageError, match="a folder or a device"):
            files.read_image(path)


def test_a_ring_of_links_is_refused(tmp_path):
    (tmp_path / "a.tif").symlink_to(tmp_path / "b.tif")
    (tmp_path / "b.tif").symlink_to(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a.tif: the file cannot be read"):
        files.read_image(tmp_path / "a.tif")


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "a.tif", NOISE)

    def refuse(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)  # The permissions themselves do not stop root.
    with pytest.raises(ImageError, match=r"a.tif: you have no permission to read the file"):
        files.read_image(path)


def test_an_image_beyond_the_memory_is_refused(tmp_path, monkeypatch):
    def refuse(*_args):
        raise MemoryError

    monkeypatch.setattr(pictures, "read_tiff", refuse)
    with pytest.raises(ImageError, match="fit into memory"):
        files.read_image(save(tmp_path / "a.tif", NOISE))


@pytest.mark.parametrize("highest", [0, 200, 65_535, 65_536, 2**31 - 1])
def test_labels_that_are_written_are_read_again(tmp_path, highest):
    labels = np.array([[0, 1, 2], [5, 5, highest]], np.int32)
    writing.write_labels(tmp_path / "a_labels.tif", labels)
    again = files.read_labels(tmp_path / "a_labels.tif")
    assert again.dtype == np.int32
    assert np.array_equal(again, labels)
    other = tifffile.imread(tmp_path / "a_labels.tif")
    assert other.dtype == (np.uint16 if highest < 65_536 else np.uint32)
    assert np.array_equal(other, labels)


def test_label_files_have_the_same_bytes_every_time(tmp_path):
    for name in ("a", "b"):
        writing.write_labels(tmp_path / name, NOISE.astype(np.int32))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("most", [7, 70_000])
def test_a_large_label_image_is_written_in_tiles_and_read_back_unchanged(tmp_path, monkeypatch, most):
    labels = (np.arange(1300 * 700).reshape(1300, 700) % (most + 1)).astype(np.int32)
    monkeypatch.setattr(large, "FILE_BYTES", 1_000_000)
    writing.write_labels(tmp_path / "a.tif", labels)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.pages[0].is_tiled
        assert tiff.pages[0].dtype == (np.uint16 if most < 65536 else np.uint32)
    assert np.array_equal(files.read_labels(tmp_path / "a.tif"), labels)


def test_a_large_label_image_without_nuclei_is_no_bomb(tmp_path):
    writing.write_labels(tmp_path / "a.tif", np.zeros((9000, 9000), np.int32))
    assert (tmp_path / "a.tif").stat().st_size < 2**27 / 250
    assert not files.read_labels(tmp_path / "a.tif").any()


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
        files.read_labels(tmp_path / "a.tif")


def test_the_index_of_a_palette_is_the_label(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8), "P")
    image.putpalette([200, 10, 30] * 4)
    image.save(tmp_path / "a.png")
    assert files.read_labels(tmp_path / "a.png").tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("labels", [np.zeros((0, 5), np.int32), np.zeros((2, 2, 2), np.int32), np.zeros((2, 2))])
def test_what_is_no_label_image_is_not_written(tmp_path, labels):
    with pytest.raises(ImageError):
        writing.write_labels(tmp_path / "a.tif", labels)
    assert not list(tmp_path.iterdir())


def test_json_takes_numpy_paths_and_turns_nan_to_null(tmp_path):
    content = {
        "a": np.float32(0.5),
        "b": np.arange(2),
        "c": float("nan"),
        "d": tmp_path,
        "e": (np.inf, True, None),
        1: "ü",
    }
    writing.write_json(tmp_path / "run.json", content)
    expected = {"a": 0.5, "b": [0, 1], "c": None, "d": str(tmp_path), "e": [None, True, None], "1": "ü"}
    assert json.loads((tmp_path / "run.json").read_text("ascii")) == expected


def test_json_of_something_else_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        writing.write_json(tmp_path / "run.json", {"a": object()})
    assert not list(tmp_path.iterdir())


def test_a_table_round_trips(tmp_path):
    table = pd.DataFrame({"image": ["wörld", "b,c"], "mean_f1": [0.1 + 0.2, 1.0], "n_truth": [3, 0]})
    writing.write_table(tmp_path / "a.csv", table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.csv"), table)


def test_a_file_name_that_is_no_utf_8_keeps_its_bytes_in_a_table(tmp_path):
    writing.write_table(tmp_path / "a.csv", pd.DataFrame({"image": [os.fsdecode(b"\xff.tif")]}))
    assert (tmp_path / "a.csv").read_bytes() == b"image\n\xff.tif\n"


def test_a_png_round_trips(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    writing.write_png(tmp_path / "a.png", rgb)
    assert np.array_equal(np.array(Image.open(tmp_path / "a.png")), rgb)


@pytest.mark.parametrize("array", [np.zeros((4, 5, 3)), np.zeros((4, 5, 4), np.uint8), np.zeros((0, 5, 3), np.uint8)])
def test_what_is_no_picture_is_not_written(tmp_path, array):
    with pytest.raises(ImageError, match=r"uint8 \(H, W, 3\)"):
        writing.write_png(tmp_path / "a.png", array)


def test_a_new_file_replaces_the_old_one_and_has_usual_permissions(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    path.chmod(0o600)
    umask = os.umask(0o022)
    try:
        writing.write_json(path, 1)
    finally:
        os.umask(umask)
    assert path.read_text() == "1\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    writing.write_json(path, 1)

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NucDLError, match=r"a.json: cannot be written \(No space left on device\)"):
        writing.write_json(path, 2)
    assert path.read_text() == "1\n"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_writing_into_a_folder_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for folder in ("gone", "file"):
        with pytest.raises(NucDLError, match="cannot be written"):
            writing.write_json(tmp_path / folder / "a.json", 1)


def test_the_longest_possible_name_can_be_written(tmp_path):
    writing.write_json(tmp_path / ("a" * 255), 1)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_made_with_its_parents(tmp_path):
    writing.make_folder(tmp_path / "a" / "b")
    writing.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(NucDLError, match="file: the folder cannot be made"):
        writing.make_folder(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a/b.tif", "b"), ("b_labels.tif", "b"), ("b.ome.tiff", "b.ome"), ("b_labels.png", "b"), ("labels.tif", "labels")],
)
def test_the_stem_is_what_image_and_labels_have_in_common(name, stem):
    assert folders.image_stem(name) == stem


def test_a_folder_stands_for_its_images(tmp_path):
    names = [
        "b.tif",
        "a.TIF",
        "c.png",
        ".hidden.tif",
        "~$c.png",
        "notes.txt",
        "a_labels.tif",
        "d.tif~",
        "e.jpeg",
        "f.tmp",
    ]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "folder.tif").mkdir()
    assert [file.name for file in folders.image_files([tmp_path])] == ["a.TIF", "b.tif", "c.png", "e.jpeg"]


def test_files_are_kept_in_order_and_once(tmp_path):
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).touch()
    gone = tmp_path / "gone.tif"
    listed = folders.image_files([str(tmp_path / "b.tif"), tmp_path, gone])
    assert listed == [tmp_path / "b.tif", tmp_path / "a.tif", gone]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "a_labels.tif").touch()
    with pytest.raises(ImageError, match="the folder has no images"):
        folders.image_files([tmp_path])


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path):
    with pytest.raises(ImageError, match="gone: the folder cannot be read"):
        folders.list_folder(tmp_path / "gone")


def test_the_sha256_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert writing.file_sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    with pytest.raises(NucDLError, match="b: cannot be read"):
        writing.file_sha256(tmp_path / "b")
