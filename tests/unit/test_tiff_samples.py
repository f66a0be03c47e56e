"""The layout of samples in a TIFF file; what decoding gives is tested with the reader."""

from __future__ import annotations

import dataclasses
import zlib

import numpy as np
import pytest

from nucdl_core import tiff_samples
from nucdl_core.errors import ImageError
from nucdl_core.tiff_samples import Layout

STRIPS = Layout(
    height=7,
    width=5,
    samples=3,
    planes=1,
    rows=4,
    cols=5,
    tiled=False,
    bits=16,
    kind="u",
    order="<",
    compression=1,
    predictor=1,
)
TILES = dataclasses.replace(STRIPS, rows=4, cols=3, tiled=True, samples=1)


def test_the_last_strip_holds_the_remaining_rows():
    assert (STRIPS.down, STRIPS.across) == (2, 1)
    assert STRIPS.row_bytes == 30
    assert [STRIPS.segment_bytes(number) for number in range(2)] == [120, 90]
    assert STRIPS.stored_shape == (7, 5)


def test_every_tile_is_full():
    assert (TILES.down, TILES.across) == (2, 2)
    assert [TILES.segment_bytes(number) for number in range(4)] == [24] * 4
    assert TILES.stored_shape == (8, 6)


def test_separate_channels_are_planes():
    layout = dataclasses.replace(STRIPS, planes=3)
    assert layout.channels == 1
    assert layout.row_bytes == 10


def test_packed_rows_end_with_a_full_byte():
    layout = dataclasses.replace(STRIPS, bits=12, samples=1)
    assert layout.packed
    assert layout.row_bytes == 8


@pytest.mark.parametrize(("bits", "kind"), [(24, "u"), (8, "f"), (12, "i"), (0, "u"), (16, "?")])
def test_a_type_that_cannot_be_read_is_refused(bits, kind):
    with pytest.raises(ImageError, match=f"{bits}-bit numbers of kind"):
        dataclasses.replace(STRIPS, bits=bits, kind=kind)


@pytest.mark.parametrize(("bits", "kind", "predictor"), [(32, "f", 2), (16, "u", 3), (12, "u", 2), (16, "u", 9)])
def test_a_predictor_that_does_not_go_with_the_type_is_refused(bits, kind, predictor):
    with pytest.raises(ImageError, match=f"predictor {predictor}"):
        dataclasses.replace(STRIPS, bits=bits, kind=kind, predictor=predictor, compression=8)


def test_the_predictor_of_uncompressed_data_is_ignored():
    assert dataclasses.replace(STRIPS, predictor=2).predictor == 1


def test_tiles_are_put_in_their_places():
    tiles = [np.full(12, number, "<u2").tobytes() for number in range(4)]
    image = tiff_samples.decode(TILES, tiles)[:, :, 0]
    expected = np.kron([[0, 1], [2, 3]], np.ones((4, 3), int))[:7, :5]
    assert np.array_equal(image, expected)


def test_the_decoded_array_can_be_written_to():
    assert tiff_samples.decode(STRIPS, [bytes(120), bytes(90)]).flags.writeable


def test_a_padded_last_strip_is_cut():
    layout = dataclasses.replace(STRIPS, compression=8)
    full = zlib.compress(np.arange(60, dtype="<u2").tobytes())
    image = tiff_samples.decode(layout, [full, full])
    assert image.shape == (7, 5, 3)
    assert image[4, 0].tolist() == [0, 1, 2]


def test_data_after_the_end_of_a_strip_is_refused_where_it_is_compressed():
    layout = dataclasses.replace(STRIPS, compression=8)
    with pytest.raises(ImageError, match="does not hold the 120 bytes"):
        tiff_samples.decode(layout, [zlib.compress(bytes(121)), zlib.compress(bytes(90))])


def test_more_than_4_gb_of_lzw_data_are_refused():
    class Huge(bytes):
        def __len__(self):
            return 2**32

    layout = dataclasses.replace(STRIPS, compression=5, rows=7)
    with pytest.raises(ImageError, match="more than 4 GB"):
        tiff_samples.decode(layout, [Huge()])
