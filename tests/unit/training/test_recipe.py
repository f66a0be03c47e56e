import dataclasses
import json

import numpy as np
import pytest
import tifffile
import torch
from conftest import REPOSITORY, untrained_map_model
from drawings import annotated_disks
from safetensors.numpy import load_file

from nucdl_core.errors import BundleError, ConfigError, ImageError, NucDLError
from nucdl_core.model.bundle import read_bundle
from nucdl_core.model.loading import load_map_model, load_model
from nucdl_core.model.networks import maskrcnn
from nucdl_core.model.registry import build_network
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.training import recipe as training
from nucdl_core.training.checkpoint import TrainingState, looks_in, save_checkpoint
from nucdl_core.training.collections import Collection
from nucdl_core.training.config import Stage, TrainConfig
from nucdl_core.training.lessons import start_from
from nucdl_core.training.loop import CHECKPOINT, LOG, learning_rate, train_network
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.recipe import read_train_config, split, train
from nucdl_core.training.split import is_validation

CONFIG = TrainConfig(
    name="tiny",
    arguments={"widths": [4, 8]},
    crop_size=32,
    batch=2,
    steps=6,
    checkpoint_every=3,
    simulated_share=0.5,
    validation_parts=2,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four small annotated images, on both sides of the split."""
    folder = tmp_path_factory.mktemp("data")
    names = [name for name in map(str, range(40)) if is_validation(name, 2)][:2]
    names += [name for name in map(str, range(40)) if not is_validation(name, 2)][:2]
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number, name in enumerate(names):
        field = simulate_field(FieldConfig(size=(64, 80), diameter=16, count=8), np.random.default_rng(number))
        tifffile.imwrite(folder / "images" / f"{name}.tif", field.image)
        tifffile.imwrite(folder / "masks" / f"{name}.tif", field.labels.astype(np.uint16))
    rows = "".join(f"{name},{'fluorescence' if number else 'other'}\n" for number, name in enumerate(names))
    (folder / "index.csv").write_text("id,modality\n" + rows)
    return folder


def test_training_makes_a_bundle_that_passes_its_own_test(data, tmp_path):
    folder = train(CONFIG, [Collection(data)], tmp_path, "cpu", workers=0)
    bundle = read_bundle(folder)
    load_map_model(folder, "cpu").self_test(folder)
    assert bundle.description.training["images"] == 2
    assert set(bundle.description.metrics["decoders"]) == {"three_class", "distance", "combined"}
    assert bundle.description.decision.decoder in (folder / "README.md").read_text()


def test_a_recipe_that_looks_at_validation_images_keeps_the_best_state(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SIMULATED", 1)
    train(dataclasses.replace(CONFIG, steps=4, validate_every=2), [Collection(data)], tmp_path, "cpu", workers=0)
    assert [step for step, _ in looks_in(tmp_path / CHECKPOINT)] == [2, 4]
    assert any(name.startswith("best.") for name in load_file(tmp_path / CHECKPOINT))


def test_a_run_that_was_stopped_ends_like_one_that_was_not(data, tmp_path):
    sources, config = read_annotated_images(data), dataclasses.replace(CONFIG, simulated_share=0.0)
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = train_network(config, sources, tmp_path / "whole", "cpu", workers=0)
    with pytest.raises(KeyboardInterrupt):
        train_network(config, Interrupted(sources, crops=7), tmp_path / "parts", "cpu", workers=0)
    parts = train_network(config, sources, tmp_path / "parts", "cpu", workers=0)
    assert_same_weights(whole, parts, 1e-6)


def assert_same_weights(checkpoint, other, tolerance):
    """Two checkpoints hold the same but for the time that they took."""
    expected, found = load_file(checkpoint), load_file(other)
    assert set(expected) == set(found)
    assert all(np.allclose(expected[key], found[key], atol=tolerance) for key in expected if key != "seconds")


class Interrupted(list):
    """Sources of which the run is interrupted after some crops."""

    def __init__(self, sources, crops):
        super().__init__(sources)
        self.left = crops

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().__getitem__(index)


def test_a_checkpoint_of_another_network_is_refused(data, tmp_path):
    sources = read_annotated_images(data)
    train_network(CONFIG, sources, tmp_path, "cpu", workers=0)
    with pytest.raises(BundleError, match="belongs to another network"):
        train_network(dataclasses.replace(CONFIG, arguments={"widths": [4, 6]}), sources, tmp_path, "cpu", workers=0)


def test_a_damaged_checkpoint_is_refused(data, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"damaged" * 9)
    with pytest.raises(BundleError, match="is damaged .* remove it"):
        train_network(CONFIG, read_annotated_images(data), tmp_path, "cpu", workers=0)


def test_a_folder_that_holds_something_else_is_not_replaced_by_a_model(data):
    # A model that is called like the folder of the training images, beside which it is to lie.
    before = sorted((data / "images").iterdir())
    with pytest.raises(ConfigError, match="images holds something else than a model"):
        train(dataclasses.replace(CONFIG, name="images"), [Collection(data)], data, "cpu", workers=0)
    assert sorted((data / "images").iterdir()) == before


def test_a_place_that_cannot_be_written_is_refused_in_one_line(data, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NucDLError, match="cannot be made"):
        train(CONFIG, [Collection(data)], tmp_path / "file" / "models", "cpu", workers=0)
    (tmp_path / CHECKPOINT / "in_the_way").mkdir(parents=True)
    network = build_network(CONFIG.architecture, CONFIG.arguments)
    with pytest.raises(NucDLError, match="cannot be written"):
        save_checkpoint(tmp_path / CHECKPOINT, TrainingState(network, network, torch.optim.AdamW(network.parameters())))


def test_a_log_that_cannot_be_written_is_refused_in_one_line(data, tmp_path):
    (tmp_path / LOG).mkdir()
    config = dataclasses.replace(CONFIG, steps=50, batch=1, checkpoint_every=50)
    with pytest.raises(NucDLError, match=r"log.jsonl: cannot be written"):
        train_network(config, read_annotated_images(data), tmp_path, "cpu", workers=0)


def test_the_learning_rate_rises_and_then_falls():
    config = dataclasses.replace(CONFIG, steps=1000)
    rates = [learning_rate(config, step) for step in (0, 100, 200, 600, 999)]
    assert rates[0] < rates[1] < rates[2] > rates[3] > rates[4] > 0


def test_images_of_other_modalities_are_learnt_from_but_do_not_validate(data):
    sources = read_annotated_images(data)
    names = {source.name: source.modality for source in sources}
    training, validation = split(sources, dataclasses.replace(CONFIG, modality="fluorescence"))
    assert len(training) == 2
    assert [names[source.name] for source in validation] == ["fluorescence"]


def test_too_few_images_to_split_are_refused(data):
    with pytest.raises(ImageError, match="at least one each is needed"):
        split(read_annotated_images(data)[:1], CONFIG)


@pytest.mark.parametrize(
    "text, reason",
    [
        ("{", "not a readable JSON file"),
        ("[1]", "holds a list"),
        (json.dumps({"name": "x", "stepz": 1}), "unknown setting stepz"),
        (json.dumps({"name": "x", "steps": 0}), "steps is 0"),
        (json.dumps({"name": "../x"}), "use letters, digits and underscores"),
        (json.dumps({"name": "x", "seed": -1}), "seed is -1"),
        (json.dumps({"name": "x", "diameter_range": [9, 3]}), "from 9.0 to 3.0; give the smallest"),
        (json.dumps({"steps": 1}), "this setting is missing, in name"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason):
        read_train_config(path)


def test_training_is_the_same_with_the_same_seed(data, tmp_path):
    sources = read_annotated_images(data)
    weights = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        weights.append(load_file(train_network(CONFIG, sources, tmp_path / name, "cpu", workers=0)))
    assert all(np.allclose(weights[0][key], weights[1][key], atol=1e-6) for key in weights[0] if key != "seconds")
    assert torch.initial_seed() == CONFIG.seed + CONFIG.steps - 1


INSTANCES = dataclasses.replace(
    CONFIG,
    name="tiny_instances",
    architecture="maskrcnn",
    arguments={"widths": [4, 4, 8, 8, 8], "channels": 8},
    crop_size=64,
    steps=4,
    checkpoint_every=2,
    canonical_diameter=16,
    simulated_share=0.0,
    stages=(Stage(until=0.5, learning_rate=1e-3), Stage(until=1.0, learning_rate=1e-4, trains="heads")),
)


def test_a_mask_r_cnn_is_trained_and_bundled_in_the_same_way(data, tmp_path, monkeypatch):
    # The untrained network finds nuclei everywhere.
    monkeypatch.setattr(maskrcnn, "MOST_NUCLEI", 20)
    monkeypatch.setattr(training, "SIMULATED", 1)
    folder = train(INSTANCES, [Collection(data)], tmp_path, "cpu", workers=0)
    description = read_bundle(folder).description
    assert description.decision.decoder == "instances"
    assert description.companion.name == "nuclei_unet"
    assert description.training["config"]["stages"][1]["trains"] == "heads"
    assert "the model `nuclei_unet` estimates that size" in (folder / "README.md").read_text()
    load_model(folder, "cpu").self_test(folder)
    # Once more: what has been trained is only calibrated anew.
    trained = (tmp_path / "checkpoint.safetensors").stat().st_mtime_ns
    assert train(INSTANCES, [Collection(data)], tmp_path, "cpu", workers=0) == folder
    assert (tmp_path / "checkpoint.safetensors").stat().st_mtime_ns == trained
    assert read_bundle(folder).description.decision == description.decision


def test_a_run_of_a_mask_r_cnn_that_was_stopped_ends_like_one_that_was_not(data, tmp_path):
    sources = read_annotated_images(data)
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = train_network(INSTANCES, sources, tmp_path / "whole", "cpu", workers=0)
    with pytest.raises(KeyboardInterrupt):
        train_network(INSTANCES, Interrupted(sources, crops=5), tmp_path / "parts", "cpu", workers=0)
    parts = train_network(INSTANCES, sources, tmp_path / "parts", "cpu", workers=0)
    assert_same_weights(whole, parts, 1e-5)


def test_a_companion_that_is_no_u_net_is_refused_before_training(data, tmp_path, tiny_instance_bundle):
    with pytest.raises(BundleError, match="one of the family unet is needed"):
        train(
            dataclasses.replace(INSTANCES, companion=str(tiny_instance_bundle)),
            [Collection(data)],
            tmp_path / "out",
            "cpu",
        )
    assert not list((tmp_path / "out").iterdir())


def test_the_configuration_of_the_second_family_fits_the_default_model():
    config = read_train_config(REPOSITORY / "training" / "nuclei_maskrcnn.json")
    network = build_network(config.architecture, config.arguments)
    start_from(network, config.initial)
    assert [stage.trains for stage in config.stages] == ["all", "late", "heads"]
    assert [stage.learning_rate for stage in config.stages] == [1e-3, 5e-4, 1e-4]


def test_a_model_says_for_which_images_it_was_made(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SIMULATED", 1)
    sources = read_annotated_images(data)
    own = training.purpose_of(CONFIG, sources, general=False)
    assert own.bits == (8,)
    smallest, largest = own.diameter_range
    assert 10 < smallest <= largest < 25
    assert {source.modality for source in sources} == {"fluorescence", "other"}
    assert own.modality == "fluorescence"
    general = training.purpose_of(CONFIG, sources, general=True)
    assert general.diameter_range == CONFIG.diameter_range
    alike = [dataclasses.replace(source, modality="confocal") for source in sources]
    assert training.purpose_of(CONFIG, alike, general=False).modality == "confocal"
    dark = [dataclasses.replace(source, modality="", inverted=True) for source in sources]
    assert training.purpose_of(CONFIG, dark, general=False).modality == ""
    bundle = read_bundle(train(CONFIG, [Collection(data)], tmp_path, "cpu", workers=0))
    assert bundle.description.made_for.diameter_range == CONFIG.diameter_range


def test_groups_are_split_as_a_whole_and_each_kind_is_reported():
    images = [annotated_disks(name=str(number), group=f"mouse{number % 3}") for number in range(6)]
    tissue = [dataclasses.replace(image, collection="tissue") for image in images]
    cells = [dataclasses.replace(annotated_disks(name=f"cell {n}"), collection="cells") for n in range(30)]
    training_images, validation = split([*tissue, *cells], dataclasses.replace(CONFIG, validation_parts=3))
    sides = [{image.group for image in side if image.group} for side in (training_images, validation)]
    assert len(sides[1]) == 1
    assert not sides[0] & sides[1]
    kinds = training.scores_on(validation, untrained_map_model())["kinds"]
    assert set(kinds) == {"tissue", "cells 96 x 128"}
    assert kinds["tissue"]["images"] == 2
