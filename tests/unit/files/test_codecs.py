"""Compressions that need imagecodecs: what is read where it is installed, and what is said where it is not."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from nucdl_core.errors import ImageError
from nucdl_core.files import codecs
from nucdl_core.files.decoding import Limits, read_raster, read_tiff

ROWS, COLS = np.indices((70, 90))
WAVES = 127 + 100 * np.sin(COLS / 9) * np.cos(ROWS / 7)
GREY = {
    "uint8": WAVES.astype(np.uint8),
    "uint16": (WAVES * 200).astype(np.uint16),
    "int16": (WAVES * 100 - 9000).astype(np.int16),
    "float32": WAVES.astype(np.float32),
}
COLOUR = np.stack([WAVES, WAVES / 2, 255 - WAVES], axis=2).astype(np.uint8)
EXACT = [("zstd", kind) for kind in GREY] + [("lzma", kind) for kind in GREY]
EXACT += [("jpeg2000", kind) for kind in ("uint8", "uint16", "int16")]
TILES, BOTH_PREDICTORS = {"tile": (32, 32)}, {"predictor": True}


@pytest.fixture
def imagecodecs():
    return pytest.importorskip("imagecodecs")


@pytest.fixture
def without_imagecodecs(monkeypatch):
    monkeypatch.setattr(codecs, "lacking", lambda extra: ["imagecodecs"])


def written(array, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, metadata=None, **options)
    return stream.getvalue()


def read(data):
    return read_tiff(io.BytesIO(data), None, Limits()).samples


@pytest.mark.parametrize("compression, kind", EXACT)
@pytest.mark.parametrize("options", [{}, TILES, {"rowsperstrip": 11}, BOTH_PREDICTORS], ids=str)
def test_what_is_stored_without_loss_is_read_to_the_number(imagecodecs, compression, kind, options):
    if compression == "jpeg2000" and "predictor" in options:
        options = {}
    samples = read(written(GREY[kind], compression=compression, **options))
    assert samples.dtype == GREY[kind].dtype and np.array_equal(samples, GREY[kind])


@pytest.mark.parametrize("options", [{}, TILES, {"rowsperstrip": 16}], ids=str)
def test_jpeg_is_read_grey_and_in_colour(imagecodecs, options):
    grey = read(written(GREY["uint8"], compression="jpeg", **options))
    assert grey.shape == (70, 90) and np.abs(grey.astype(int) - GREY["uint8"]).max() <= 4
    # tifffile stores its colours as YCbCr, as microscopes do.
    data = written(COLOUR, compression="jpeg", photometric="rgb", **options)
    assert tifffile.TiffFile(io.BytesIO(data)).pages[0].photometric == 6
    assert np.abs(read(data).astype(int) - COLOUR).mean() < 3


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "zstd", "lzma"])
def test_a_part_that_is_cut_off_is_refused(imagecodecs, compression):
    data = bytearray(written(GREY["uint8"], compression=compression))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        offset, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    data[offset + count - 40 : offset + count] = bytes(40)
    with pytest.raises(ImageError, match="damaged or cut off"):
        read(bytes(data))


@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "zstd", "lzma"])
@pytest.mark.parametrize("rows", [69, 7000])
def test_a_part_of_another_size_than_its_page_is_refused(imagecodecs, compression, rows):
    tall = np.resize(GREY["uint8"], (rows, 90))
    with tifffile.TiffFile(io.BytesIO(written(tall, compression=compression, rowsperstrip=rows))) as file:
        page = file.pages[0]
        file.filehandle.seek(page.dataoffsets[0])
        part, method = file.filehandle.read(page.databytecounts[0]), page.compression
    size = codecs.PartSize(rows=70, least_rows=70, cols=90, row_bytes=90)
    with pytest.raises((ImageError, RuntimeError)):
        codecs.check_part(method, io.BytesIO(part), 0, len(part), size)


def test_16_bits_of_a_png_in_colour_are_kept(imagecodecs):
    colours = np.stack([GREY["uint16"], GREY["uint16"] // 3, GREY["uint16"] + 1], axis=2)
    assert np.array_equal(read_raster(io.BytesIO(imagecodecs.png_encode(colours)), Limits()).samples, colours)
    see_through = np.stack([GREY["uint16"], np.full((70, 90), 9, np.uint16)], axis=2)
    kept = read_raster(io.BytesIO(imagecodecs.png_encode(see_through)), Limits()).samples
    assert np.array_equal(kept, GREY["uint16"])


@pytest.mark.parametrize("compression, named", [(7, "JPEG"), (34712, "JPEG 2000"), (50000, "ZSTD"), (34925, "LZMA")])
def test_without_imagecodecs_the_line_that_installs_it_is_said(without_imagecodecs, compression, named):
    with pytest.raises(ImageError, match=rf'compression is {named}, which needs .* pip install "nucdl\[formats\]"; or'):
        codecs.require_codec(compression, 8)


def test_what_would_not_come_back_to_the_number_is_refused():
    with pytest.raises(ImageError, match="the compression is JPEG of 12-bit numbers; save"):
        codecs.require_codec(codecs.JPEG, 12)
    with pytest.raises(ImageError, match="the compression is JPEG 2000 of 32-bit numbers; save"):
        codecs.require_codec(34712, 32)


def test_pillow_alone_tells_the_size_of_a_part():
    stream = io.BytesIO()
    Image.fromarray(GREY["uint8"]).save(stream, "JPEG")
    part, size = stream.getvalue(), codecs.PartSize(rows=70, least_rows=70, cols=90, row_bytes=90)
    codecs.check_part(codecs.JPEG, io.BytesIO(part), 0, len(part), size)
    for wrong in (part[:-30], part[:200]):
        with pytest.raises(ImageError, match="ends before its image does"):
            codecs.check_part(codecs.JPEG, io.BytesIO(wrong), 0, len(wrong), size)
