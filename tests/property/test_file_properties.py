"""What holds for every file: it is read as it was written, or refused."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from nucdl_core.errors import ImageError
from nucdl_core.files import reading as files
from nucdl_core.files import writing

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)
NOISE = np.random.default_rng(8).integers(0, 4096, (24, 33)).astype(np.uint16)


@pytest.fixture(scope="module", autouse=True)
def _folder():
    with tempfile.TemporaryDirectory() as name:
        global FOLDER
        FOLDER = Path(name)
        yield


def tiff(array, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, metadata=None, **options)
    return stream.getvalue()


def pillow(array, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


# Files with a checksum over the image: a damaged one is refused or gives the same image. In a TIFF file the
# checksum does not cover the header, which tifffile writes first.
CHECKED = {
    "tiff deflate": tiff(NOISE, compression="zlib", rowsperstrip=7),
    "png 16-bit": pillow(NOISE, "PNG"),
    "png rgb": pillow(np.repeat((NOISE % 256).astype(np.uint8)[:, :, None], 3, axis=2), "PNG"),
}
# Formats without one: a damaged file may give another image, but never anything else.
UNCHECKED = {
    "tiff": tiff(NOISE, rowsperstrip=7),
    "tiff tiles": tiff(NOISE, tile=(16, 16)),
    "bigtiff": tiff(NOISE, bigtiff=True, byteorder=">"),
    "tiff lzw": pillow(NOISE, "TIFF", compression="tiff_lzw"),
    "tiff packbits": pillow(NOISE, "TIFF", compression="packbits"),
    "jpeg": pillow((NOISE % 256).astype(np.uint8), "JPEG"),
    "bmp": pillow((NOISE % 256).astype(np.uint8), "BMP"),
    "gif": pillow((NOISE % 256).astype(np.uint8), "GIF"),
}


with tifffile.TiffFile(io.BytesIO(CHECKED["tiff deflate"])) as _file:
    TIFF_HEADER = _file.pages[0].dataoffsets[0]


@st.composite
def mutated(draw, originals, headers=True):
    """Return the name of a format and its file with bytes changed, removed, repeated or cut off."""
    name = draw(st.sampled_from(sorted(originals)))
    kept = b"" if headers or "tiff" not in name else originals[name][:TIFF_HEADER]
    data = bytearray(originals[name][len(kept) :])
    for _ in range(draw(st.integers(1, 4))):
        # Often near the start or end, where headers and directories lie.
        position = draw(st.one_of(st.integers(0, len(data) - 1), st.integers(0, min(80, len(data) - 1))))
        position = draw(st.sampled_from([position, len(data) - 1 - position]))
        change = draw(st.sampled_from(["byte", "byte", "byte", "extreme", "remove", "repeat", "cut"]))
        if change == "byte":
            data[position] = draw(st.integers(0, 255))
        elif change == "extreme":
            data[position : position + 4] = draw(st.sampled_from([bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff"]))
        elif change == "remove":
            del data[position : position + draw(st.integers(1, 64))]
        elif change == "repeat":
            data[position:position] = data[position : position + draw(st.integers(1, 64))]
        else:
            del data[max(position, 1) :]
        if not data:
            data = bytearray(b"\0")
    return name, kept + bytes(data)


def read(data):
    path = FOLDER / "field.tif"
    path.write_bytes(data)
    try:
        return files.read_image(path)
    except ImageError as error:
        assert str(error).startswith(f"{path}: ")
        return None


@settings(max_examples=300, deadline=None)
@given(mutated(CHECKED, headers=False))
def test_a_damaged_file_with_a_checksum_is_refused_or_identical(case):
    name, data = case
    image = read(data)
    if image is not None:
        expected = read(CHECKED[name])
        assert image.dtype == expected.dtype
        assert np.array_equal(image, expected)


@settings(max_examples=300, deadline=None)
@given(mutated({**UNCHECKED, **CHECKED}))
def test_a_damaged_file_is_refused_or_an_image(case):
    image = read(case[1])
    if image is not None:
        assert image.ndim == 2
        assert image.size > 0
        assert image.dtype in (np.uint8, np.uint16, np.uint32, np.float32)
        assert np.isfinite(image).all()


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a"]),
)
def test_random_bytes_are_refused(data, start):
    assert read(start + data) is None


@settings(deadline=None)
@given(arrays(np.int32, SHAPES, elements=st.integers(0, 2**31 - 1)))
def test_labels_that_are_written_are_read_again(labels):
    path = FOLDER / "field_labels.tif"
    writing.write_labels(path, labels)
    again = files.read_labels(path)
    assert again.dtype == np.int32
    assert np.array_equal(again, labels)


@settings(deadline=None)
@given(
    st.sampled_from([np.uint8, np.uint16, np.uint32, np.float32]).flatmap(lambda dtype: arrays(dtype, SHAPES)),
    st.sampled_from(
        [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 3}, {"byteorder": ">"}, {"bigtiff": True}]
    ),
)
def test_an_image_is_read_as_it_was_written(array, options):
    usable = np.isfinite(array).all()
    image = read(tiff(array, photometric="minisblack", **options))
    assert (image is not None) == bool(usable)
    if image is not None:
        assert image.dtype == array.dtype
        assert np.array_equal(image, array)
