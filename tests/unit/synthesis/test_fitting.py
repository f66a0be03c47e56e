"""The simulator fitted to images."""

import dataclasses

import numpy as np
import pytest

from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.synthesis.appearance import common_appearance
from nucdl_core.synthesis.fitting import Fit, fit_simulator, misfit

SHARP = FieldConfig(size=(256, 256), coverage=0.2, diameter=24, blur=0.6, photons=2000, texture=0.3, haze=0.0)
BLURRED = FieldConfig(
    size=(256, 256), coverage=0.3, diameter=40, blur=3.0, photons=60, texture=0.05, haze=0.2, background=0.2, bits=16
)


def appearance_and_type(config):
    fields = [simulate_field(config, np.random.default_rng(seed)) for seed in range(4)]
    return common_appearance((field.image, field.labels) for field in fields), fields[0].image.dtype


def fitted(config) -> Fit:
    look, dtype = appearance_and_type(config)
    return fit_simulator(look, dtype, config.size, np.random.default_rng(9))


@pytest.mark.parametrize("truth", [SHARP, BLURRED], ids=["sharp", "blurred"])
def test_the_settings_that_made_images_are_found_again(truth):
    found = fitted(truth).config
    assert found.size == truth.size and found.bits == truth.bits
    assert found.diameter == pytest.approx(truth.diameter, rel=0.1)
    assert found.blur == pytest.approx(truth.blur, rel=0.25, abs=0.4)
    assert found.peak == pytest.approx(truth.peak, rel=0.25)
    assert found.photons == pytest.approx(truth.photons, rel=0.6)
    assert found.coverage == pytest.approx(truth.coverage, abs=0.08)


def test_simulated_fields_look_nearer_to_the_images_than_usual_ones():
    look, dtype = appearance_and_type(BLURRED)
    usual = appearance_and_type(FieldConfig(size=(256, 256), bits=16))[0]
    fit = fit_simulator(look, dtype, (256, 256), np.random.default_rng(0))
    assert misfit(look, fit.appearance) < 0.5 < misfit(look, usual)


def test_a_look_has_no_misfit_with_itself_and_a_bounded_one_with_any_other():
    look, _ = appearance_and_type(SHARP)
    assert misfit(look, look) == 0
    assert misfit(look, dataclasses.replace(look, blur=1e6)) < 0.2


def test_a_look_that_cannot_be_simulated_gives_settings_all_the_same():
    extreme = dataclasses.replace(
        appearance_and_type(SHARP)[0], diameter=2.0, blur=50.0, noise_bright=9.0, noise_dark=9.0, coverage=0.99
    )
    fit = fit_simulator(extreme, np.dtype("uint8"), (100, 120), np.random.default_rng(0))
    assert fit.config.size == (100, 120) and fit.config.diameter >= 3


def test_the_same_seed_gives_the_same_settings():
    assert fitted(SHARP).config == fitted(SHARP).config
