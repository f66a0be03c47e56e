import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from drawings import field

from nucdl_core.cli.main import main


def nucdl(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_help_is_shown_without_importing_torch():
    code = (
        "import sys, nucdl_core.cli.main as c; c.main(['-h'], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "segment" in result.stdout


def test_simulate_segment_and_evaluate_fit_together(tmp_path):
    assert nucdl("simulate", "--output", tmp_path / "plate", "--fields", 2, "--size", "200x260").exit_code == 0
    result = nucdl("segment", tmp_path / "plate" / "images", "--output", tmp_path / "found")
    assert result.exit_code == 0, result.output
    result = nucdl("evaluate", "--truth", tmp_path / "plate" / "labels", "--prediction", tmp_path / "found")
    assert result.exit_code == 0, result.output
    assert "mean F1" in result.output or "mean_f1" in result.output
    assert (tmp_path / "found" / "summary.json").exists()


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
    ],
)
def test_wrong_options_are_one_clear_line(tmp_path, options, reason):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ") and reason in result.output
    assert result.output.count("\n") == 1


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


def test_a_model_of_the_second_family_is_checked_and_used(tmp_path, tiny_instance_bundle):
    result = nucdl("models", "check", tiny_instance_bundle)
    assert "all files are unaltered" in result.output, result.output
    tifffile.imwrite(tmp_path / "a.tif", field(shape=(64, 64))[0])
    options = ("--family", "maskrcnn", "--model", tiny_instance_bundle, "--diameter", "24")
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output


def test_a_missing_gpu_is_a_clear_error(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    result = nucdl("segment", tmp_path / "a.tif", "--output", tmp_path / "out", "--device", "cuda")
    assert result.exit_code == 1
    assert "a GPU was asked for" in result.output


@pytest.mark.parametrize("size", ["520", "0x3", "axb", "-3x4"])
def test_a_size_that_is_none_is_refused(tmp_path, size):
    result = nucdl("simulate", "--output", tmp_path / "p", "--fields", 1, "--size", size)
    assert result.exit_code == 1
    assert "give height x width in pixels" in result.output


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


def test_a_tuned_model_is_used_with_all_choices_of_a_segmentation(tmp_path):
    assert nucdl("simulate", "--output", tmp_path / "data", "--fields", 3, "--size", "120x140").exit_code == 0
    (tmp_path / "data" / "labels").rename(tmp_path / "data" / "masks")
    for path in (tmp_path / "data" / "masks").iterdir():
        path.rename(path.with_name(path.name.replace("_labels", "")))
    options = ("--output", tmp_path / "mine", "--generations", 1, "--population", 5)
    result = nucdl("tune", "--data", tmp_path / "data", *options)
    assert result.exit_code == 0, result.output
    assert "DSB score on 1 images that took no part" in result.output
    choices = ("--model", tmp_path / "mine", "--refine", "on", "--views", "flips", "--contour-offset", "0.5")
    result = nucdl("segment", tmp_path / "data" / "images", "--output", tmp_path / "found", *choices)
    assert result.exit_code == 0, result.output
    run = json.loads((tmp_path / "found" / "run.json").read_text())
    assert run["model"]["name"] == "mine"
    assert [run["config"][key] for key in ("refine", "views", "contour_offset")] == [True, "flips", 0.5]
