import numpy as np
import pytest
from drawings import field

from nucdl_core.segment import segment
from nucdl_core.steps.normalize import brightest_beside_artefacts, intensity_range, normalize


def ramp(dtype=np.uint16, top=1000):
    return np.linspace(0, top, 101 * 101).reshape(101, 101).astype(dtype)


def test_background_becomes_0_and_bright_nuclei_become_1():
    scaled = normalize(ramp())
    assert scaled.dtype == np.float32
    assert scaled.min() == pytest.approx(-0.01, abs=0.002)
    assert np.percentile(scaled, 99.8) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("dtype, top", [(np.uint8, 255), (np.uint16, 4095), (np.uint32, 10**6), (np.float32, 1.0)])
def test_the_number_format_and_range_do_not_matter(dtype, top):
    steps = normalize(ramp(dtype, top))
    assert np.abs(steps - normalize(ramp(np.float64, 1.0))).max() < 0.01


def test_very_bright_spots_are_compressed_and_stay_in_order():
    image = ramp(np.float32)
    image[0, 0], image[0, 1] = 1e4, 1e5
    scaled = normalize(image)
    assert 1 < scaled[0, 0] < scaled[0, 1] < 6


@pytest.mark.parametrize("value", [0, 7])
def test_a_flat_image_becomes_0(value):
    assert not normalize(np.full((9, 9), value, np.uint8)).any()


def test_only_pixels_inside_the_mask_are_measured():
    image = ramp()
    mask = np.zeros(image.shape, bool)
    mask[:50] = True
    assert intensity_range(image, mask)[1] < 500 < intensity_range(image)[1]


def test_an_empty_mask_gives_a_flat_image():
    image = ramp()
    assert intensity_range(image, np.zeros(image.shape, bool)) == (0, 0)


def test_the_image_is_not_modified():
    image = ramp(np.float32)
    before = image.copy()
    normalize(image)
    assert (image == before).all()


def with_crystal(image, times, side=12):
    """An image with a square that is so many times brighter than its nuclei."""
    low, high = np.percentile(image, (1, 99.8))
    crystal = image.astype(np.float64)
    crystal[2 : 2 + side, 2 : 2 + side] += (high - low) * times
    return crystal


@pytest.mark.parametrize("times", [6, 12, 30, 100])
def test_a_crystal_does_not_change_the_range_of_the_nuclei(times):
    image = field()[0]
    low, high = intensity_range(image)
    with_it = intensity_range(with_crystal(image, times))
    assert with_it == pytest.approx((low, high), rel=0.05)


def test_a_crystal_costs_no_nuclei():
    image, truth = field()
    found = segment(with_crystal(image, 30))
    assert np.unique(truth[(truth > 0) & (found.labels > 0)]).size == truth.max()


def test_bright_nuclei_are_no_crystals():
    image, _ = field()
    assert brightest_beside_artefacts(image, *intensity_range(image)) is None


def test_a_crystal_on_noise_alone_makes_no_nuclei_of_the_noise():
    noise = np.random.default_rng(0).normal(100, 5, (200, 200))
    assert (
        brightest_beside_artefacts(with_crystal(noise, 30), *np.percentile(with_crystal(noise, 30), (1, 99.8))) is None
    )


def test_a_crystal_outside_the_mask_does_not_count():
    image = with_crystal(field()[0], 30)
    mask = np.ones(image.shape, bool)
    mask[:20, :20] = False
    low, high = np.percentile(image[mask], (1, 99.8))
    assert brightest_beside_artefacts(image, low, high, mask) is None
    assert intensity_range(image, mask)[1] == pytest.approx(high, rel=0.05)


def test_a_flat_image_has_no_crystals():
    assert brightest_beside_artefacts(np.full((50, 50), 7), 7.0, 7.0) is None
