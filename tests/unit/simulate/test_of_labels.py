"""Simulated images of nuclei whose outlines are given."""

import dataclasses

import numpy as np
import pytest
from drawings import disks

from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.of_labels import simulate_labels

PLAIN = FieldConfig(
    blur=0, defocus_spread=0, haze=0, cytoplasm=0, debris=0, background=0, illumination=0, texture=0, nucleoli=0
)


def light_of(labels, **changed):
    config = dataclasses.replace(PLAIN, **{"brightness_spread": 0.0, "photons": 1e5, **changed})
    field = simulate_labels(labels, config, np.random.default_rng(0))
    return field, (field.image / 255 - config.offset) / config.peak


def test_nuclei_are_bright_where_their_labels_are_and_nowhere_else():
    labels = disks((60, 80), [(20, 20), (35, 60)], 9)
    field, light = light_of(labels)
    assert np.array_equal(field.labels, labels)
    assert light[labels > 0].min() > 0.4
    far = np.ones(labels.shape, bool)
    far[8:50, 8:75] = False
    assert np.abs(light[far]).max() < 0.05


def test_the_size_is_that_of_the_labels_not_of_the_settings():
    assert light_of(disks((31, 47), [(15, 20)], 5))[0].image.shape == (31, 47)


def test_nuclei_that_the_border_cuts_are_drawn_up_to_it():
    labels = disks((40, 40), [(0, 20), (20, 39)], 8)
    _, light = light_of(labels)
    assert light[0, 20] > 0.7 and light[20, 39] > 0.7


def test_numbers_become_gapless():
    labels = disks((40, 60), [(20, 15), (20, 42)], 8) * 7
    field, _ = light_of(labels)
    assert np.array_equal(np.unique(field.labels), [0, 1, 2])


def test_an_image_without_nuclei_is_dark():
    field, light = light_of(np.zeros((20, 30), np.int32))
    assert field.labels.max() == 0 and np.abs(light).max() < 0.05
    assert np.isnan(field.diameter)


@pytest.mark.parametrize("name, value", [("dome", 0.8), ("texture", 0.5)])
def test_settings_of_light_change_the_nuclei(name, value):
    labels = disks((60, 60), [(30, 30)], 20)
    _, light = light_of(labels, dome=0.0)
    _, changed = light_of(labels, **{"dome": 0.0, name: value})
    inner = disks((60, 60), [(30, 30)], 16) > 0
    assert changed[inner].std() > 2 * light[inner].std()


def test_the_same_seed_gives_the_same_image():
    labels = disks((40, 60), [(20, 15), (20, 42)], 8)
    assert np.array_equal(light_of(labels)[0].image, light_of(labels)[0].image)
