"""TIFF files: what is read, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tiff_writer
import tifffile
from PIL import Image

from nucdl_core.errors import ImageError
from nucdl_core.files import decoding as pictures
from nucdl_core.files.decoding import Limits

RAMP = (np.arange(7 * 5, dtype=np.uint16) * 1000).reshape(7, 5)
NOISE = np.random.default_rng(1).integers(0, 4096, (70, 50)).astype(np.uint16)


def read(data, page=None):
    return pictures.read_tiff(io.BytesIO(data), page, Limits())


def written(array, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def written_by_pillow(array, compression):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "TIFF", compression=compression)
    return stream.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_every_type_byte_order_and_size_is_read(dtype, order, big):
    array = np.arange(35).reshape(7, 5).astype(dtype)
    samples = read(tiff_writer.grey(array, order, big)).samples
    assert samples.dtype == np.dtype(dtype)
    assert samples.dtype.isnative
    assert np.array_equal(samples, array)


@pytest.mark.parametrize(
    "options",
    [
        {"rowsperstrip": 1},
        {"rowsperstrip": 9},
        {"rowsperstrip": 1000},
        {"tile": (16, 32)},
        {"tile": (128, 64)},
        {"compression": "zlib"},
        {"compression": "zlib", "rowsperstrip": 9},
        {"compression": "zlib", "tile": (16, 16)},
        {"compression": "zlib", "predictor": True},
        {"compression": "zlib", "predictor": True, "tile": (32, 16)},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"byteorder": ">", "compression": "zlib", "predictor": True},
        {"imagej": True},
        {"ome": True},
        {"metadata": None},
    ],
    ids=str,
)
def test_what_tifffile_writes_is_read_as_tifffile_reads_it(options):
    data = written(NOISE, **options)
    samples = read(data).samples
    assert samples.dtype == np.uint16
    assert np.array_equal(samples, tifffile.imread(io.BytesIO(data)))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_what_libtiff_compresses_is_read(compression, dtype):
    array = (NOISE % 200).astype(dtype)
    assert np.array_equal(read(written_by_pillow(array, compression)).samples, array)


def test_lzw_tiles_and_planes_are_read():
    strips = written_by_pillow(np.zeros((16, 16), np.uint8), "tiff_lzw")
    with tifffile.TiffFile(io.BytesIO(strips)) as file:
        page = file.pages[0]
        (zeros,) = (strips[start : start + count] for start, count in zip(page.dataoffsets, page.databytecounts))
    tags = {256: [30], 257: [20], 258: [8] * 3, 259: [5], 262: [2], 277: [3], 284: [2], 322: [16], 323: [16]}
    samples = read(tiff_writer.tiff([zeros] * 12, tags)).samples
    assert samples.shape == (20, 30, 3)
    assert not samples.any()


@pytest.mark.parametrize("planarconfig", ["contig", "separate"])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib", "rowsperstrip": 11}], ids=str)
def test_rgb_is_read_channel_last(planarconfig, options):
    rgb = np.stack([NOISE, NOISE + 1, NOISE * 2], axis=2)
    stored = rgb if planarconfig == "contig" else np.moveaxis(rgb, 2, 0)
    data = written(stored, photometric="rgb", planarconfig=planarconfig, **options)
    assert np.array_equal(read(data).samples, rgb)


def test_transparency_is_left_out():
    rgba = np.stack([NOISE, NOISE + 1, NOISE + 2, NOISE * 0], axis=2)
    data = written(rgba, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(read(data).samples, rgba[:, :, :3])
    grey = tiff_writer.tiff([bytes([1, 9, 2, 9])], {256: [2], 257: [1], 258: [8, 8], 262: [1], 277: [2], 338: [2]})
    assert read(grey).samples.tolist() == [[1, 2]]


@pytest.mark.parametrize("bits", [1, 12])
def test_numbers_that_share_bytes_are_unpacked(bits):
    array = np.random.default_rng(bits).integers(0, 2**bits, (9, 13))
    flags = (array[:, :, None] >> np.arange(bits)[::-1]) & 1
    data = np.packbits(flags.reshape(9, -1).astype(np.uint8), axis=1).tobytes()
    samples = read(tiff_writer.tiff([data], {256: [13], 257: [9], 258: [bits], 262: [1]})).samples
    assert samples.dtype == (np.uint8 if bits < 8 else np.uint16)
    assert np.array_equal(samples, array)


def test_the_floating_point_predictor_is_undone():
    array = np.random.default_rng(0).normal(size=(6, 11)).astype(np.float32)
    planes = array.astype(">f4").view(np.uint8).reshape(6, 11, 4).transpose(0, 2, 1).reshape(6, 44)
    steps = np.diff(planes, axis=1, prepend=np.uint8(0))
    compressed = zlib.compress(steps.tobytes())
    tags = {256: [11], 257: [6], 258: [32], 259: [8], 262: [1], 317: [3], 339: [3]}
    assert np.array_equal(read(tiff_writer.tiff([compressed], tags)).samples, array)


def test_white_as_zero_is_reported():
    picture = read(tiff_writer.grey(RAMP, t262=[0]))
    assert picture.white == 65535
    assert np.array_equal(picture.samples, RAMP)


def test_a_palette_is_reported():
    colours = list(range(256)) + [0] * 256 + [65535] * 256
    picture = read(tiff_writer.grey(RAMP.astype(np.uint8), t262=[3], t320=colours))
    assert picture.palette[7].tolist() == [7, 0, 65535]


def test_a_palette_of_the_wrong_size_is_refused():
    with pytest.raises(ImageError, match="palette has 5 numbers"):
        read(tiff_writer.grey(RAMP.astype(np.uint8), t262=[3], t320=[0] * 5))


def test_a_missing_byte_count_is_allowed_for_one_plain_strip():
    data = struct.pack("<4H", 1, 2, 3, 4)
    tags = {256: (3, [2]), 257: (3, [2]), 258: (3, [16]), 262: (3, [1]), 273: (4, [8])}
    file = tiff_writer.header(16) + data + tiff_writer.directory(tags, 16)
    assert read(file).samples.tolist() == [[1, 2], [3, 4]]


def test_one_pixel_is_an_image():
    assert read(written(np.array([[7]], np.uint8))).samples.tolist() == [[7]]


def test_pages_are_chosen_by_number():
    data = written(np.stack([RAMP, RAMP + 1, RAMP + 2]), photometric="minisblack")
    assert np.array_equal(read(data, 2).samples, RAMP + 2)
    with pytest.raises(ImageError, match="holds several pages; export"):
        read(data)
    for wrong in (3, -1):
        with pytest.raises(ImageError, match=f"no page {wrong}; pages are counted from 0 up to"):
            read(data, wrong)


def test_reduced_copies_are_no_pages():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(RAMP, metadata=None)
        writer.write(RAMP[::2, ::2], subfiletype=1, metadata=None)
    assert np.array_equal(read(stream.getvalue()).samples, RAMP)


def test_a_file_of_reduced_copies_only_is_refused():
    with pytest.raises(ImageError, match="no page"):
        read(tiff_writer.grey(RAMP, t254=[1]))


@pytest.mark.parametrize(
    ("data", "planes"),
    [
        (tiff_writer.grey(RAMP, t33629=(4, [0] * 5)), 5),
        (tiff_writer.grey(RAMP, t32997=[4]), 4),
        (written(np.stack([RAMP] * 3), truncate=True, photometric="minisblack"), 3),
        (tiff_writer.grey(RAMP, t270=(2, b"ImageJ=1.53\nimages=3\nslices=3\n\0")) + bytes(1000), 3),
    ],
    ids=["MetaMorph", "ImageDepth", "tifffile", "ImageJ"],
)
def test_a_stack_behind_one_page_is_refused(data, planes):
    with pytest.raises(ImageError, match=f"stack of {planes} planes"):
        read(data)


@pytest.mark.parametrize("text", [b"ImageJ=1.53\nimages=3\n\0", b'{"shape": [3, 7, 5]}\0'])
def test_the_description_of_a_stack_without_its_bytes_is_no_stack(text):
    assert np.array_equal(read(tiff_writer.grey(RAMP, t270=(2, text))).samples, RAMP)


@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 5}, {"compression": "zlib"}, {"tile": (16, 16)}], ids=str)
def test_a_file_cut_off_anywhere_is_refused(options):
    data = written(NOISE, metadata=None, software=False, **options)
    complete = read(data).samples
    for length in range(8, len(data), 97):
        try:
            samples = read(data[:length]).samples
        except ImageError as error:
            assert "copy or export it again" in str(error)
        else:  # What came after the image's last byte is cut off.
            assert np.array_equal(samples, complete)
            assert length > len(data) - 64


def test_image_data_before_the_directory_may_not_be_cut_out():
    data = tiff_writer.grey(NOISE)
    with pytest.raises(ImageError):
        read(data[:3000] + data[4000:])


def test_a_flipped_byte_in_compressed_data_is_refused():
    data = bytearray(written(NOISE, compression="zlib", metadata=None))
    data[len(data) // 2] ^= 0x10
    with pytest.raises(ImageError, match="damaged or cut off"):
        read(bytes(data))


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits"])
def test_lzw_and_packbits_data_that_ends_early_is_refused(compression):
    data = written_by_pillow(NOISE, compression)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        start, count = page.dataoffsets[-1], page.databytecounts[-1]
        rows = page.rowsperstrip
        number = page.compression
    part = data[start : start + count // 2]
    last = NOISE.shape[0] % rows or rows
    with pytest.raises(ImageError, match="damaged or cut off"):
        read(tiff_writer.tiff([part], {256: [50], 257: [last], 258: [16], 259: [int(number)], 262: [1]}))


def test_a_strip_that_inflates_to_too_much_is_refused_without_inflating_it():
    bomb = zlib.compress(bytes(5_000_000))
    with pytest.raises(ImageError, match="does not hold the 35 bytes"):
        read(tiff_writer.tiff([bomb], {256: [5], 257: [7], 258: [8], 259: [8], 262: [1]}))


def test_a_compressed_strip_that_is_too_short_is_refused():
    short = zlib.compress(bytes(34))
    with pytest.raises(ImageError, match="does not hold the 35 bytes"):
        read(tiff_writer.tiff([short], {256: [5], 257: [7], 258: [8], 259: [8], 262: [1]}))


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"t258": [24]}, "24-bit numbers"),
        ({"t258": [16], "t339": [6]}, "16-bit numbers of format 6"),
        ({"t258": [16], "t259": [7]}, "compression is JPEG of 16-bit numbers"),
        ({"t259": [999]}, "compression is 999"),
        ({"t259": [8]}, "damaged or cut off"),
        ({"t262": [5]}, "colour space is CMYK"),
        ({"t262": [6]}, "colour space is YCbCr, as in JPEG; save the image as grey or RGB"),
        ({"t262": [77]}, "colour space is number 77"),
        ({"t262": [2]}, "has 1 channels"),
        ({"t262": [3], "t320": (2, b"no colours\0" * 9)}, "damaged or cut off"),
        ({"t266": [2]}, "reverse order"),
        ({"t256": [0]}, "7 x 0 pixels"),
        ({"t257": [700]}, "its parts take 7000 bytes, the file has"),
        ({"t278": [1]}, "has 7 parts, but 1 are listed"),
        ({"t278": [0]}, "damaged or cut off"),
        ({"t273": (4, [900])}, "part 1 of 1 is not in"),
        ({"t273": (4, [0])}, "part 1 of 1 is not in"),
        ({"t279": (4, [0])}, "damaged or cut off"),
        ({"t279": (4, [2**32 - 1])}, "damaged or cut off"),
        ({"t256": (2, b"five\0")}, "damaged or cut off"),
        ({"t257": (4, [])}, "damaged or cut off|at least one"),
    ],
)
def test_a_page_with_wrong_tags_is_refused(tags, message):
    data = tiff_writer.grey(RAMP, **tags)
    with pytest.raises(ImageError, match=message):
        read(data)


def test_several_channels_are_refused():
    data = written(np.stack([NOISE, NOISE], axis=2), photometric="minisblack", planarconfig="contig")
    with pytest.raises(ImageError, match="2 channels; export"):
        read(data)


def test_a_count_beyond_the_end_of_the_file_does_no_harm_where_the_pixels_are_there():
    for more in (1, 9, 60):
        data = tiff_writer.grey(RAMP, t279=(4, [RAMP.nbytes + more]))
        assert np.array_equal(read(data).samples, RAMP)


def test_strips_that_share_bytes_are_refused():
    tags = {256: [5], 257: [7], 258: [16], 262: [1], 278: [1], 273: (4, [8] * 7), 279: (4, [60] * 7)}
    with pytest.raises(ImageError, match="its parts take 420 bytes, the file has"):
        read(tiff_writer.tiff([RAMP.tobytes()], tags))


def test_a_bomb_is_refused_before_it_is_decoded():
    compressed = zlib.compress(bytes(1000))
    tags = {256: (4, [20_000]), 257: (4, [20_000]), 258: [16], 259: [8], 262: [1]}
    with pytest.raises(ImageError, match="bomb"):
        read(tiff_writer.tiff([compressed], tags))
    tags[256] = (4, [2**20])
    with pytest.raises(ImageError, match="more than the limit of 1000000000"):
        read(tiff_writer.tiff([compressed], tags))


def test_a_huge_tile_counts_in_full():
    tags = {256: [5], 257: [7], 258: [8], 262: [1], 322: (4, [2**20]), 323: (4, [2**20])}
    with pytest.raises(ImageError, match="more than the limit"):
        read(tiff_writer.tiff([bytes(64)], tags))


def test_a_ring_of_reduced_copies_is_refused():
    data = bytearray(tiff_writer.grey(RAMP, t254=[1]))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    with pytest.raises(ImageError, match="leads back to itself"):
        read(bytes(data))


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0",
        b"II*\0\0\0\0\0",
        b"II*\0\xff\xff\xff\xff",
        b"XX*\0\x08\0\0\0",
        b"II+\0\x08\0\0\0",
        b"II+\0\x04\0\0\0" + bytes(8),
        b"II*\0\x08\0\0\0\0\0\0\0\0\0",
        b"II*\0\x08\0\0\0\xff\xff",
    ],
)
def test_a_broken_start_is_refused(data):
    with pytest.raises(ImageError, match="copy or export it again"):
        read(data)


def test_a_ring_of_pages_is_refused():
    data = bytearray(tiff_writer.grey(RAMP))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    with pytest.raises(ImageError, match="leads back to itself"):
        read(bytes(data))


def test_a_million_pages_are_refused_at_once(monkeypatch):
    page = tiff_writer.directory({256: (3, [1])}, 0)
    length = len(page)
    pages = np.frombuffer(page * 1_000_000, np.uint8).reshape(-1, length).copy()
    pages[:, -4:] = (8 + length * np.arange(1, 1_000_001, dtype="<u4"))[:, None].view(np.uint8)
    data = tiff_writer.header(8) + pages.tobytes() + page
    with pytest.raises(ImageError, match="several pages"):
        read(data)
    monkeypatch.setattr(pictures, "MAX_PAGES", 1000)
    with pytest.raises(ImageError, match="more than 1000 pages"):
        read(data, 900_000)


def test_a_tag_that_claims_more_values_than_the_file_has_is_refused():
    data = bytearray(tiff_writer.grey(RAMP))
    (first,) = struct.unpack_from("<I", data, 4)
    struct.pack_into("<I", data, first + 2 + 12 * 2 + 4, 2**31)  # The third tag is the number of bits.
    with pytest.raises(ImageError, match="damaged or cut off"):
        read(bytes(data))


def test_a_file_that_shrinks_while_it_is_read_is_refused():
    class Shrinking(io.BytesIO):
        def read(self, count=-1):
            return super().read(count)[:20]

    with pytest.raises(ImageError, match="damaged or cut off"):
        pictures.read_tiff(Shrinking(tiff_writer.grey(RAMP)), None, Limits())
