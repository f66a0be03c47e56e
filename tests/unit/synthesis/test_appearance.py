"""How images look, in numbers."""

import dataclasses

import numpy as np
import pytest
from drawings import disks

from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.synthesis.appearance import appearance_of, mean_appearance

FIELD = FieldConfig(size=(260, 260), coverage=0.2)


def disks_appearance(centres, radius=8, shape=(120, 120), **image):
    labels = disks(shape, centres, radius)
    return appearance_of(np.where(labels > 0, 110, 10).astype(np.uint8), labels)


SQUARE = [(row, col) for row in (30, 60, 90) for col in (30, 60, 90)]


def measured(**settings):
    fields = [simulate_field(dataclasses.replace(FIELD, **settings), np.random.default_rng(seed)) for seed in range(3)]
    return mean_appearance([appearance_of(field.image, field.labels) for field in fields])


def test_size_shape_and_places_are_those_of_the_labels():
    look = disks_appearance(SQUARE)
    assert look.diameter == pytest.approx(16, abs=0.5)
    assert look.diameter_spread == 0 and look.elongation == pytest.approx(1, abs=0.01)
    assert look.coverage == pytest.approx(9 * np.pi * 64 / 120**2, rel=0.05)
    assert look.spacing == pytest.approx(30 / look.diameter) and look.contact == 0


def test_contact_is_the_share_of_nuclei_that_touch():
    labels = np.zeros((60, 60), np.int32)
    for number, (row, col) in enumerate([(10, 10), (10, 20), (30, 10), (30, 40)], start=1):
        labels[row : row + 10, col : col + 10] = number
    assert appearance_of((labels > 0) * 1.0, labels).contact == 0.5


def test_grey_levels_are_shares_of_the_range_of_their_type():
    look = disks_appearance(SQUARE)
    assert (look.darkest, look.background, look.brightest) == (10 / 255, 10 / 255, 110 / 255)


def test_light_is_relative_to_the_median_nucleus():
    labels = disks((120, 120), SQUARE, 8)
    dim, bright = (appearance_of(level * (labels > 0) + 10.0, labels) for level in (2.0, 200.0))
    for name in ("texture", "haze", "brightness_spread", "noise_dark", "blur"):
        assert getattr(dim, name) == pytest.approx(getattr(bright, name), abs=1e-5)


@pytest.mark.parametrize(
    "setting, low, high, number",
    [
        ("blur", 1.0, 3.0, "blur"),
        ("photons", 2000.0, 50.0, "noise_bright"),
        ("read_noise", 0.0, 40.0, "noise_dark"),
        ("texture", 0.0, 0.4, "texture"),
        ("texture_scale", 0.03, 0.1, "grain"),
        ("dome", -0.2, 0.6, "dome"),
        ("haze", 0.0, 0.25, "haze"),
        ("brightness_spread", 0.05, 0.5, "brightness_spread"),
        ("illumination", 0.0, 0.7, "falloff"),
        ("cluster_probability", 0.0, 0.8, "contact"),
        ("background", 0.0, 0.3, "background"),
    ],
)
def test_each_number_follows_its_setting_of_the_simulator(setting, low, high, number):
    assert getattr(measured(**{setting: high}), number) > 1.1 * getattr(measured(**{setting: low}), number)


def test_blur_is_the_standard_deviation_of_the_point_spread():
    look = measured(blur=2.5, defocus_spread=0.0, dome=0.0)
    assert look.blur == pytest.approx(2.5, rel=0.15)


def test_noise_is_its_standard_deviation_relative_to_a_nucleus():
    look = measured(photons=400.0, read_noise=0.0, brightness_spread=0.0)
    assert look.noise_bright == pytest.approx(1 / np.sqrt(400), rel=0.2)


@pytest.mark.parametrize("count", [0, 2])
def test_fewer_than_three_whole_nuclei_say_nothing(count):
    assert disks_appearance(SQUARE[:count]) is None


def test_nuclei_that_are_not_brighter_than_the_background_say_nothing():
    labels = disks((120, 120), SQUARE, 8)
    assert appearance_of(np.where(labels > 0, 10, 90).astype(np.uint8), labels) is None


def test_the_look_of_several_images_is_the_median_of_each_number():
    looks = [
        dataclasses.replace(disks_appearance(SQUARE), blur=blur, haze=haze) for blur, haze in ((1, 5), (2, 3), (9, 4))
    ]
    assert (mean_appearance(looks).blur, mean_appearance(looks).haze) == (2, 4)
