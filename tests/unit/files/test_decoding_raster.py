"""PNG, JPEG, BMP and GIF files: what is read, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from nucdl_core.errors import ImageError
from nucdl_core.files import codecs
from nucdl_core.files import decoding as pictures
from nucdl_core.files.decoding import Limits, grey

# First row and column and steps of the seven passes of an interlaced PNG file.
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
NOISE = np.random.default_rng(2).integers(0, 256, (31, 43), dtype=np.uint8)
RGB = np.random.default_rng(3).integers(0, 256, (31, 43, 3), dtype=np.uint8)


def read(data):
    return pictures.read_raster(io.BytesIO(data), Limits())


def saved(image, kind="PNG", **options):
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(rows, width, depth, colour, *more):
    """Return a PNG file with the given rows of bytes, unfiltered."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))
    content = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + content + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "array", [NOISE, RGB, NOISE.astype(np.uint16) * 257, NOISE[:1, :1]], ids=["L", "RGB", "I;16", "1"]
)
def test_a_png_gives_its_numbers(array):
    samples = read(saved(array)).samples
    assert samples.dtype == array.dtype
    assert np.array_equal(samples, array)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_in_a_png_is_left_out(mode):
    image = Image.fromarray(RGB).convert(mode)
    samples = read(saved(image)).samples
    assert np.array_equal(
        samples, np.array(image)[:, :, : 3 if mode == "RGBA" else 0] if mode == "RGBA" else np.array(image)[:, :, 0]
    )


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_numbers_in_a_png_of_few_bits_are_not_stretched(depth):
    values = np.random.default_rng(depth).integers(0, 2**depth, (3, 8))
    bits = ((values[:, :, None] >> np.arange(depth)[::-1]) & 1).reshape(3, -1).astype(np.uint8)
    picture = read(png(np.packbits(bits, axis=1), 8, depth, 0))
    assert picture.samples.dtype == np.uint8
    assert np.array_equal(picture.samples, values)


@pytest.mark.parametrize("colour", [2, 4, 6])
def test_16_bit_colours_in_a_png_are_refused_because_pillow_cuts_them_to_8(colour, monkeypatch):
    monkeypatch.setattr(codecs, "lacking", lambda extra: ["imagecodecs"])
    values = np.zeros((5, 7 * {2: 3, 4: 2, 6: 4}[colour] * 2), np.uint8)
    with pytest.raises(ImageError, match="only 8 of 16 bits"):
        read(png(values, 7, 16, colour))


def test_a_png_palette_is_reported_and_applied_by_grey():
    picture = read(png([[0, 1, 2]], 3, 8, 3, chunk(b"PLTE", bytes([5, 5, 5, 9, 9, 9, 7, 7, 7]))))
    assert picture.samples.tolist() == [[0, 1, 2]]
    assert grey(picture).tolist() == [[5, 9, 7]]


def test_a_png_index_without_a_colour_is_refused():
    with pytest.raises(ImageError, match="colour 2, the palette has 1"):
        grey(read(png([[0, 1, 2]], 3, 8, 3, chunk(b"PLTE", bytes([5, 5, 5])))))


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 5), (9, 13), (16, 8)])
@pytest.mark.parametrize("depth", [1, 8])
def test_an_interlaced_png_is_read(shape, depth):
    values = np.random.default_rng(depth).integers(0, 2**depth, shape, dtype=np.uint8)
    stream = b""
    for row, col, down, across in PASSES:
        part = values[row::down, col::across]
        rows = np.packbits(part, axis=1) if depth == 1 else part
        stream += b"".join(b"\0" + bytes(line) for line in rows) if part.size else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", shape[1], shape[0], depth, 0, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(stream)) + chunk(b"IEND", b"")
    assert np.array_equal(read(data).samples, values)


@pytest.mark.parametrize("array", [NOISE, RGB, NOISE.astype(np.uint16) * 257], ids=["L", "RGB", "I;16"])
def test_a_png_cut_off_anywhere_is_refused(array):
    data = saved(array)
    for length in range(8, len(data), 13):
        with pytest.raises(ImageError, match="damaged or cut off"):
            read(data[:length])


def test_a_png_with_a_flipped_byte_is_refused_or_the_same():
    data = saved(NOISE)
    for position in range(8, len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1
        try:
            samples = read(bytes(damaged)).samples
        except ImageError:
            continue
        assert position >= len(data) - 12  # The last part has no content whose length would matter.
        assert np.array_equal(samples, NOISE)


@pytest.mark.parametrize("height", [1, 2, 4])
def test_a_png_with_another_number_of_rows_is_refused_although_its_checksums_are_right(height):
    data = png([[1, 2, 3]] * 3, 3, 8, 0)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, height, 8, 0, 0, 0, 0))
    with pytest.raises(ImageError, match="does not have the size of the image"):
        read(data[:8] + header + data[8 + len(header) :])


def test_a_lenient_setting_of_pillow_elsewhere_changes_nothing(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = saved(NOISE, "JPEG")
    with pytest.raises(ImageError, match="damaged or cut off"):
        read(data[: len(data) // 2])
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_pillows_bomb_limit_does_not_apply(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert np.array_equal(read(saved(NOISE)).samples, NOISE)


def test_a_png_bomb_is_refused():
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="bomb"):
        read(bomb)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png([[1]], 1, 8, 7), "damaged"),
        (png([[1]], 1, 3, 0), "damaged"),
        (png([[1]], 1, 8, 0, chunk(b"IHDR", bytes(13))), "damaged"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "damaged"),
        (png([], 1, 8, 0), "damaged|0 x 1"),
    ],
)
def test_a_png_with_a_wrong_content_is_refused(data, message):
    with pytest.raises(ImageError, match=message):
        read(data)


@pytest.mark.parametrize("kind", ["BMP", "GIF"])
def test_other_lossless_files_give_their_numbers(kind):
    assert np.array_equal(grey(read(saved(NOISE, kind))), NOISE)


@pytest.mark.parametrize("kind", ["BMP", "GIF"])
def test_the_palette_of_other_files_is_reported_and_applied_by_grey(kind):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 40, 40, 1, 2, 3])
    picture = read(saved(image, kind))
    assert picture.palette[picture.samples[0]].tolist() == [[10, 20, 30], [40, 40, 40], [1, 2, 3]]
    assert grey(picture).tolist() == [[20, 40, 2]]


def test_a_bmp_in_colour_is_read():
    assert np.array_equal(read(saved(RGB, "BMP")).samples, RGB)


@pytest.mark.parametrize("array", [NOISE, RGB], ids=["L", "RGB"])
def test_a_jpeg_is_read_nearly(array):
    smooth = np.full_like(array, 90)
    samples = read(saved(smooth, "JPEG", quality=95)).samples
    assert samples.shape == array.shape
    assert np.abs(samples.astype(int) - 90).max() <= 3


def test_a_cmyk_jpeg_is_refused():
    with pytest.raises(ImageError, match="colour space is CMYK"):
        read(saved(Image.fromarray(RGB).convert("CMYK"), "JPEG"))


def test_an_animated_gif_is_refused():
    frames = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    with pytest.raises(ImageError, match="animated"):
        read(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_other_files_that_are_cut_off_are_refused(kind, share):
    data = saved(NOISE, kind)
    with pytest.raises(ImageError, match="damaged or cut off"):
        read(data[: int(len(data) * share)])


def test_a_gif_that_claims_a_huge_size_is_refused():
    data = bytearray(saved(NOISE, "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageError, match=r"damaged|limit"):
        read(bytes(data))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "I;16"])
def test_pixels_that_are_copied_part_by_part_are_those_of_the_image(monkeypatch, mode):
    image = Image.fromarray(NOISE.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(RGB).convert(mode)
    data = saved(image)
    whole = read(data).samples
    monkeypatch.setattr(pictures, "STRIP_PIXELS", 43 * 4)
    parts = read(data).samples
    assert parts.dtype == whole.dtype and np.array_equal(parts, whole)
