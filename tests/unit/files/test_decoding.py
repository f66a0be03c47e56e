"""Limits on sizes, and the way from colours to grey."""

from __future__ import annotations

import numpy as np
import pytest

from nucdl_core.errors import ImageError
from nucdl_core.files.decoding import Limits, Picture, grey

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_a_grey_picture_keeps_numbers_and_type():
    assert grey(Picture(RAMP)) is RAMP


def test_equal_channels_give_that_channel():
    result = grey(Picture(np.repeat(RAMP[:, :, None], 3, axis=2)))
    assert result.dtype == np.uint8
    assert np.array_equal(result, RAMP)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
def test_different_channels_give_their_mean_without_rounding(dtype):
    rgb = np.stack([RAMP, RAMP + 1, RAMP + 3], axis=2).astype(dtype)
    result = grey(Picture(rgb))
    assert result.dtype == np.float32
    assert result == pytest.approx(RAMP + np.float32(4 / 3))


def test_a_pure_colour_keeps_all_its_levels():
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[:, :, 2] = np.arange(256).reshape(16, 16)
    assert len(np.unique(grey(Picture(blue)))) == 256


def test_the_sum_of_channels_does_not_overflow():
    rgb = np.array([[[255, 255, 254]]], np.uint8)
    assert grey(Picture(rgb)) == pytest.approx(np.float32(764 / 3))


def test_a_grey_palette_gives_its_values():
    palette = np.repeat(np.arange(0, 240, 20, dtype=np.uint8)[:, None], 3, axis=1)
    result = grey(Picture(RAMP, palette=palette))
    assert result.dtype == np.uint8
    assert np.array_equal(result, RAMP * 20)


def test_only_colours_in_use_decide_whether_a_palette_is_grey():
    palette = np.array([[0, 0, 0], [9, 9, 9], [255, 0, 0]], np.uint8)
    assert grey(Picture(RAMP % 2, palette=palette)).dtype == np.uint8
    assert grey(Picture(RAMP % 3, palette=palette)).max() == pytest.approx(85)


def test_an_index_without_a_colour_is_refused():
    with pytest.raises(ImageError, match="colour 11, the palette has 5"):
        grey(Picture(RAMP, palette=np.zeros((5, 3), np.uint8)))


def test_white_as_zero_is_inverted():
    assert grey(Picture(RAMP, white=255)).tolist() == (255 - RAMP).tolist()
    assert grey(Picture(RAMP.astype(np.uint16), white=4095)).dtype == np.uint16


def test_white_as_zero_is_refused_for_floats():
    with pytest.raises(ImageError, match="black as 0"):
        grey(Picture(RAMP.astype(np.float32), white=1))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_an_image_without_pixels_is_refused(shape):
    with pytest.raises(ImageError, match="at least one"):
        Limits().check(*shape, 1)


def test_too_many_pixels_are_refused():
    Limits().check(1, 10**9, 1)
    with pytest.raises(ImageError, match="more than the limit of 1000000000"):
        Limits().check(1, 10**9 + 1, 1)


def test_too_many_bytes_are_refused():
    with pytest.raises(ImageError, match="the limit is 4294967296"):
        Limits().check(1000, 1_000_000, 6)


def test_a_bomb_is_refused_and_a_small_uniform_image_is_not():
    Limits().check(10_000, 10_000, 1, stored_bytes=100)
    Limits().check(20_000, 20_000, 1, stored_bytes=2_000_000)
    with pytest.raises(ImageError, match="bomb"):
        Limits().check(20_000, 20_000, 1, stored_bytes=389_000)
