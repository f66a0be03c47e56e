"""nucdl train and nucdl tune."""

import json

import numpy as np
import pytest
import tifffile
from commands import nucdl

from nucdl_core.cellprofiler.headless import HeadlessError
from nucdl_core.labels import offset_outlines


def test_a_tuned_model_is_used_with_all_choices_of_a_segmentation(tmp_path):
    assert nucdl("simulate", "--output", tmp_path / "data", "--fields", 3, "--size", "120x140").exit_code == 0
    (tmp_path / "data" / "labels").rename(tmp_path / "data" / "masks")
    for path in (tmp_path / "data" / "masks").iterdir():
        path.rename(path.with_name(path.name.replace("_labels", "")))
    options = ("--output", tmp_path / "mine", "--everything", "--generations", 1, "--population", 5)
    result = nucdl("tune", "--data", tmp_path / "data", *options)
    assert result.exit_code == 0, result.output
    assert "On 1 image that took no part: mean F1" in result.output
    choices = ("--model", tmp_path / "mine", "--refine", "on", "--views", "flips", "--contour-offset", "0.5")
    result = nucdl("segment", tmp_path / "data" / "images", "--output", tmp_path / "found", *choices)
    assert result.exit_code == 0, result.output
    run = json.loads((tmp_path / "found" / "run.json").read_text())
    assert run["model"]["name"] == "mine"
    assert [run["config"][key] for key in ("refine", "views", "contour_offset")] == [True, "flips", 0.5]


def test_a_few_annotated_images_tell_how_far_out_outlines_lie(fields, tmp_path):
    """The annotators of these fields draw 1.5 pixels outside of what the bundled model sees."""
    for path in (fields / "masks").iterdir():
        tifffile.imwrite(path, offset_outlines(tifffile.imread(path).astype(np.int32), 1.5).astype(np.uint16))
    result = nucdl("tune", "--data", fields, "--output", tmp_path / "mine")
    assert result.exit_code == 0, result.output
    assert "Outlines as annotated on 3 annotated images, each scored by what the others choose: " in result.output
    description = json.loads((tmp_path / "mine" / "bundle.json").read_text())
    threshold, offset = description["decision"]["foreground"], description["contour_offset"]
    assert f"probability threshold {threshold:g}, outlines moved outwards by {offset:g} px" in result.output
    areas = []
    for options in (("--model", tmp_path / "mine"), ("--threshold", threshold, "--contour-offset", offset)):
        folder = tmp_path / f"found{len(areas)}"
        assert nucdl("segment", fields / "images", "--output", folder, *options).exit_code == 0
        areas.append([tifffile.imread(path) for path in sorted(folder.glob("*_labels.tif"))])
    assert len(areas[0]) == 3
    assert all(np.array_equal(first, second) for first, second in zip(*areas))


@pytest.fixture
def fields(tmp_path):
    """Three simulated fields in the folders images and masks."""
    assert nucdl("simulate", "--output", tmp_path / "data", "--fields", 3, "--size", "120x140").exit_code == 0
    (tmp_path / "data" / "labels").rename(tmp_path / "data" / "masks")
    return tmp_path / "data"


@pytest.fixture
def settings(tmp_path):
    """A configuration of a training that takes an instant."""
    values = {"name": "mine", "initial": "nuclei_unet", "arguments": {"widths": [32, 64, 128, 192, 256]}, "steps": 2}
    values.update({"canonical_diameter": 28, "crop_size": 64, "batch": 1, "validate_every": 1, "warm_up": 1})
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(values | {"validation_images": 1}))
    return path


def without_classic(monkeypatch):
    def missing(images):
        raise HeadlessError("no CellProfiler here")

    monkeypatch.setattr("nucdl_core.cellprofiler.classic.classic_nuclei", missing)


def test_a_model_of_ones_own_is_made_judged_and_reported(tmp_path, fields, settings, monkeypatch):
    without_classic(monkeypatch)
    folders = ("--images", fields / "images", "--masks", fields / "masks", "--output", tmp_path / "mine")
    result = nucdl("train", *folders, "--config", settings, "--workers", 0, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "on the validation image the mean F1 is" in result.output
    place = tmp_path / ("mine" if "Use your model" in result.output else "mine_training/model")
    assert (place / "bundle.json").is_file() and f"use it with --model {place}" in result.output
    page = (tmp_path / "mine_training" / "report.html").read_text()
    assert "Not compared with the classic pipeline: no CellProfiler here." in page


def test_a_recipe_is_trained_as_before(tmp_path, fields, settings, monkeypatch):
    monkeypatch.setattr("nucdl_core.training.recipe.SIMULATED", 1)
    first = min(path.stem for path in (fields / "images").iterdir())
    monkeypatch.setattr("nucdl_core.training.recipe.is_validation", lambda name, parts: name == first)
    result = nucdl("train", settings, "--data", fields, "--output", tmp_path / "out", "--workers", 0, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert f"the model is in {tmp_path / 'out' / 'mine'}" in result.output


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ((), "give the folders of your images (--images) and of their annotations (--masks)"),
        (("--images", "DATA"), "give the folders of your images"),
        (("--data", "DATA", "--images", "DATA"), "--data was given with --images or --masks"),
        (("RECIPE", "--images", "DATA", "--masks", "DATA"), "a recipe is trained with --data"),
        (("RECIPE", "--data", "DATA", "--start", "none"), "a recipe is trained with --data"),
        (("RECIPE", "--data", "DATA", "--repeats", "2"), "a recipe is trained with --data"),
        (("--data", "DATA", "--architecture", "vit"), "architecture 'vit' is not known"),
        (("--data", "DATA", "--augmentation", "-rotation"), "augmentation is '-rotation'"),
        (("--data", "DATA", "--validation-images", "3"), "3 of 3 annotated images are to judge"),
        (("--data", "DATA", "--max-minutes", "0"), "max_minutes is 0"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path, fields, settings, arguments, reason):
    places = {"DATA": fields, "RECIPE": settings}
    result = nucdl("train", *(places.get(each, each) for each in arguments), "--output", tmp_path / "mine")
    assert result.exit_code == 1
    assert reason in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_mask_of_foreground_is_refused_before_anything_is_computed(tmp_path, fields):
    path = next((fields / "masks").iterdir())
    tifffile.imwrite(path, (255 * (tifffile.imread(path) > 0)).astype(np.uint8))
    result = nucdl("train", "--data", fields, "--output", tmp_path / "mine")
    assert result.exit_code == 1
    assert "--from binary" in result.output
    assert not (tmp_path / "mine_training").exists()


def test_a_data_folder_without_images_or_masks_is_refused_in_one_line(tmp_path, fields):
    (fields / "masks").rename(fields / "labels")
    result = nucdl("train", "--data", fields, "--output", tmp_path / "mine")
    assert result.exit_code == 1
    assert "lacks a folder images or a folder masks; give both with --images and --masks" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_who_stops_a_training_is_told_how_it_goes_on(tmp_path, fields, settings, monkeypatch):
    def stopped(request, others):
        raise KeyboardInterrupt

    monkeypatch.setattr("nucdl_core.training.own_images.train_on_own_images", stopped)
    result = nucdl("train", "--data", fields, "--output", tmp_path / "mine", "--config", settings)
    assert result.exit_code == 1
    assert result.output == "Error: stopped; the same command goes on with it\n"


def test_a_folder_without_masks_is_refused_by_tuning(fields, tmp_path):
    (fields / "masks").rename(fields / "labels")
    result = nucdl("tune", "--data", fields, "--output", tmp_path / "mine")
    assert result.exit_code != 0
    assert "lacks a folder images or a folder masks; put images and annotations into two folders" in result.output
