"""Where own models lie, and in which order they are found."""

import json
import os
import shutil
from pathlib import Path

import pytest

from nucdl_core.errors import BundleError, ConfigError, NucDLError
from nucdl_core.model import places
from nucdl_core.model.bundle import ZOO, find_bundle
from nucdl_core.model.places import (
    ModelPlace,
    add_model_folder,
    model_places,
    own_models,
    preferences_file,
    problem_of,
    problem_of_preferences,
    read_preferences,
    remove_model_folder,
)


@pytest.fixture(autouse=True)
def account(tmp_path, monkeypatch):
    """The folder of an account for settings, which does not exist yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "account"))
    monkeypatch.setattr(places, "preferences_file", lambda: tmp_path / "account" / "nucdl" / "preferences.json")
    return tmp_path / "account"


def looks_like_a_bundle(folder):
    """Make a folder with a description, of which nobody here reads the content."""
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text("{}")
    return folder


def name_in_variable(monkeypatch, *folders):
    monkeypatch.setenv("NUCDL_MODELS", os.pathsep.join(map(str, folders)))


def test_models_of_several_folders_are_found_by_the_names_of_their_folders(tmp_path, monkeypatch):
    first, second = (looks_like_a_bundle(tmp_path / "models" / name) for name in ("first", "second"))
    alone = looks_like_a_bundle(tmp_path / "elsewhere" / "alone")
    name_in_variable(monkeypatch, tmp_path / "models", alone)
    assert [find_bundle(name) for name in ("first", "second", "alone")] == [first, second, alone]
    assert [folder for folder, _ in own_models()] == [first, second, alone]


def test_a_model_that_was_added_is_found_until_it_is_removed(tmp_path):
    mine = looks_like_a_bundle(tmp_path / "models" / "mine")
    assert add_model_folder(tmp_path / "models")
    assert not add_model_folder(tmp_path / "models")
    assert find_bundle("mine") == mine
    remove_model_folder(tmp_path / "models")
    with pytest.raises(BundleError, match="'mine' is neither a bundled model"):
        find_bundle("mine")


def test_a_relative_folder_is_added_with_its_full_path(tmp_path, monkeypatch):
    looks_like_a_bundle(tmp_path / "models" / "mine")
    monkeypatch.chdir(tmp_path)
    add_model_folder("models/../models")
    assert read_preferences().model_folders == (str(tmp_path / "models"),)
    remove_model_folder("models")
    assert read_preferences().model_folders == ()


def test_of_two_models_of_one_name_that_of_the_variable_counts_and_the_first_folder_of_it(tmp_path, monkeypatch):
    folders = [looks_like_a_bundle(tmp_path / place / "mine").parent for place in "abc"]
    add_model_folder(folders[0])
    assert find_bundle("mine") == folders[0] / "mine"
    name_in_variable(monkeypatch, folders[2], folders[1])
    assert find_bundle("mine") == folders[2] / "mine"


def test_a_bundled_model_comes_before_an_own_one_and_an_own_one_before_a_path(tmp_path, monkeypatch):
    looks_like_a_bundle(tmp_path / "models" / "nuclei_unet")
    mine = looks_like_a_bundle(tmp_path / "models" / "mine")
    looks_like_a_bundle(tmp_path / "mine")
    name_in_variable(monkeypatch, tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    assert find_bundle("nuclei_unet") == ZOO / "nuclei_unet"
    assert find_bundle("mine") == mine
    assert find_bundle("./mine") == Path("mine")


def test_a_model_that_comes_later_is_found_without_another_word(tmp_path, monkeypatch):
    name_in_variable(monkeypatch, tmp_path / "models")
    with pytest.raises(BundleError):
        find_bundle("new")
    new = looks_like_a_bundle(tmp_path / "models" / "new")
    assert find_bundle("new") == new


def test_an_unknown_model_is_refused_with_what_was_found_where_was_looked_and_what_to_do(tmp_path, monkeypatch):
    looks_like_a_bundle(tmp_path / "models" / "mine")
    name_in_variable(monkeypatch, tmp_path / "models", tmp_path / "gone")
    with pytest.raises(BundleError) as caught:
        find_bundle("theirs")
    for part in ("'theirs'", "nuclei_unet", "found: mine", f"{tmp_path}/models, {tmp_path}/gone", "nucdl models add"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "..", "../models/mine", ".mine.replacing", "models/mine"])
def test_what_is_no_plain_name_finds_no_own_model(tmp_path, monkeypatch, name):
    for folder in ("mine", ".mine.replacing"):
        looks_like_a_bundle(tmp_path / "models" / folder)
    name_in_variable(monkeypatch, tmp_path / "models", tmp_path)
    assert places.own_model(name) is None
    assert [folder.name for folder, _ in own_models()] == ["mine"]


def test_in_a_folder_that_is_a_model_no_others_are_looked_for(tmp_path, monkeypatch):
    outer = looks_like_a_bundle(tmp_path / "outer")
    looks_like_a_bundle(outer / "inner")
    name_in_variable(monkeypatch, outer)
    assert [folder for folder, _ in own_models()] == [outer]
    assert places.own_model("inner") is None


def test_a_folder_that_is_called_as_the_model_in_it_hides_nothing(tmp_path, monkeypatch):
    mine = looks_like_a_bundle(tmp_path / "mine" / "mine")
    name_in_variable(monkeypatch, tmp_path / "mine")
    assert find_bundle("mine") == mine


@pytest.mark.parametrize("place_is_the_model", [False, True])
def test_a_model_that_a_killed_training_was_replacing_is_brought_back(tmp_path, monkeypatch, place_is_the_model):
    mine = looks_like_a_bundle(tmp_path / "models" / "mine")
    workshop = mine.with_name(".mine.replacing")
    workshop.mkdir()
    shutil.move(str(mine), workshop / "old")
    name_in_variable(monkeypatch, mine if place_is_the_model else mine.parent)
    assert find_bundle("mine") == mine
    assert (mine / "bundle.json").is_file()


def test_empty_parts_of_the_variable_name_nothing_and_a_folder_counts_once(tmp_path, monkeypatch):
    add_model_folder(tmp_path)
    monkeypatch.setenv("NUCDL_MODELS", f":{tmp_path}: :{tmp_path}/x/..")
    assert model_places() == (ModelPlace(tmp_path, "NUCDL_MODELS"),)


@pytest.mark.parametrize("missing", ["gone", "a file"])
def test_a_folder_that_is_not_there_is_passed_over_and_told(tmp_path, monkeypatch, missing):
    (tmp_path / "a file").touch()
    mine = looks_like_a_bundle(tmp_path / "models" / "mine")
    name_in_variable(monkeypatch, tmp_path / missing, tmp_path / "models")
    assert find_bundle("mine") == mine
    assert [folder for folder, _ in own_models()] == [mine]
    told = [problem_of(place) for place in model_places()]
    assert told[1] is None
    assert told[0].startswith("there is no such folder" if missing == "gone" else "it cannot be read (Not a directory)")


def test_a_folder_without_a_model_is_told(tmp_path):
    assert "holds a bundle.json" in problem_of(ModelPlace(tmp_path, "NUCDL_MODELS"))


def test_a_folder_that_may_not_be_looked_at_is_passed_over(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    mine = looks_like_a_bundle(tmp_path / "models" / "mine")
    name_in_variable(monkeypatch, tmp_path / "theirs", tmp_path / "models")
    monkeypatch.setattr(places, "restore_folder", refuse)
    assert find_bundle("mine") == mine


def test_without_a_file_of_preferences_there_are_none(account):
    assert read_preferences().model_folders == ()
    assert problem_of_preferences() is None
    assert not account.exists()


@pytest.mark.parametrize("content", ["{", '{"model_folders": 3}', '{"models": []}', "[" * 100_000])
def test_damaged_preferences_are_told_and_hide_no_other_model(tmp_path, monkeypatch, content):
    mine = looks_like_a_bundle(tmp_path / "models" / "mine")
    name_in_variable(monkeypatch, tmp_path / "models")
    path = places.preferences_file()
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert find_bundle("mine") == mine
    assert f"{path} cannot be used" in problem_of_preferences()
    for change in (add_model_folder, remove_model_folder):
        with pytest.raises(ConfigError, match="repair or delete this file"):
            change(tmp_path)


def test_what_is_no_folder_cannot_be_added(tmp_path, account):
    with pytest.raises(ConfigError, match="gone is not a folder"):
        add_model_folder(tmp_path / "gone")
    assert not account.exists()


def test_a_folder_that_was_not_added_cannot_be_removed(tmp_path):
    add_model_folder(tmp_path)
    with pytest.raises(ConfigError, match=f"was not added by 'nucdl models add' \\(it names {tmp_path}\\)"):
        remove_model_folder(tmp_path / "other")


def test_a_folder_that_has_vanished_can_be_removed(tmp_path):
    (tmp_path / "models").mkdir()
    add_model_folder(tmp_path / "models")
    (tmp_path / "models").rmdir()
    remove_model_folder(tmp_path / "models")
    assert model_places() == ()


def test_preferences_that_cannot_be_written_are_an_error_only_for_who_adds_a_folder(tmp_path, account):
    account.write_text("a file in the place of the folder")
    assert model_places() == ()
    with pytest.raises(NucDLError, match="the folder cannot be made"):
        add_model_folder(tmp_path)


def test_an_account_without_a_home_folder_is_told_of_the_variable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = looks_like_a_bundle(tmp_path / "~") / "preferences.json"
    path.write_text(json.dumps({"model_folders": [str(tmp_path / "~")]}))
    monkeypatch.setattr(places, "preferences_file", lambda: path.relative_to(tmp_path))
    assert model_places() == ()
    with pytest.raises(NucDLError, match="no home folder .* NUCDL_MODELS instead"):
        add_model_folder(tmp_path)


def test_preferences_lie_where_the_operating_system_keeps_them():
    assert preferences_file().name == "preferences.json" and preferences_file().parent.name == "nucdl"


def test_the_file_of_preferences_names_full_paths(tmp_path):
    add_model_folder(tmp_path)
    assert json.loads(places.preferences_file().read_text()) == {"model_folders": [str(tmp_path)]}
