"""Treatments of an image before nuclei are looked for."""

import numpy as np
import pytest
from drawings import field

from nucdl_core.config import TREATMENTS, SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.segment import segment
from nucdl_core.steps.preprocess import on_unit_scale, treat

SPOT = np.zeros((9, 9), np.uint16)
SPOT[4, 4] = 81


def test_without_treatment_the_image_is_handed_on():
    assert treat(SPOT, ()) is SPOT


@pytest.mark.parametrize("name", ["median3", "median5"])
def test_a_median_takes_single_pixels_away_and_keeps_the_numbers(name):
    assert treat(SPOT, [name]).dtype == np.uint16 and not treat(SPOT, [name]).any()


@pytest.mark.parametrize("name, side", [("mean7", 7), ("mean9", 9)])
def test_a_mean_spreads_a_pixel_over_its_surroundings(name, side):
    assert treat(SPOT, [name])[4, 4] == pytest.approx(81 / side**2)


@pytest.mark.parametrize("name", ["background", "rolling_ball"])
def test_a_slope_goes_and_nuclei_stay(name):
    image, truth = field(shape=(200, 260))
    slope = np.linspace(0, 4000, 260)[None]
    flat = treat(image + slope, [name])
    dark = flat[truth == 0]
    assert np.percentile(dark, 95) - np.percentile(dark, 5) < 0.5 * 4000
    assert flat[truth > 0].mean() - dark.mean() > 1000


def test_equalized_images_use_all_levels_alike():
    image = np.geomspace(1, 60000, 10000).reshape(100, 100).astype(np.uint16)
    assert np.percentile(treat(image, ["equalize"]), (25, 50, 75)) == pytest.approx((0.25, 0.5, 0.75), abs=0.05)


def test_edges_are_bright_where_the_image_is_steep():
    image = np.zeros((20, 20))
    image[:, 10:] = 7
    edges = treat(image, ["edges"])
    assert edges[10, 9] > 0.3 * 7 and edges[10, 2] == 0 and not edges[0].any()


def test_the_negative_of_the_negative_is_the_image():
    assert np.array_equal(treat(SPOT, ["invert", "invert"]), SPOT)


@pytest.mark.parametrize("name", TREATMENTS)
def test_a_flat_image_stays_finite(name):
    assert np.isfinite(treat(np.full((40, 40), 7, np.uint8), [name])).all()


def test_the_ball_does_the_same_whatever_the_bits():
    image, _ = field(dtype=np.uint8, peak=200)
    few, many = treat(image, ["rolling_ball"]), treat(image.astype(np.uint16) * 257, ["rolling_ball"])
    assert np.allclose(257 * few, many, rtol=0.001, atol=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_numbers_become_those_that_cellprofiler_computes_with(dtype):
    image = np.array([[0, 100, np.iinfo(dtype).max]], dtype)
    assert on_unit_scale(image).tolist() == (image / np.iinfo(dtype).max).astype(np.float32).tolist()
    assert on_unit_scale(SPOT.astype(np.float32)) is not None and on_unit_scale(image.astype(int)).dtype == int


def test_binning_comes_before_all_other_treatments():
    with pytest.raises(ConfigError, match="bin2 comes once, before all others"):
        SegmentConfig(treatments=("median3", "bin2"))


def test_treatments_are_done_in_their_order():
    first, second = treat(SPOT, ["median3", "mean7"]), treat(SPOT, ["mean7", "median3"])
    assert not first.any() and second.any()


def test_an_unknown_treatment_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match="'sharpen' is no treatment of images; there are median3, median5, mean7"):
        SegmentConfig(treatments=("median3", "sharpen"))


@pytest.mark.parametrize("name", ["median3", "background", "rolling_ball", "clahe"])
def test_nuclei_are_found_in_the_treated_image_too(name):
    image, truth = field()
    treated = segment(treat(on_unit_scale(image), [name]))
    assert treated.count == truth.max()
    assert np.array_equal(segment(image, SegmentConfig(treatments=(name,))).labels, treated.labels)
