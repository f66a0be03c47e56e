"""Which models can be used on this computer, and why others cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import edit_description

from nucdl_core.model.bundle import list_bundles
from nucdl_core.model.listing import list_models

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def models(tiny_bundle, monkeypatch):
    """A folder of own models, with one of them."""
    folder = tiny_bundle.parent / "models"
    shutil.copytree(tiny_bundle, folder / "mine")
    monkeypatch.setenv("NUCDL_MODELS", str(folder))
    return folder


def own():
    return {model.folder: model.problem for model in list_models() if model.named_by != "NucDL"}


def test_bundled_models_come_first_and_own_ones_say_what_names_their_folder(models):
    listed = list_models()
    assert [model.name for model in listed] == [*list_bundles(), "mine"]
    assert [model.problem for model in listed] == [None] * len(listed)
    assert (listed[-1].folder, listed[-1].named_by) == (models / "mine", "NUCDL_MODELS")


def test_the_name_is_that_of_the_folder_whatever_the_description_says(models):
    edit_description(models / "mine", name="nuclei_unet")
    assert [model.name for model in list_models()][-1] == "mine"


def test_a_model_is_noticed_as_soon_as_it_is_there_and_while_it_is(models):
    shutil.copytree(models / "mine", models / "new")
    assert own() == {models / "mine": None, models / "new": None}
    shutil.rmtree(models / "new")
    assert own() == {models / "mine": None}


def test_a_damaged_description_is_told_and_a_repaired_one_is_listed(models):
    path = models / "mine" / "bundle.json"
    whole = path.read_bytes()
    path.write_text("{")
    assert "is not a model description that can be used" in own()[models / "mine"]
    path.write_bytes(whole)
    assert own() == {models / "mine": None}


def test_a_missing_file_is_told(models):
    assert own() == {models / "mine": None}
    (models / "mine" / "weights.safetensors").unlink()
    assert "weights.safetensors is missing; copy the model again" in own()[models / "mine"]


def test_a_family_that_this_version_does_not_know_is_told(models):
    edit_description(models / "mine", family="of_the_future")
    assert "'of_the_future' is not known" in own()[models / "mine"]


def test_a_description_that_cannot_be_looked_at_is_told(models, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("nucdl_core.model.listing.os", SimpleNamespace(stat=refuse, path=os.path))
    assert "cannot be read (Permission denied)" in own()[models / "mine"]


@pytest.mark.parametrize("name", ["two\nlines", " spaces", "\udcff"])
def test_a_name_that_a_pipeline_cannot_hold_is_told(models, name):
    shutil.copytree(models / "mine", models / name)
    assert "rename its folder" in own()[models / name]


def test_models_that_others_of_their_name_hide_are_told(models, tmp_path, monkeypatch):
    shutil.copytree(models / "mine", tmp_path / "other" / "mine")
    shutil.copytree(models / "mine", models / "nuclei_unet")
    monkeypatch.setenv("NUCDL_MODELS", f"{models}{os.pathsep}{tmp_path / 'other'}")
    found = own()
    assert found[models / "mine"] is None
    assert found[tmp_path / "other" / "mine"].startswith(f"{models / 'mine'} has the same name and comes first")
    assert "has the same name and comes first" in found[models / "nuclei_unet"]


def test_a_damaged_model_still_hides_another_one_of_its_name(models, tmp_path, monkeypatch):
    shutil.copytree(models / "mine", tmp_path / "other" / "mine")
    monkeypatch.setenv("NUCDL_MODELS", f"{models}{os.pathsep}{tmp_path / 'other'}")
    (models / "mine" / "bundle.json").write_text("{")
    assert None not in own().values()


def test_a_model_that_is_named_twice_is_listed_once(models, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(models)
    monkeypatch.setenv("NUCDL_MODELS", os.pathsep.join(map(str, (models, tmp_path / "link", models / "mine"))))
    assert own() == {models / "mine": None}


def test_listing_models_loads_no_torch(models):
    code = "from nucdl_core.model import listing; import sys; print(len(listing.list_models()), 'torch' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert shown.stdout.split() == [str(len(list_bundles()) + 1), "False"]


def test_an_unchanged_description_is_read_once(models, monkeypatch):
    list_models()
    monkeypatch.setattr("nucdl_core.model.listing.read_description", None)
    assert own() == {models / "mine": None}
