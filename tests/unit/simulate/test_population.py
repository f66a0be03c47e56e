"""How many nuclei there are, of which kinds and sizes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from clean_fields import CLEAN, make, numbers, relative_light
from scipy import ndimage

from nucdl_core.simulate.image import simulate_field


def test_as_many_nuclei_are_placed_as_asked_for():
    assert make(count=7).labels.max() == 7


def test_the_coverage_is_met_on_average():
    config = dataclasses.replace(CLEAN, size=(300, 300), count=None, coverage=0.2, diameter=14, patchiness=0.0)
    covered = [(simulate_field(config, np.random.default_rng(s)).labels > 0).mean() for s in range(5)]
    assert np.mean(covered) == pytest.approx(0.2, abs=0.03)


def test_the_median_diameter_is_met():
    field = make(count=60, size=(400, 400), diameter=20, diameter_spread=0.2)
    assert field.diameter == pytest.approx(20, rel=0.08)


def test_sizes_spread_as_asked_for():
    areas = np.bincount(make(count=80, size=(500, 500), diameter=20, diameter_spread=0.25, seed=4).labels.ravel())[1:]
    assert np.std(0.5 * np.log(areas)) == pytest.approx(0.25, abs=0.07)


def test_micronuclei_have_labels_of_their_own():
    field = make(count=6, size=(300, 300), diameter=40, micronucleus_share=1.0)
    areas = np.sort(np.bincount(field.labels.ravel())[1:])
    assert len(areas) > 6
    assert areas[0] < 0.15 * areas[-6:].min()


def test_micronuclei_too_small_to_outline_are_left_out():
    assert make(count=6, diameter=8, micronucleus_share=1.0).labels.max() <= 6


def test_mitosis_makes_pairs_and_bright_plates():
    resting, dividing = (make(count=20, size=(400, 400), mitotic_share=share) for share in (0.0, 1.0))
    assert resting.labels.max() == 20 < dividing.labels.max()
    assert relative_light(dividing).max() > 1.5 * relative_light(resting).max()


def test_brightness_differs_between_nuclei():
    field = make(brightness_spread=0.5, count=12, size=(300, 300))
    means = ndimage.mean(relative_light(field), field.labels, numbers(field.labels))
    assert means.max() > 1.8 * means.min()
