"""Which files of a folder are images, and which belong together."""

from __future__ import annotations

import pytest

from nucdl_core.errors import ImageError
from nucdl_core.files import folders


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


def test_images_that_cannot_be_read_are_named_and_the_others_listed(tmp_path, caplog):
    for name in ("a.tif", "b.czi", "c.ND2", "d.stk", "e.lif", "f.btf", "notes.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in folders.image_files([tmp_path])] == ["a.tif", "f.btf"]
    assert "4 files are left out, since they cannot be read (b.czi, c.ND2, d.stk); nucdl segment reads" in caplog.text
    assert caplog.text.strip().endswith('with pip install "nucdl[nd2]"; export them as TIFF')


def test_a_folder_of_images_that_cannot_be_read_names_them(tmp_path):
    (tmp_path / "b.czi").touch()
    with pytest.raises(
        ImageError, match=r"has no images .*; 1 files are left out, since they cannot be read \(b.czi\)"
    ):
        folders.image_files([tmp_path])


def test_folders_in_a_folder_count_on_request_but_hidden_ones_do_not(tmp_path):
    for name in ("a.tif", "in/b.tif", "in/deep/c.tif", ".hidden/d.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [file.name for file in folders.image_files([tmp_path])] == ["a.tif"]
    assert [file.name for file in folders.image_files([tmp_path], recursive=True)] == ["a.tif", "b.tif", "c.tif"]


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
