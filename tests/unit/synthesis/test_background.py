"""Background without nuclei, and empty images that have it."""

import numpy as np
import pytest
from drawings import disks

from nucdl_core.errors import ImageError
from nucdl_core.synthesis.background import background_pixels, resampled_background


def distance_image(labels):
    """An image whose grey value is the distance to the only nucleus, a disk of 5 px in the middle."""
    rows, cols = np.indices(labels.shape)
    return np.hypot(rows - labels.shape[0] // 2, cols - labels.shape[1] // 2)


def test_pixels_within_15_of_a_nucleus_do_not_count():
    labels = disks((101, 101), [(50, 50)], 5)
    pixels = background_pixels(distance_image(labels), labels)
    assert 19 < pixels.min() < 21.5


def test_where_little_is_left_the_distance_is_halved():
    labels = disks((31, 31), [(15, 15)], 5)
    pixels = background_pixels(distance_image(labels), labels)
    assert len(pixels) >= 100
    assert 5 < pixels.min() < 15


def test_without_nuclei_all_pixels_count():
    assert len(background_pixels(np.ones((9, 9)), np.zeros((9, 9), np.int32))) == 81


def test_an_image_full_of_nuclei_is_refused():
    with pytest.raises(ImageError, match="only 0 of 400 pixels belong to no nucleus"):
        background_pixels(np.ones((20, 20)), np.ones((20, 20), np.int32))


def test_an_empty_image_has_the_grey_values_of_the_background():
    made = resampled_background(np.array([3, 3, 9], np.uint8), (40, 50), np.random.default_rng(0))
    assert made.shape == (40, 50) and made.dtype == np.uint8
    assert set(np.unique(made)) == {3, 9}
    assert (made == 3).mean() == pytest.approx(2 / 3, abs=0.05)
