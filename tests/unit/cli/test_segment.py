"""nucdl segment and nucdl refine."""

import json
import sys

import numpy as np
import pytest
import tifffile
from commands import nucdl
from conftest import edit_description
from drawings import field

from nucdl_core.cli import segment as cli
from nucdl_core.progress import LoggedProgress


def test_a_failed_image_is_named_and_the_exit_code_is_3(tmp_path):
    tifffile.imwrite(tmp_path / "good.tif", field()[0])
    (tmp_path / "bad.tif").write_bytes(b"II*\0 not a picture")
    result = nucdl("segment", tmp_path / "good.tif", tmp_path / "bad.tif", "--output", tmp_path / "out")
    assert result.exit_code == 3
    assert "1 of 2 images" in result.output
    assert "bad.tif" in result.output


@pytest.mark.parametrize(
    "options, reason",
    [
        (("--model", "unknown"), "neither a bundled model"),
        (("--diameter", "big"), "give a number of pixels, or 'auto'"),
        (("--diameter", "0"), "give pixels from 1 to 1000"),
        (("--threshold", "2"), "it must lie between 0 and 1"),
        (("--preprocess", "median3,sharpen"), "'sharpen' is no treatment of images"),
        (("--plane", "best"), "give a number from 1, or one of max, sum, median, focus"),
        (("--channel", "DNA"), "give its number, from 1"),
        (("--lobed-diameter", "1"), "from 2 to 1000, or 0 to join no lobes"),
        (("--keep", "size > 5"), "has the word 'size', which is not known"),
    ],
)
def test_wrong_options_are_one_clear_line(tmp_path, options, reason):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and reason in result.output
    assert result.output.count("\n") == 1


def test_pictures_and_measures_come_on_request(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", field()[0])
    wanted = ("--overlay", "--probability", "--rois", "--measure", "--objects-as", "stack", "--objects-as", "boxes")
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *wanted, "--keep", "solidity > 0.5")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    files = {"a_overlay.png", "a_probability.tif", "a_RoiSet.zip", "a_stack.tif", "boxes.csv"}
    assert names == files | {"a_labels.tif", "objects.csv", "images.csv", "run.json"}
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["outputs"]["keep"] == "solidity > 0.5" and run["outputs"]["objects_as"] == ["stack", "boxes"]


@pytest.mark.parametrize(
    "options, views, refined",
    [
        ((), "none", False),
        (("--preset", "balanced"), "flips", False),
        (("--preset", "best", "--views", "none", "--refine", "on"), "none", True),
        (("--family", "unet", "--model", "nuclei_unet", "--preset", "fast", "--refine", "off"), "none", False),
    ],
)
def test_a_preset_decides_where_no_single_option_does(tmp_path, options, views, refined):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 40), np.uint8))
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (run["config"]["views"], run["config"]["refine"]) == (views, refined)
    assert run["model"]["name"] == "nuclei_unet"


def test_a_family_without_bundled_model_says_how_to_train_one(tmp_path, monkeypatch):
    from nucdl_core.model import bundle

    monkeypatch.setattr(bundle, "list_bundles", lambda: ("nuclei_unet",))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", "--family", "maskrcnn")
    assert result.exit_code == 1
    assert "nucdl train training/nuclei_maskrcnn.json" in result.output and "--model" in result.output


def test_a_model_of_another_family_than_the_one_asked_for_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    options = ("--family", "maskrcnn", "--model", "nuclei_unet")
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert "nuclei_unet is of the family unet, but one of the family maskrcnn is needed" in result.output


def test_a_missing_gpu_is_a_clear_error(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", "--device", "cuda")
    assert result.exit_code == 1
    assert "a GPU was asked for" in result.output


@pytest.fixture
def objects_to_refine(tmp_path):
    """One image and its objects, and where to write."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    image, truth = field()
    tifffile.imwrite(tmp_path / "images" / "a.tif", image)
    tifffile.imwrite(tmp_path / "labels" / "a.tif", truth.astype(np.uint16))
    return "--images", tmp_path / "images", "--labels", tmp_path / "labels", "--output", tmp_path / "out"


def test_objects_are_refined(tmp_path, objects_to_refine):
    result = nucdl("refine", *objects_to_refine, "--views", "none", "--remove", "--contour-offset", "0.5")
    assert result.exit_code == 0, result.output
    assert "1 of 1 images, 24 nuclei in" in result.output
    config = json.loads((tmp_path / "out" / "run.json").read_text())["config"]
    assert (config["views"], config["contour_offset"], config["remove"], config["add"]) == ("none", 0.5, True, False)


def test_an_image_without_objects_is_named_and_the_exit_code_is_3(tmp_path, objects_to_refine):
    tifffile.imwrite(tmp_path / "images" / "b.tif", field()[0])
    result = nucdl("refine", *objects_to_refine, "--views", "none")
    assert result.exit_code == 3
    assert "1 of 2 images" in result.output
    assert "b.tif: there are no objects of this name" in result.output


@pytest.mark.parametrize(
    "options, reason",
    [(("--model", "unknown"), "neither a bundled model"), (("--contour-offset", "50"), "give pixels from -20 to 20")],
)
def test_wrong_options_of_refine_are_one_clear_line(objects_to_refine, options, reason):
    result = nucdl("refine", *objects_to_refine, *options)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and reason in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("screen", [True, False])
def test_tiles_are_counted_on_a_screen_and_logged_without_one(monkeypatch, screen):
    monkeypatch.setattr(sys, "stderr", type("Stream", (), {"isatty": lambda self: screen})())
    told = cli.tile_progress()
    assert told is cli.show_tiles if screen else isinstance(told, LoggedProgress)


def test_an_image_unlike_those_that_the_model_was_made_for_is_named(tmp_path, tiny_bundle):
    edit_description(tiny_bundle, made_for={"diameter_range": [100, 200]})
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((40, 40), np.uint8))
    files = [tmp_path / f"{name}.tif" for name in "ab"]
    options = ("--model", tiny_bundle, "--device", "cpu", "--output", tmp_path / "out")
    result = nucdl("segment", *files, *options, "--diameter", 20)
    assert result.exit_code == 0
    assert f"warning: {tmp_path / 'a.tif'}: a typical nucleus of this image is 20 px across" in result.output
    assert "(images with warnings in run.json: 2)" in result.output
    fitting = nucdl("segment", *files, *options, "--diameter", 120).output
    assert "was made for" not in fitting and "may not be trusted (empty" in fitting


def test_an_own_model_is_used_by_its_name_and_its_folder_need_not_be_named(tmp_path, tiny_bundle, monkeypatch):
    monkeypatch.setenv("NUCDL_MODELS", str(tiny_bundle.parent))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 40), np.uint8))
    options = ("--model", "tiny", "--device", "cpu", "--diameter", 20)
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out" / "run.json").read_text())["config"]["model"] == "tiny"


def test_which_micronuclei_are_kept_and_which_lobes_joined_is_chosen_on_the_command_line(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", field()[0])
    chosen = ("--micronuclei", "none", "--lobed-diameter", "18")
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *chosen)
    assert result.exit_code == 0, result.output
    config = json.loads((tmp_path / "out" / "run.json").read_text())["config"]
    assert (config["micronuclei"], config["lobed_diameter"]) == ("none", 18)


def test_classes_by_masks_are_refused_for_a_list(tmp_path):
    (tmp_path / "list.csv").write_text("Image_FileName_DNA\n")
    result = nucdl("segment", "--csv", tmp_path / "list.csv", "--output", tmp_path / "out", "--classes", tmp_path)
    assert result.exit_code != 0
    assert "--classes is for images that are named" in result.output
