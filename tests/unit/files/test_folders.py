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
