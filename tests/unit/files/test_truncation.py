"""Cut-off TIFF files are told from whole ones by their directory."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile

from nucdl_core.errors import ImageError
from nucdl_core.files.truncation import check_source

IMAGE = np.random.default_rng(1).integers(0, 4096, (96, 80)).astype(np.uint16)
KINDS = [
    {},
    {"rowsperstrip": 8},
    {"compression": "zlib"},
    {"compression": "zlib", "tile": (32, 32)},
    {"bigtiff": True},
    {"byteorder": ">"},
]


def written(path, **options):
    tifffile.imwrite(path, IMAGE, **options)
    return path.read_bytes()


@pytest.mark.parametrize("options", KINDS)
def test_a_whole_tiff_passes(tmp_path, options):
    written(tmp_path / "a.tif", **options)
    check_source(str(tmp_path / "a.tif"))


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("share", [0.9, 0.5, 0.01])
def test_a_truncated_tiff_is_refused(tmp_path, options, share):
    path = tmp_path / "a.tif"
    content = written(path, **options)
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError):
        check_source(str(path))


def test_the_last_missing_byte_is_noticed(tmp_path):
    path = tmp_path / "a.tif"
    content = written(path)
    path.write_bytes(content[:-1])
    with pytest.raises(ImageError, match=f"page 1 needs {len(content)} bytes, there are {len(content) - 1}"):
        check_source(str(path))


def test_every_page_of_a_stack_is_looked_at(tmp_path):
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(3):
            writer.write(IMAGE)
    check_source(str(path))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageError, match="page 3"):
        check_source(str(path))


def test_a_file_that_changes_is_looked_at_again(tmp_path):
    path = tmp_path / "a.tif"
    content = written(path)
    check_source(str(path))
    path.write_bytes(content[: len(content) // 2])
    os.utime(path, ns=(1, 1))
    with pytest.raises(ImageError):
        check_source(str(path))


def test_other_formats_are_left_to_their_readers(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG cut off")
    check_source(str(path))


@pytest.mark.parametrize("path", ["", "http://somewhere/a.tif", "/no/such/file.tif"])
def test_what_is_no_file_passes(path):
    check_source(path)
