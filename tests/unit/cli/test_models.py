"""nucdl models."""

import dataclasses
import os
import shutil

import pytest
import tifffile
from commands import nucdl
from drawings import field

from nucdl_core.model.bundle import find_bundle, read_bundle
from nucdl_core.model.card import in_one_line


def test_a_model_of_the_second_family_is_checked_and_used(tmp_path, tiny_instance_bundle):
    result = nucdl("models", "check", tiny_instance_bundle)
    assert "all files are unaltered" in result.output, result.output
    tifffile.imwrite(tmp_path / "a.tif", field(shape=(64, 64))[0])
    options = ("--family", "maskrcnn", "--model", tiny_instance_bundle, "--diameter", "24")
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("model", ["nuclei_unet", "nuclei_maskrcnn"])
def test_models_are_listed_and_checked(model):
    assert model in [line.split()[0] for line in nucdl("models", "list").output.splitlines()]
    result = nucdl("models", "check", model)
    assert result.exit_code == 0
    assert "all files are unaltered" in result.output


def test_an_altered_model_fails_the_check(tiny_bundle):
    (tiny_bundle / "weights.safetensors").write_bytes(b"altered")
    result = nucdl("models", "check", tiny_bundle)
    assert result.exit_code == 1
    assert "was altered" in result.output


@pytest.fixture
def models(tiny_bundle, monkeypatch, tmp_path):
    """A folder with an own model, and an account that keeps preferences."""
    monkeypatch.setattr("nucdl_core.model.places.preferences_file", lambda: tmp_path / "account" / "preferences.json")
    shutil.copytree(tiny_bundle, tmp_path / "models" / "mine")
    return tmp_path / "models"


def test_an_own_model_is_listed_checked_and_forgotten(models):
    assert "mine" not in nucdl("models", "list").output
    added = nucdl("models", "add", models)
    assert f"{models} is now named in" in added.output and "mine: can be chosen by this name" in added.output
    assert "was already named" in nucdl("models", "add", models).output
    (line,) = [line for line in nucdl("models", "list").output.splitlines() if line.startswith("mine  ")]
    assert line.endswith(f"({models / 'mine'})")
    assert "all files are unaltered" in nucdl("models", "check", "mine").output
    assert "is no longer named in" in nucdl("models", "remove", models).output
    assert "mine" not in nucdl("models", "list").output
    assert (models / "mine").is_dir()


def test_an_empty_folder_is_added_and_told(models, tmp_path):
    (tmp_path / "later").mkdir()
    assert "there is no model in it yet" in nucdl("models", "add", tmp_path / "later").output


def test_a_model_that_cannot_be_chosen_is_told_when_its_folder_is_added(models):
    shutil.copytree(models / "mine", models / "nuclei_unet")
    assert "nuclei_unet: " in nucdl("models", "add", models).output
    assert "has the same name and comes first" in nucdl("models", "add", models / "nuclei_unet").output


def test_what_cannot_be_used_is_listed_with_the_reason(models, tmp_path, monkeypatch):
    shutil.copytree(models / "mine", models / "altered")
    (models / "altered" / "weights.safetensors").write_bytes(b"altered")
    shutil.copytree(models / "mine", models / "damaged")
    (models / "damaged" / "bundle.json").write_text("{")
    shutil.copytree(models / "mine", models / "nuclei_unet")
    monkeypatch.setenv("NUCDL_MODELS", os.pathsep.join(map(str, (tmp_path / "gone", models))))
    result = nucdl("models", "list")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["nuclei_maskrcnn", "nuclei_unet", "mine"]
    altered, damaged, hidden, gone = lines[3:]
    assert hidden.startswith("cannot be used: nuclei_unet  ") and "comes first" in hidden
    assert altered.startswith(f"cannot be used: altered  {models / 'altered'} (NUCDL_MODELS): ")
    assert "was altered" in altered and "is not a model description" in damaged
    assert gone.startswith(f"no models in: {tmp_path / 'gone'} (NUCDL_MODELS): there is no such folder")


def test_damaged_preferences_are_told_and_bundled_models_listed(models, tmp_path):
    (tmp_path / "account").mkdir()
    (tmp_path / "account" / "preferences.json").write_text("{")
    result = nucdl("models", "list")
    assert result.exit_code == 0 and "nuclei_unet  " in result.output
    assert "preferences.json cannot be used" in result.output and "repair or delete" in result.output


def test_a_folder_that_is_not_there_cannot_be_added(models, tmp_path):
    result = nucdl("models", "add", tmp_path / "gone")
    assert result.exit_code == 1 and "gone is not a folder" in result.output


def test_own_models_are_told_apart_from_bundled_ones():
    bundled = read_bundle(find_bundle("nuclei_unet")).description
    reached = {"validation": {"mean_f1": 0.5}, "validation_images": 3}
    own = dataclasses.replace(bundled, training={"images": 7}, metrics=reached)
    told = in_one_line(own, [bundled.description])
    assert told == "own model; trained on 7 images; mean F1 0.500 on 3 that it was judged on"
    assert in_one_line(bundled, []).startswith(bundled.description)
    tuned = dataclasses.replace(bundled, description="tuned so", metrics={"tuned": {}})
    assert in_one_line(tuned, [bundled.description]) == "tuned so"
