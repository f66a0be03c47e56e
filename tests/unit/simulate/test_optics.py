"""Light between nuclei, focus, illumination and camera."""

from __future__ import annotations

import numpy as np
import pytest
from clean_fields import CLEAN, make, relative_light
from scipy import ndimage


@pytest.mark.parametrize("bits, dtype", [(8, np.uint8), (12, np.uint16), (16, np.uint16)])
def test_the_image_fills_the_bits_and_no_more(bits, dtype):
    field = make(bits=bits, peak=1.0, brightness_spread=0.5)
    assert field.image.dtype == dtype
    assert field.image.max() == 2**bits - 1


def test_defocus_softens_edges():
    def steepest(field):
        return float(np.abs(np.diff(relative_light(field), axis=0)).max())

    assert steepest(make(defocus=3.0)) < 0.5 * steepest(make())


def test_single_nuclei_may_be_out_of_focus():
    sharp, soft = make(diameter=30), make(diameter=30, defocus_spread=4.0)
    assert np.array_equal(sharp.labels > 0, soft.labels > 0)
    assert (relative_light(soft)[soft.labels == 0] > 0.1).sum() > 1.5 * (
        relative_light(sharp)[sharp.labels == 0] > 0.1
    ).sum()


def test_illumination_is_uneven():
    field = make(count=0, background=1.0, illumination=0.6)
    even = make(count=0, background=1.0)
    assert field.image.min() / field.image.max() < 0.6 < even.image.min() / even.image.max() + 0.2


@pytest.mark.parametrize("name", ["background", "haze", "cytoplasm"])
def test_there_is_light_between_nuclei(name):
    dark, hazy = make(), make(**{name: 0.2})
    away = ndimage.binary_dilation(dark.labels > 0, iterations=6)
    assert relative_light(hazy)[~away].mean() > relative_light(dark)[~away].mean() + 0.003


def test_debris_shines_and_is_never_labelled():
    field = make(count=0, debris=4.0)
    assert relative_light(field).max() > 0.1
    assert not field.labels.any()


def test_shot_noise_grows_with_the_light():
    field = make(count=0, background=1.0, photons=100, blur=0)
    electrons = field.image / (65535 * CLEAN.peak) * 100
    high_pass = electrons - ndimage.gaussian_filter(electrons, 3)
    assert high_pass.std() == pytest.approx(np.sqrt(electrons.mean()), rel=0.1)


def test_read_noise_and_offset_show_in_the_dark():
    field = make(count=0, offset=0.1, read_noise=50, photons=1e4)
    assert field.image.mean() == pytest.approx(6553.5, rel=0.01)
    assert field.image.std() == pytest.approx(65535 * CLEAN.peak * 50 / 1e4, rel=0.05)


def test_hot_pixels_are_single_and_bright():
    field = make(count=0, hot_pixels=0.001)
    hot = field.image > 5000
    assert 5 < hot.sum() < 45
    assert ndimage.label(hot)[1] > 0.9 * hot.sum()
