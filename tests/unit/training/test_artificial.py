"""Artificial images as something to learn from."""

import dataclasses

import numpy as np
import pytest
from drawings import disks, field

from nucdl_core.errors import ImageError
from nucdl_core.training.artificial import FEWEST, artificial_sources, with_artificial
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.crops import crop_weights
from nucdl_core.training.sources import image_of, prepare, truth_of

CONFIG = TrainConfig(name="mine", synthetic_share=0.25)


def source(name="one", group=""):
    image, truth = field()
    return prepare(name, image, truth, "fluorescence", group=group)


def test_artificial_images_are_synthetic_have_nuclei_and_the_group_of_their_image():
    made = artificial_sources([source("one", "plate"), source("two", "other")], seed=0)
    assert len(made) == FEWEST
    assert all(each.synthetic and truth_of(each).max() > 3 for each in made)
    assert {each.group for each in made} == {"plate", "other"}
    assert all(image_of(each)[truth_of(each) > 0].mean() > 0.3 for each in made)


def test_there_are_two_for_each_image_and_crowds_of_two_sizes():
    made = artificial_sources([source(f"image{number}") for number in range(15)], seed=0)
    assert len(made) == 30
    nuclei = [truth_of(each).max() for each in made]
    assert min(nuclei[:15]) != max(nuclei[15:])


def test_the_same_seed_makes_the_same_images():
    first, second = (artificial_sources([source()], seed=4)[3] for _ in range(2))
    assert np.array_equal(image_of(first), image_of(second))


def test_images_that_cannot_be_used_are_left_out_and_named(caplog):
    labels = disks((40, 40), [(0, 20)], 8)
    cut = prepare("cut", labels * 50.0 + 1, labels)
    made = artificial_sources([source(), cut], seed=0)
    assert all(each.name.startswith("one") for each in made)
    assert "the last one cut: the image has no nucleus" in caplog.text


def test_where_no_image_can_be_used_it_is_said():
    labels = disks((40, 40), [(0, 20)], 8)
    with pytest.raises(ImageError, match="no artificial images can be made of the training images"):
        artificial_sources([prepare("cut", labels * 50.0 + 1, labels)], seed=0)


def test_none_are_made_unless_wanted():
    config = dataclasses.replace(CONFIG, synthetic_share=0.0)
    assert len(with_artificial([source()], config)) == 1
    assert len(with_artificial([source()], CONFIG)) == 1 + FEWEST


def test_crops_are_cut_from_synthetic_images_as_often_as_wanted():
    sources = [source("one"), source("two"), *artificial_sources([source("one")], seed=0)]
    weights = crop_weights(sources, 0.25)
    assert weights[2:].sum() / weights.sum() == pytest.approx(0.25)
    assert weights[0] == weights[1]


def test_the_share_has_no_effect_where_all_images_are_of_one_kind():
    sources = [source("one"), source("two")]
    assert crop_weights(sources, 0.9).tolist() == crop_weights(sources, 0.0).tolist()
    synthetic = artificial_sources(sources[:1], seed=0)
    assert (crop_weights(synthetic, 0.0) > 0).all()
