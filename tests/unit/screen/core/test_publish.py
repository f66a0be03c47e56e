"""Publishing a chunk all at once."""

from __future__ import annotations

import json
import os

import pytest
from screen_folders import finish_chunk, make_screen, row

from nucdl_core.errors import NucDLError
from nucdl_core.screen.core.plan import Chunk, ScreenError
from nucdl_core.screen.core.publish import check_files, describe_files, is_published, publish, read_manifest

ROWS = [row(number) for number in range(1, 5)]


@pytest.fixture
def finished(tmp_path):
    """A folder of a finished chunk, and the chunk."""
    folder, plan, (chunk,) = make_screen(tmp_path / "screen", ROWS, [4])
    finish_chunk(folder, plan, chunk, failed=(2,))
    return folder.result(chunk), chunk


def test_a_manifest_is_read_as_it_was_written(finished):
    result, chunk = finished
    manifest = read_manifest(result)
    assert (manifest.chunk, manifest.succeeded, manifest.failed) == (1, (1, 3, 4), 1)
    assert set(manifest.files) == {"Image.csv", "Nuclei.csv", "failed_image_sets.csv", "inspection.csv"}
    check_files(result, manifest)
    assert is_published(result, chunk)


def test_whoever_is_faster_publishes_and_the_other_changes_nothing(finished, tmp_path):
    result, _ = finished
    manifest, before = read_manifest(result), describe_files(result)
    other = tmp_path / "other"
    other.mkdir()
    (other / "Image.csv").write_text("another")
    assert not publish(other, manifest, result)
    assert describe_files(result) == before


def test_everything_is_on_the_disk_before_it_is_published(finished, tmp_path, monkeypatch):
    result, _ = finished
    manifest, folder, target = read_manifest(result), tmp_path / "new", tmp_path / "target"
    (folder / "labels").mkdir(parents=True)
    for name in ("Image.csv", "labels/a.tif"):
        (folder / name).write_text("x")
    names = {os.stat(path).st_ino: path.name for path in (folder, *folder.rglob("*"))}
    steps = []
    sync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append(names.get(os.fstat(file).st_ino, "?")), sync(file)))
    monkeypatch.setattr(os, "rename", lambda old, new: (steps.append("rename"), rename(old, new)))
    assert publish(folder, manifest, target)
    # The two without a name are the manifest, which is written then, and the folder around the published one.
    assert set(steps[:4]) == {"Image.csv", "a.tif", "labels", "new"}
    assert steps[4:] == ["?", "new", "rename", "?"]


def test_a_folder_that_cannot_be_published_is_an_error(finished, tmp_path):
    result, _ = finished
    (tmp_path / "file").touch()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(NucDLError, match="cannot be made"):
        publish(other, read_manifest(result), tmp_path / "file" / "000001")
    with pytest.raises(NucDLError, match="cannot be published"):
        publish(other, read_manifest(result), tmp_path / "file")


@pytest.mark.parametrize("damage", ["no manifest", "cut", "smaller", "gone", "another chunk"])
def test_what_is_not_whole_does_not_count_as_published(finished, damage):
    result, chunk = finished
    if damage == "no manifest":
        (result / "manifest.json").unlink()
    elif damage == "cut":
        (result / "manifest.json").write_text((result / "manifest.json").read_text()[:100])
    elif damage == "smaller":
        (result / "Image.csv").write_text("")
    elif damage == "gone":
        (result / "Nuclei.csv").unlink()
    else:
        chunk = Chunk(2, 5, 4)
    assert not is_published(result, chunk)


@pytest.mark.parametrize(
    "change",
    [{"format": 9}, {"succeeded": [1, 2, 9]}, {"succeeded": [3, 1]}, {"failed": 3}, {"more": 1}, {"files": 3}],
)
def test_a_manifest_that_contradicts_itself_is_refused(finished, change):
    path = finished[0] / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ScreenError, match=r"manifest\.json was altered"):
        read_manifest(finished[0])


@pytest.mark.parametrize("text", ["", "[1]", "[" * 100_000])
def test_a_manifest_that_is_no_mapping_is_refused(finished, text):
    (finished[0] / "manifest.json").write_text(text)
    with pytest.raises(ScreenError, match=r"manifest\.json was altered"):
        read_manifest(finished[0])


def test_a_missing_manifest_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(ScreenError, match="the chunk is missing; resume"):
        read_manifest(tmp_path)


def test_a_link_among_the_results_is_refused(tmp_path):
    (tmp_path / "Image.csv").symlink_to("/etc/passwd")
    with pytest.raises(ScreenError, match="is a link"):
        describe_files(tmp_path)
