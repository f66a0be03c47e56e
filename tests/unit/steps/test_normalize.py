import numpy as np
import pytest

from nucdl_core.steps.normalize import intensity_range, normalize


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
