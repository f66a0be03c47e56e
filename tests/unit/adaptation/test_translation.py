"""A pix2pix taught with a few pairs."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from drawings import disks

from nucdl_core.adaptation.translation import (
    CROP,
    Pair,
    TranslationConfig,
    crop_of,
    steps_of,
    train_translation,
    translate,
)
from nucdl_core.errors import BundleError, ConfigError

SMALL = TranslationConfig(epochs=2, width=4, checkpoint_every=1)


def pair(shape=(CROP, CROP), level=0.5):
    labels = disks(shape, [(60, 60), (150, 180)], 20)
    maps = np.where(labels > 0, 1, -1).astype(np.float32)[None]
    return Pair(maps, np.where(labels > 0, level, -0.8).astype(np.float32))


def test_an_epoch_has_a_step_for_each_part_of_the_images():
    pairs = [pair((2 * CROP, CROP)), pair((80, 80))]
    assert steps_of(TranslationConfig(epochs=10), pairs) == 30


def test_a_crop_holds_maps_and_image_of_the_same_place():
    maps, image = crop_of([pair((400, 300))], seed=0, step=5)
    assert maps.shape == image.shape == (1, 1, CROP, CROP)
    assert torch.equal(maps > 0, image > 0)


def test_small_images_are_mirrored_to_the_size_of_a_crop():
    maps, _ = crop_of([pair((90, 300))], seed=0, step=0)
    assert maps.shape[-2:] == (CROP, CROP)


def test_crops_differ_by_step_and_are_the_same_again():
    pairs = [pair((400, 400))]
    first, second = crop_of(pairs, 0, 1)[1], crop_of(pairs, 0, 2)[1]
    assert not torch.equal(first, second) and torch.equal(first, crop_of(pairs, 0, 1)[1])


def test_it_learns_what_nuclei_look_like(tmp_path):
    config = dataclasses.replace(SMALL, epochs=120, width=8, learning_rate=2e-3, checkpoint_every=1000)
    sample = pair()
    generator = train_translation(config, [sample], tmp_path, "cpu")
    made = translate(generator, sample.maps, np.random.default_rng(0))
    assert made.shape == (CROP, CROP)
    inside = sample.maps[0] > 0
    assert made[inside].mean() == pytest.approx(0.5, abs=0.2)
    assert made[~inside].mean() == pytest.approx(-0.8, abs=0.2)


def test_a_training_that_was_killed_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    config = dataclasses.replace(SMALL, epochs=4)
    expected = train_translation(config, [pair()], whole, "cpu").state_dict()
    calls = []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return crop_of(*arguments)

    monkeypatch.setattr("nucdl_core.adaptation.translation.crop_of", killed)
    with pytest.raises(KeyboardInterrupt):
        train_translation(config, [pair()], parts, "cpu")
    monkeypatch.undo()
    found = train_translation(config, [pair()], parts, "cpu").state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_only_the_discriminator_learns_from_telling_and_only_the_generator_from_deceiving(tmp_path):
    from nucdl_core.adaptation import translation
    from nucdl_core.adaptation.pix2pix import Pix2Pix

    network, seen = Pix2Pix(1, 4), []
    before = {name: value.clone() for name, value in network.state_dict().items()}

    class Optimizer(torch.optim.Adam):
        def step(self):
            super().step()
            now = network.state_dict()
            seen.append({name.split(".")[0] for name in now if not torch.equal(now[name], before[name])})
            before.update({name: value.clone() for name, value in now.items()})

    maps, image = crop_of([pair()], 0, 0)
    translation._learn(network, Optimizer(network.parameters(), 1e-3), maps, image, 100.0)
    assert seen == [{"discriminator"}, {"generator"}]


def test_when_the_time_is_up_it_ends_and_goes_on_with_more_time(tmp_path):
    short = dataclasses.replace(SMALL, seconds=1e-9)
    train_translation(short, [pair()], tmp_path, "cpu")
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["step"] == 1
    train_translation(SMALL, [pair()], tmp_path, "cpu")
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["step"] == 2


def test_an_image_of_any_size_is_translated(tmp_path):
    generator = train_translation(dataclasses.replace(SMALL, epochs=1), [pair()], tmp_path, "cpu")
    assert translate(generator, np.zeros((1, 70, 133), np.float32), np.random.default_rng(0)).shape == (70, 133)


def test_a_checkpoint_of_another_width_is_refused(tmp_path):
    train_translation(SMALL, [pair()], tmp_path, "cpu")
    with pytest.raises(BundleError, match="belongs to another network"):
        train_translation(dataclasses.replace(SMALL, width=8), [pair()], tmp_path, "cpu")


@pytest.mark.parametrize("name", ["epochs", "width", "checkpoint_every", "learning_rate", "faithfulness", "seconds"])
def test_settings_that_are_not_positive_are_refused_by_name(name):
    with pytest.raises(ConfigError, match=name):
        TranslationConfig(**{name: 0})
