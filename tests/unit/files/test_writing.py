"""Files are written completely or not at all, and read back as they were."""

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
from nucdl_core.files import reading, writing

NOISE = np.random.default_rng(4).integers(0, 4096, (40, 30)).astype(np.uint16)


@pytest.mark.parametrize("highest", [0, 200, 65_535, 65_536, 2**31 - 1])
def test_labels_that_are_written_are_read_again(tmp_path, highest):
    labels = np.array([[0, 1, 2], [5, 5, highest]], np.int32)
    writing.write_labels(tmp_path / "a_labels.tif", labels)
    again = reading.read_labels(tmp_path / "a_labels.tif")
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
    assert np.array_equal(reading.read_labels(tmp_path / "a.tif"), labels)


def test_a_large_label_image_without_nuclei_is_no_bomb(tmp_path):
    writing.write_labels(tmp_path / "a.tif", np.zeros((9000, 9000), np.int32))
    assert (tmp_path / "a.tif").stat().st_size < 2**27 / 250
    assert not reading.read_labels(tmp_path / "a.tif").any()


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


def test_the_sha256_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert writing.file_sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    with pytest.raises(NucDLError, match="b: cannot be read"):
        writing.file_sha256(tmp_path / "b")
