"""A folder is replaced as a whole, whatever happens to the run that replaces it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from filelock import FileLock
from killed_runs import fill, killed_runs

from nucdl_core.errors import NucDLError
from nucdl_core.files import writing
from nucdl_core.files.writing import replaced_folder, restore_folder

OLD = {"a": "old", "b/c": "old"}
NEW = {"a": "new", "d/e": "new"}


def content(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def target(tmp_path):
    """A finished folder, alone in another one."""
    folder = tmp_path / "place" / "result"
    folder.mkdir(parents=True)
    fill(folder, OLD)
    return folder


def replace(target, *options):
    with replaced_folder(target, *options) as folder:
        fill(folder, NEW)


def test_the_new_folder_takes_the_place_of_the_old_one(target):
    with replaced_folder(target) as folder:
        fill(folder, NEW)
        assert content(target) == OLD
        assert folder.parent.parent == target.parent
    assert content(target) == NEW
    assert [path.name for path in target.parent.iterdir()] == ["result"]


def test_a_folder_that_is_not_there_is_made_with_its_parents(tmp_path):
    replace(tmp_path / "a" / "b")
    assert content(tmp_path / "a" / "b") == NEW


def test_a_link_goes_on_leading_to_the_folder(target):
    link = target.parent / "link"
    link.symlink_to(target)
    replace(link)
    assert link.is_symlink()
    assert content(target) == NEW


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_folder_and_nothing_else(target, error):
    with pytest.raises(error), replaced_folder(target) as folder:
        fill(folder, NEW)
        raise error
    assert content(target) == OLD
    assert [path.name for path in target.parent.iterdir()] == ["result"]


def test_what_is_not_replaced_is_kept(target):
    (target / "b" / "link").symlink_to("nowhere")
    (target / "empty").mkdir()
    replace(target, lambda path: path.name == "a")
    assert content(target) == {**NEW, "b/c": "old"}
    assert os.readlink(target / "b" / "link") == "nowhere"
    assert (target / "empty").is_dir()


def test_what_is_kept_is_copied_where_there_are_no_hard_links(target, monkeypatch):
    def refuse(*_args, **_options):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    replace(target, lambda path: path.name == "a")
    assert content(target) == {**NEW, "b/c": "old"}


def test_a_rename_that_fails_brings_the_old_folder_back(target, monkeypatch):
    rename = os.rename

    def fail(source, destination):
        if Path(destination) == target and content(Path(source)) == NEW:
            raise OSError(5, "Input/output error")
        rename(source, destination)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(NucDLError, match=r"result: cannot be replaced \(Input/output error\)"):
        replace(target)
    assert content(target) == OLD


def test_an_old_folder_that_cannot_be_brought_back_is_kept_until_it_can(target, monkeypatch):
    rename = os.rename

    def fail(source, destination):
        if Path(destination) == target:
            raise OSError(5, "Input/output error")
        rename(source, destination)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail)
        for attempt in (replace, restore_folder):
            with pytest.raises(NucDLError, match=r"result: cannot be replaced \(Input/output error\)"):
                attempt(target)
    restore_folder(target)
    assert content(target) == OLD
    assert [path.name for path in target.parent.iterdir()] == ["result"]


def test_a_file_a_disk_and_the_folder_of_the_shell_are_refused_before_the_work(target, monkeypatch):
    with pytest.raises(NucDLError, match="is a file"):
        replace(target / "a")
    with monkeypatch.context() as patch:
        patch.chdir(target / "b")
        with pytest.raises(NucDLError, match="this command runs in"):
            replace(target)
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    with pytest.raises(NucDLError, match="is a mounted disk"):
        replace(target)
    assert content(target) == OLD


def test_two_runs_do_not_replace_the_same_folder(target):
    with replaced_folder(target) as folder:
        with pytest.raises(NucDLError, match="another run is writing this folder"):
            replace(target)
        fill(folder, NEW)
    assert content(target) == NEW


@pytest.mark.parametrize("remade", [False, True])
def test_a_lock_on_a_file_that_another_run_has_removed_is_none(target, monkeypatch, remade):
    acquire, kept = FileLock.acquire, []

    def acquire_late(lock, **options):
        held = acquire(lock, **options)
        # What another run does that ends just now, and a third one that begins.
        path = Path(lock.lock_file)
        kept.append(os.open(path, os.O_RDONLY))
        path.unlink()
        if remade:
            path.touch()
        return held

    with monkeypatch.context() as patch:
        patch.setattr(FileLock, "acquire", acquire_late)
        with pytest.raises(NucDLError, match="another run is writing this folder"):
            replace(target)
    os.close(*kept)
    assert content(target) == OLD
    replace(target)
    assert content(target) == NEW


def test_a_run_that_is_killed_leaves_the_old_folder_or_the_new_one(target):
    def prepare():
        replace_all(target, OLD)

    seen, gaps = [], 0
    for _ in killed_runs(target, NEW, prepare):
        gap = not target.exists()
        gaps += gap
        restore_folder(target)
        seen.append(content(target))
        assert seen[-1] in (OLD, NEW)
        assert not gap or seen[-1] == OLD
    assert gaps == 1
    # First the old one, and from one step on the new one.
    assert OLD in seen and seen == sorted(seen, key=lambda files: files == NEW)


def replace_all(target, files):
    with replaced_folder(target) as folder:
        fill(folder, files)


def test_the_next_run_removes_what_killed_ones_have_left(target):
    for _ in killed_runs(target, NEW, lambda: None):
        replace_all(target, OLD)
        assert content(target) == OLD
        assert [path.name for path in target.parent.iterdir()] == ["result"]


def test_a_killed_run_for_a_new_folder_leaves_none_or_all_of_it(tmp_path):
    target = tmp_path / "place" / "result"
    target.parent.mkdir()

    def prepare():
        if target.exists():
            os.rename(target, tmp_path / f"result_{len(list(tmp_path.iterdir()))}")

    for _ in killed_runs(target, NEW, prepare):
        restore_folder(target)
        assert not target.exists() or content(target) == NEW


def test_a_half_deleted_old_folder_is_never_brought_back(target, monkeypatch):
    removed = []
    monkeypatch.setattr(writing.shutil, "rmtree", lambda path, **_: removed.append(Path(path).name))
    replace(target)
    assert "old" not in removed
    assert not list(target.parent.glob(".*/old"))


def test_a_disk_that_cannot_lock_files_is_told_and_keeps_the_folder(target, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(NucDLError, match="result: cannot be replaced .*(cannot lock files|not implemented)"):
        replace(target)
    assert content(target) == OLD
