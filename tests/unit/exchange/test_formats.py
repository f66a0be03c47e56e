"""Formats are recognized where that is certain, and asked for where it is not."""

import json

import numpy as np
import pytest

from nucdl_core.cli.convert import FORMAT_NAMES
from nucdl_core.errors import ImageError
from nucdl_core.exchange.formats import FORMATS, WriteOptions, find_sources, recognized
from nucdl_core.exchange.objects import objects_of
from nucdl_core.files.writing import write_labels

NUCLEI = np.kron(np.diag([1, 2, 3]), np.ones((4, 4))).astype(np.int32) * np.eye(12, dtype=np.int32)


@pytest.fixture
def written(tmp_path):
    def go(kind, overlapping=None):
        folder = tmp_path / kind
        folder.mkdir()
        writer = FORMATS[kind].write(folder, WriteOptions(cut_touching=True))
        writer.add(overlapping or objects_of("field", NUCLEI))
        writer.finish()
        return folder

    return go


def test_the_command_offers_every_format():
    assert tuple(FORMATS) == FORMAT_NAMES


@pytest.mark.parametrize("kind", list(FORMATS))
def test_what_is_written_is_recognized(written, overlapping, kind):
    folder = written(kind, overlapping)
    (source,) = find_sources([folder])
    assert source.format() is FORMATS[kind]
    assert find_sources([folder], kind)[0].path == source.path


@pytest.mark.parametrize("kind", list(FORMATS))
def test_a_folder_without_files_of_the_format_is_an_error(tmp_path, kind):
    with pytest.raises(ImageError, match="the folder has no"):
        find_sources([tmp_path], kind)


def test_the_results_of_segment_are_label_images(tmp_path):
    write_labels(tmp_path / "a_labels.tif", NUCLEI)
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "objects.csv").write_text("ImageNumber\n")
    (tmp_path / "images.csv").write_text("ImageNumber\n")
    (source,) = find_sources([tmp_path])
    assert recognized(source.path) == "labels"


def test_a_folder_of_several_formats_must_be_named(tmp_path):
    write_labels(tmp_path / "a.tif", NUCLEI)
    (tmp_path / "a_RoiSet.zip").write_bytes(b"PK")
    with pytest.raises(ImageError, match=r"annotations of several formats \(a.tif, a_RoiSet.zip\).*--from"):
        find_sources([tmp_path])
    assert [source.path.name for source in find_sources([tmp_path], "rois")] == ["a_RoiSet.zip"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    with pytest.raises(ImageError, match="the folder cannot be read .Permission denied."):
        find_sources([tmp_path], "rois")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("x.json", {"type": "FeatureCollection", "features": []}, "geojson"),
        ("x.json", {"images": [], "annotations": []}, "coco"),
        ("x.csv", "x\ty\twidth\theight\n", "boxes"),
        ("x.csv", "object,vertex,x,y\n", "outlines"),
    ],
)
def test_the_content_tells_the_format(tmp_path, name, content, kind):
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    assert recognized(tmp_path / name) == kind


@pytest.mark.parametrize(("name", "content"), [("x.json", "{}"), ("x.csv", "a,b\n1,2\n"), ("x.doc", "?")])
def test_what_is_not_certain_is_asked_for_with_the_list_of_formats(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(ImageError, match=r"not certain; name it \(--from\). Formats are labels: .*outlines: "):
        recognized(tmp_path / name)


def test_folders_of_masks_are_found_one_by_one(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "masks").mkdir(parents=True)
    assert [source.path.name for source in find_sources([tmp_path])] == ["a", "b"]
    assert recognized(tmp_path / "a") == "masks"
    assert [source.kind for source in find_sources([tmp_path / "a"])] == ["masks"]
    assert [source.path.name for source in find_sources([tmp_path / "a"], "masks")] == ["a"]
