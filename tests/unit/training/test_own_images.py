"""From own annotated images to a model and a verdict."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import make_tiny_bundle
from drawings import annotated_disks

from nucdl_core.errors import BundleError, ConfigError, ImageError, NucDLError
from nucdl_core.files.locks import hold_lock
from nucdl_core.model.bundle import read_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.training import conclusion, own_images
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.defaults import FEWEST_STEPS, MOST_STEPS, model_name, own_config, steps_for
from nucdl_core.training.own_images import (
    OwnImages,
    parts_for,
    seconds_for_each,
    settings_for,
    starting_model,
    train_on_own_images,
)
from nucdl_core.training.runs import read_log
from nucdl_core.training.split import parts_of
from nucdl_core.training.verdict import Verdict

SETTINGS = {
    "name": "mine",
    "arguments": {"widths": [4, 8]},
    "canonical_diameter": 16.0,
    "crop_size": 32,
    "batch": 1,
    "steps": 4,
    "validate_every": 2,
    "warm_up": 1,
    "simulated_share": 0.0,
}


def make_fields(folder, names):
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number, name in enumerate(names):
        field = simulate_field(FieldConfig(size=(64, 80), diameter=16, count=8), np.random.default_rng(number))
        tifffile.imwrite(folder / "images" / f"{name}.tif", field.image)
        tifffile.imwrite(folder / "masks" / f"{name}.tif", field.labels.astype(np.uint16))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_fields(tmp_path_factory.mktemp("own"), "abcd")


@pytest.fixture(autouse=True)
def few_simulated_fields(monkeypatch):
    monkeypatch.setattr("nucdl_core.training.recipe.SIMULATED", 1)


@pytest.fixture(scope="module")
def taught_further(tmp_path_factory):
    """Settings that begin with a small model, and its folder."""
    config = TrainConfig("tiny", arguments={"widths": [4, 8]})
    start = make_tiny_bundle(tmp_path_factory.mktemp("start") / "tiny", config)
    return {**SETTINGS, "initial": str(start), "canonical_diameter": 32.0}


def request(data, folder, settings, **changes):
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    values = {"validation_images": 1, "config": path, "device": "cpu", "workers": 0, **changes}
    return OwnImages(data / "images", data / "masks", folder / "mine", **values)


def better(own, before, name):
    return Verdict(True, "Use your model.")


def test_a_model_that_is_not_better_is_kept_apart(data, tmp_path):
    outcome = train_on_own_images(request(data, tmp_path, SETTINGS))
    assert not outcome.verdict.better
    assert outcome.model == tmp_path / "mine_training" / "model"
    assert not (tmp_path / "mine").exists()
    page = outcome.page.read_text()
    assert "Do not use your model" in page
    assert "nuclei_unet" in page and "3 taught, 1 judged" in page


def test_a_better_model_takes_its_place_with_a_card(data, tmp_path, taught_further, monkeypatch):
    monkeypatch.setattr(conclusion, "judge", better)
    outcome = train_on_own_images(request(data, tmp_path, taught_further))
    assert outcome.model == tmp_path / "mine"
    bundle = read_bundle(outcome.model)
    assert bundle.description.training["images"] == 3
    assert bundle.description.metrics["validation_images"] == 1
    load_model(outcome.model, "cpu").self_test(outcome.model)
    assert "# mine" in (outcome.model / "README.md").read_text()


def test_a_finished_model_is_taught_further(data, tmp_path, taught_further):
    outcome = train_on_own_images(request(data, tmp_path, taught_further))
    start, description = taught_further["initial"], read_bundle(outcome.model).description
    assert description.training["config"]["initial"] == start
    assert description.decision == read_bundle(Path(start)).description.decision
    assert f"begun with the weights of `{start}`" in (outcome.model / "README.md").read_text()
    assert "with tiny" in outcome.verdict.sentence


def test_of_two_images_each_judges_and_both_teach_the_model(tmp_path, taught_further, monkeypatch):
    monkeypatch.setattr(conclusion, "judge", better)
    two = make_fields(tmp_path / "two", "ab")
    asked = request(two, tmp_path, taught_further, validation_images=None)
    # A configuration says how the images are parted; without one two images are two halves.
    monkeypatch.setattr(own_images, "parts_for", lambda request, sources: parts_of(dict.fromkeys("ab", "")))
    outcome = train_on_own_images(asked)
    folders = sorted(path.name for path in (tmp_path / "mine_training").iterdir() if path.is_dir())
    assert [name.rstrip("0123456789") for name in folders] == ["run1_all_", "run1_half", "run1_half", "validation"]
    description = read_bundle(outcome.model).description
    assert description.training["images"] == 2
    assert description.metrics["validation_images"] == 2
    assert "Your model learnt from all" in outcome.page.read_text()


def test_a_published_network_begins_with_chance_and_takes_the_decision_that_its_halves_found(tmp_path, monkeypatch):
    two = make_fields(tmp_path / "two", "ab")
    small = {"arguments": {"widths": [4]}, "steps": 2, "validate_every": 1, "crop_size": 32, "batch": 1, "warm_up": 1}
    chosen = own_images.own_config
    monkeypatch.setattr(own_images, "own_config", lambda *given, **changes: chosen(*given, **{**changes, **small}))
    asked = OwnImages(two / "images", two / "masks", tmp_path / "mine", architecture="cnn", device="cpu", workers=0)
    outcome = train_on_own_images(asked)
    made = read_bundle(outcome.model).description
    half = read_bundle(tmp_path / "mine_training" / "run1_half1" / "model").description
    assert (made.family, made.companion.name) == ("cnn", "nuclei_unet")
    assert made.training["config"]["initial"] == ""
    assert made.decision == half.decision
    assert made.decision.decoder == "foreground"
    assert "with nuclei_unet" in outcome.verdict.sentence


def test_the_best_of_several_runs_becomes_the_model(data, tmp_path, taught_further):
    outcome = train_on_own_images(request(data, tmp_path, taught_further, repeats=2))
    logs = sorted((tmp_path / "mine_training").glob("run*/log.jsonl"))
    first, second = (path.read_text() for path in logs)
    assert first != second
    assert "the best of them is your model" in outcome.page.read_text()


def test_other_ways_stand_beside_it_or_it_is_said_why_not(data, tmp_path, taught_further):
    def empty(folder):
        return {path.stem: np.zeros((64, 80), np.int32) for path in folder.iterdir()}

    def broken(folder):
        raise NucDLError("there is none")

    others = {"by hand": empty, "classic": broken}
    page = train_on_own_images(request(data, tmp_path, taught_further), others).page.read_text()
    assert "your model against by hand" in page
    assert "Not compared with the classic: there is none." in page


def test_a_training_goes_on_and_does_not_learn_twice(data, tmp_path, taught_further):
    asked = request(data, tmp_path, taught_further)
    first = train_on_own_images(asked)
    weights = (first.model / "weights.safetensors").read_bytes()
    before = (tmp_path / "mine_training" / "run1" / "checkpoint.safetensors").stat().st_mtime_ns
    again = train_on_own_images(asked)
    assert (tmp_path / "mine_training" / "run1" / "checkpoint.safetensors").stat().st_mtime_ns == before
    assert (again.model / "weights.safetensors").read_bytes() == weights


def test_a_second_training_at_the_same_place_is_refused_while_the_first_one_works(data, tmp_path, taught_further):
    (tmp_path / "mine_training").mkdir()
    refused = pytest.raises(ConfigError, match="another training works in .*mine_training")
    with hold_lock(tmp_path / "mine_training" / ".lock"), refused:
        train_on_own_images(request(data, tmp_path, taught_further))
    assert not (tmp_path / "mine_training" / "plan.json").exists()


def test_an_error_in_a_configuration_names_its_file(data, tmp_path):
    with pytest.raises(ConfigError, match=r"settings\.json: .*unknown setting stepz"):
        train_on_own_images(request(data, tmp_path, {**SETTINGS, "stepz": 3}))


def test_what_cannot_be_used_is_refused_before_images_are_read(tmp_path, data, tiny_instance_bundle):
    def refused(error, match, **changes):
        with pytest.raises(error, match=match):
            train_on_own_images(OwnImages(tmp_path, tmp_path, tmp_path / "new", **changes))

    refused(BundleError, "architecture 'vit' is not known", architecture="vit")
    refused(BundleError, "model 'nowhere' is neither", start="nowhere")
    refused(ConfigError, "augmentation is 'rotation'", augmentation="rotation")
    refused(
        ConfigError,
        "is a maskrcnn, but the architecture unet is wanted",
        start=str(tiny_instance_bundle),
        architecture="unet",
    )
    with pytest.raises(ConfigError, match="images holds something else than a model"):
        train_on_own_images(OwnImages(tmp_path, tmp_path, data / "images"))
    with pytest.raises(ImageError, match="1 annotated image came"):
        one = make_fields(tmp_path / "one", "a")
        train_on_own_images(OwnImages(one / "images", one / "masks", tmp_path / "new"))
    assert not (tmp_path / "new_training").exists()


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"repeats": 0}, "repeats is 0"),
        ({"max_minutes": 0}, "max_minutes is 0"),
        ({"validation_images": 0}, "validation_images is 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(tmp_path, changes, match):
    with pytest.raises(ConfigError, match=match):
        OwnImages(tmp_path, tmp_path, tmp_path, **changes)


def asked(folder, **changes):
    return OwnImages(folder, folder, folder / "my model", **changes)


def test_without_a_word_the_bundled_model_is_taught_further(tmp_path):
    start = starting_model(asked(tmp_path))
    config = settings_for(asked(tmp_path), start, nuclei=400)
    assert (config.initial, config.name) == ("nuclei_unet", "my_model")
    assert config.arguments == start.description.arguments
    assert config.canonical_diameter == start.description.canonical_diameter
    assert config.steps == steps_for(400)


def test_an_architecture_alone_takes_its_bundled_model(tmp_path):
    start = starting_model(asked(tmp_path, architecture="maskrcnn"))
    config = settings_for(asked(tmp_path, architecture="maskrcnn"), start, nuclei=400)
    assert (config.architecture, config.initial, config.companion) == ("maskrcnn", "nuclei_maskrcnn", "nuclei_unet")


def test_from_chance_an_architecture_gets_the_usual_network(tmp_path):
    wanted = asked(tmp_path, start="none", architecture="maskrcnn", augmentation="none", validation_images=3)
    assert starting_model(wanted) is None
    config = settings_for(wanted, None, nuclei=400)
    assert (config.architecture, config.initial, config.augmentation) == ("maskrcnn", "", "none")
    assert (config.validation_images, config.steps) == (3, 10 * steps_for(400))
    assert config.canonical_diameter == 32.0  # as the bundled Mask R-CNN, not as the U-Net


def test_to_begin_with_none_counts_more_than_the_model_of_a_configuration(tmp_path):
    wanted = request(tmp_path, tmp_path, {**SETTINGS, "initial": "nuclei_unet"}, start="none")
    assert starting_model(wanted) is None
    assert settings_for(wanted, None, nuclei=1).initial == ""


def test_an_architecture_that_contradicts_the_configuration_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"maskrcnn is wanted, but .*settings.json says unet; say it in one place"):
        starting_model(request(tmp_path, tmp_path, SETTINGS, architecture="maskrcnn"))


def test_a_model_to_begin_with_of_another_architecture_than_the_configuration_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"nuclei_maskrcnn to begin with is a maskrcnn, but .*settings.json says unet"
    ):
        starting_model(request(tmp_path, tmp_path, SETTINGS, start="nuclei_maskrcnn"))


def test_the_time_is_shared_by_all_networks(tmp_path):
    assert seconds_for_each(asked(tmp_path), 1) == float("inf")
    one = seconds_for_each(asked(tmp_path, max_minutes=10), 1)
    assert 300 < one < 600
    assert seconds_for_each(asked(tmp_path, max_minutes=10, repeats=2), 1) == pytest.approx(one / 2)
    assert seconds_for_each(asked(tmp_path, max_minutes=10), 2) == pytest.approx(one / 3)


def test_more_nuclei_teach_for_longer_within_bounds():
    steps = [steps_for(nuclei) for nuclei in (1, 500, 900, 100_000)]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (FEWEST_STEPS, MOST_STEPS)


@pytest.mark.parametrize(
    "text, name", [("mine", "mine"), ("my model!", "my_model"), ("2nd", "model_2nd"), ("Zellkerne-ß", "Zellkerne_ß")]
)
def test_a_folder_gives_a_model_its_name(text, name):
    assert model_name(text) == name


def test_a_folder_without_letters_gives_no_name():
    with pytest.raises(ConfigError, match="cannot be called '--'"):
        model_name("--")


def test_settings_from_chance_are_a_configuration():
    assert dataclasses.asdict(own_config("x", 100, None))["initial"] == ""


def test_whoever_teaches_dark_nuclei_is_told_to_invert_images(tmp_path, taught_further):
    dark = make_fields(tmp_path / "dark", "abc")
    for path in (dark / "images").iterdir():
        image = tifffile.imread(path)
        tifffile.imwrite(path, image.max() - image)
    page = train_on_own_images(request(dark, tmp_path, taught_further)).page.read_text()
    assert "3 of your images show dark nuclei and were inverted for training." in page


def test_a_model_in_the_folder_of_the_training_is_not_begun_with_since_it_would_be_removed(tmp_path):
    inside = make_tiny_bundle(tmp_path / "my model_training" / "model", TrainConfig("tiny"))
    with pytest.raises(ConfigError, match="the folder of this training, which would remove it; copy it elsewhere"):
        starting_model(asked(tmp_path, start=str(inside)))


def test_who_gave_too_little_time_is_told(data, tmp_path, taught_further):
    outcome = train_on_own_images(request(data, tmp_path, taught_further, max_minutes=1e-7))
    (note,) = outcome.notes
    assert note.startswith("The time that was given was up after 1 of at most 4 steps.")
    assert note in outcome.page.read_text()


def test_who_gave_enough_time_is_told_nothing(data, tmp_path, taught_further):
    assert train_on_own_images(request(data, tmp_path, taught_further, max_minutes=60)).notes == []


def test_a_line_of_the_log_that_was_being_written_when_a_training_was_killed_is_passed_over(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 2, "total": 1.0}\n{"step": 1, "total": 2.0}\n{"step": 4, "to')
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2]


def test_the_number_of_validation_images_of_a_configuration_counts_also_with_few_images(tmp_path):
    wanted = request(tmp_path, tmp_path, {**SETTINGS, "validation_images": 1}, validation_images=None)
    (part,) = parts_for(wanted, {name: annotated_disks() for name in "abc"})
    assert (len(part.training), len(part.validation)) == (2, 1)


def test_an_output_called_like_a_bundled_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="called nuclei_unet, as a bundled model.*name another output"):
        OwnImages(tmp_path, tmp_path, tmp_path / "nuclei_unet")


def test_an_older_model_in_the_place_of_one_that_is_kept_apart_is_named(data, tmp_path):
    asked = request(data, tmp_path, SETTINGS)
    train_on_own_images(request(data, tmp_path, SETTINGS))
    (tmp_path / "mine").mkdir()
    outcome = train_on_own_images(asked)
    assert not outcome.verdict.better
    assert f"{tmp_path / 'mine'} still holds the model of an earlier training." in outcome.notes
