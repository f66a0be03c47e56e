"""Images are read strictly before CellProfiler sees them: what is refused and why, and what is noted."""

import dataclasses
import hashlib
import io
import os
import re
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiff_writer
import tifffile
from PIL import Image

from nucdl_core.errors import ImageError
from nucdl_core.screen.core import inspection as strict
from nucdl_core.screen.core.columns import ImageFile
from nucdl_core.screen.core.inspection import (
    focus,
    inspect_file,
    inspect_image_set,
    time_limit,
)
from nucdl_core.screen.core.plan import ScreenError, ScreenLimits

LIMITS = ScreenLimits()
NOISE = np.random.default_rng(3).integers(1, 3000, (40, 30)).astype(np.uint16)


def tif(array, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def inspect(tmp_path):
    """Return a function that writes bytes as the images of an image set and inspects it."""

    def run(*contents, name="image.tif", limits=LIMITS):
        row = {}
        for channel, content in zip(("DNA", "RNA"), contents):
            folder = tmp_path / channel
            folder.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
            row[f"Image_FileName_{channel}"], row[f"Image_PathName_{channel}"] = name, str(folder)
        return inspect_image_set(row, limits)

    return run


def bomb_png(side):
    """Return a 1-bit PNG file of side x side black pixels."""

    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = bytes(1 + (side + 7) // 8)
    compressor = zlib.compressobj(9)
    data = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", data) + part(b"IEND", b"")


def bomb_tif(side):
    """Return a Deflate TIFF file of side x side black pixels in strips of 1000 rows."""
    strip = zlib.compress(bytes(2 * side * 1000), 9)
    tags = {256: (4, [side]), 257: (4, [side]), 258: [16], 259: [8], 262: [1], 278: (4, [1000])}
    return tiff_writer.tiff([strip] * (side // 1000), tags)


def flipped(content, place):
    changed = bytearray(content)
    changed[place] ^= 0xFF
    return bytes(changed)


MULTI_STRIP = tif(NOISE, rowsperstrip=8)
COMPRESSED = tif(NOISE, compression="zlib", rowsperstrip=8)


def test_a_sound_image_is_described(inspect, tmp_path):
    found = inspect(tif(NOISE))
    (facts,) = found.images
    assert (found.reason, found.flags) == (None, ())
    assert (facts.name, facts.path, facts.height, facts.width) == ("DNA", str(tmp_path / "DNA/image.tif"), 40, 30)
    assert (facts.number_type, facts.lowest, facts.highest) == ("uint16", NOISE.min(), NOISE.max())
    assert facts.file_bytes == len(tif(NOISE)) and facts.changed_ns > 0
    assert len(facts.sha256) == 64 and facts.sha256 != inspect(tif(NOISE + 1)).images[0].sha256


REFUSED = {
    "cut.png": (png(NOISE)[:900], "damaged or cut off"),
    "random.png": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "damaged or cut off"),
    "zero.tif": (b"", "the file is empty"),
    "text.png": (b"this is no picture\n", "no image that can be read"),
    "half.tif": (tif(NOISE)[: len(tif(NOISE)) // 2], "damaged or cut off"),
    "tenth.tif": (tif(NOISE)[: len(tif(NOISE)) // 10], "damaged or cut off"),
    "strips.tif": (MULTI_STRIP[:-500], "damaged or cut off"),
    "flipped.tif": (flipped(COMPRESSED, len(COMPRESSED) // 2), "damaged or cut off"),
    "nan.tif": (tif(np.where(NOISE > 2990, np.nan, 0.5).astype(np.float32)), "are NaN"),
    "inf.tif": (tif(np.where(NOISE > 2990, np.inf, 0.5).astype(np.float32)), "infinite"),
    "colour.png": (png(np.random.default_rng(1).integers(0, 9, (9, 9, 3), np.uint8)), "is in colour"),
    "pages.tif": (tif(np.stack([NOISE] * 3), photometric="minisblack"), "several pages|stack of 3"),
    "long.tif": (tif(NOISE.astype(np.int64)), "int64, which CellProfiler cannot read; save 16 or 32 bits"),
    "folder.npy": (b"\x93NUMPY", "not an array that can be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_measured_is_refused_with_file_and_reason(inspect, name):
    content, reason = REFUSED[name]
    found = inspect(content, name=name)
    assert found.images == ()
    assert f"DNA{os.sep}{name}: " in found.reason
    assert re.search(reason, found.reason)


@pytest.mark.parametrize(("name", "bomb", "side"), [("bomb.tif", bomb_tif, 20_000), ("bomb.png", bomb_png, 30_000)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(inspect, name, bomb, side):
    content = bomb(side)
    assert len(content) < 800_000
    assert "more than the limit of 100000000" in inspect(content, name=name).reason


def test_a_bomb_below_the_limit_of_pixels_is_refused_by_its_bytes(inspect):
    limits = dataclasses.replace(LIMITS, decoded_bytes=10**6)
    assert "take 2000000 bytes, the limit is 1000000" in inspect(bomb_tif(1000), limits=limits).reason


def test_flipped_bytes_of_an_uncompressed_image_show_in_its_sha256(inspect):
    content = tif(NOISE)
    place = content.index(NOISE.tobytes()[:64]) + 301
    sound, changed = inspect(content), inspect(flipped(content, place))
    assert (sound.reason, changed.reason) == (None, None)
    assert sound.images[0].sha256 != changed.images[0].sha256


def test_flipped_bytes_are_refused_where_the_list_says_the_sha256(tmp_path):
    (tmp_path / "image.tif").write_bytes(tif(NOISE))
    sound = hashlib.sha256(tif(NOISE)).hexdigest()
    row = {"Image_FileName_DNA": "image.tif", "Image_PathName_DNA": str(tmp_path), "Metadata_SHA256_DNA": sound.upper()}
    assert inspect_image_set(row, LIMITS).reason is None
    (tmp_path / "image.tif").write_bytes(flipped(tif(NOISE), 400))
    assert f"the list says {sound}" in inspect_image_set(row, LIMITS).reason
    assert inspect_image_set({**row, "Metadata_SHA256_DNA": ""}, LIMITS).reason is None


@pytest.mark.parametrize(
    ("array", "flags"),
    [
        (np.zeros((9, 9), np.uint16), ("DNA:empty",)),
        (np.full((9, 9), 65535, np.uint16), ("DNA:saturated",)),
        (np.where(NOISE > 2000, 4095, NOISE).astype(np.uint16), ("DNA:saturated",)),
        (np.where(NOISE > 2000, 255, 9).astype(np.uint8), ("DNA:saturated",)),
        (NOISE.astype(np.float32), ("DNA:above_one",)),
        (NOISE.astype(np.float32) / 3000, ()),
        (NOISE.astype(np.int16), ("DNA:signed",)),
        (NOISE.astype(np.int16) - 1000, ("DNA:signed", "DNA:negative")),
        ((NOISE.astype(np.float32) - 1000) / 3000, ("DNA:negative",)),
        (NOISE.astype(np.uint32), ()),
    ],
)
def test_odd_images_are_used_and_flagged(inspect, array, flags):
    found = inspect(tif(array))
    assert (found.reason, found.flags) == (None, flags)
    assert (found.images[0].lowest, found.images[0].highest) == (array.min(), array.max())
    assert found.images[0].number_type == str(array.dtype)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3)])
def test_the_smallest_images_are_read(inspect, shape):
    found = inspect(tif(np.arange(1, shape[0] * shape[1] + 1, dtype=np.uint16).reshape(shape)))
    assert found.reason is None
    assert (found.images[0].height, found.images[0].width) == shape


def test_channels_of_different_sizes_are_refused(inspect):
    found = inspect(tif(NOISE), tif(NOISE[:20]))
    assert "differ in size: DNA" in found.reason and "20 x 30" in found.reason
    assert len(found.images) == 2


def test_one_bad_channel_spoils_the_image_set_and_is_named(inspect):
    found = inspect(tif(NOISE), b"")
    assert [facts.name for facts in found.images] == ["DNA"]
    assert found.reason.startswith("RNA: ")


def test_colour_is_used_where_it_is_allowed_or_grey(inspect):
    colours = np.random.default_rng(1).integers(0, 9, (9, 9, 3), np.uint8)
    allowed = inspect(png(colours), limits=dataclasses.replace(LIMITS, colour=True))
    assert (allowed.reason, allowed.images[0].number_type) == (None, "uint8")
    assert inspect(png(np.repeat(colours[..., :1], 3, axis=2))).reason is None


def test_the_colours_of_a_palette_count_where_they_are_used(inspect):
    picture = Image.new("P", (2, 2))
    picture.putdata([0, 1, 1, 0])
    contents = []
    for colours in ([0, 0, 0, 90, 90, 90, 1, 2, 3], [0, 0, 0, 90, 91, 90]):
        picture.putpalette(colours)
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        contents.append(stream.getvalue())
    assert inspect(contents[0]).reason is None
    assert "is in colour" in inspect(contents[1]).reason


def test_one_page_of_a_stack_is_read_where_the_list_names_it(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([NOISE, NOISE + 1]), photometric="minisblack", metadata=None)
    row = {"Image_FileName_DNA": "stack.tif", "Image_PathName_DNA": str(tmp_path), "Frame_DNA": "1"}
    assert inspect_image_set(row, LIMITS).images[0].highest == NOISE.max() + 1
    assert "there is no page 2" in inspect_image_set({**row, "Frame_DNA": "2"}, LIMITS).reason


def test_illumination_functions_and_label_images_are_read(tmp_path):
    np.save(tmp_path / "illumination.npy", NOISE.astype(np.float64))
    tifffile.imwrite(tmp_path / "labels.tif", (NOISE % 3).astype(np.int32))
    row = {f"Image_FileName_{name}": "illumination.npy" for name in ("DNA", "IllumDNA")}
    row.update({"Image_ObjectsFileName_Nuclei": "labels.tif", "Image_ObjectsPathName_Nuclei": str(tmp_path)})
    row.update({f"Image_PathName_{name}": str(tmp_path) for name in ("DNA", "IllumDNA")})
    found = inspect_image_set(row, LIMITS)
    assert found.reason is None
    assert [facts.number_type for facts in found.images] == ["float64", "float64", "int32"]


def test_an_array_that_is_no_plane_is_refused(inspect):
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 3, 4)))
    assert "a plane of numbers (H, W) is needed" in inspect(stream.getvalue(), name="stack.npy").reason


def test_a_pickle_in_an_array_file_is_not_opened(inspect, tmp_path):
    class Canary:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    stream = io.BytesIO()
    np.save(stream, np.array([[Canary()]], dtype=object), allow_pickle=True)
    assert "Python objects" in inspect(stream.getvalue(), name="canary.npy").reason
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "there is no such file"),
        (lambda path: (path.unlink(), path.mkdir()), "this is a folder"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "cannot be read"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "a folder or a device"),
    ],
)
def test_a_file_that_is_gone_or_none_is_refused(tmp_path, spoil, reason):
    path = tmp_path / "image.tif"
    path.write_bytes(tif(NOISE))
    spoil(path)
    with pytest.raises(ImageError, match=rf"image\.tif: .*{reason}"):
        inspect_file(ImageFile("DNA", path), LIMITS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "image.tif"
    path.write_bytes(tif(NOISE))
    path.chmod(0)
    with pytest.raises(ImageError, match="no permission to read the file"):
        inspect_file(ImageFile("DNA", path), LIMITS)


def test_a_file_that_the_system_refuses_to_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "image.tif"
    path.write_bytes(tif(NOISE))

    def refuse(self, *arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match="no permission to read the file; change its permissions"):
        inspect_file(ImageFile("DNA", path), LIMITS)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "image.tif"
    path.write_bytes(tif(NOISE))
    describe = strict._describe

    def change(*arguments):
        path.write_bytes(tif(NOISE) + b"more")
        return describe(*arguments)

    monkeypatch.setattr(strict, "_describe", change)
    with pytest.raises(ImageError, match="changed while it was read"):
        inspect_file(ImageFile("DNA", path), LIMITS)


def test_an_image_that_does_not_fit_into_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "image.tif"
    path.write_bytes(tif(NOISE))

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(strict, "as_grey_numbers", fail)
    with pytest.raises(ImageError, match="does not fit into memory"):
        inspect_file(ImageFile("DNA", path), LIMITS)


def test_a_cyclic_chain_of_pages_is_refused(inspect):
    start = struct.unpack("<I", tiff_writer.grey(NOISE, t254=(4, [1]))[4:8])[0]
    looped = tiff_writer.grey(NOISE, next_offset=start, t254=(4, [1]))
    assert "leads back to itself" in inspect(looped).reason


def test_a_file_of_very_many_pages_is_refused_within_the_time_limit(inspect):
    # Each page claims to be a reduced copy of another one, so that the search for the image goes on.
    entries = {254: (4, [1]), 256: (3, [1]), 257: (3, [1]), 258: (3, [8]), 262: (3, [1]), 273: (4, [8]), 279: (4, [1])}
    content, pages = tiff_writer.header(12) + b"\0\0\0\0", 3000
    for number in range(pages):
        position = len(content)
        size = len(tiff_writer.directory(entries, position))
        content += tiff_writer.directory(entries, position, next_offset=position + size if number < pages - 1 else 0)
    found = inspect(content, limits=dataclasses.replace(LIMITS, read_seconds=0.05))
    assert "takes more than 0.05 s" in found.reason


def test_a_time_limit_cannot_be_caught_by_a_library_and_ends_with_its_block():
    with pytest.raises(ImageError, match="it is over"), time_limit(0.01, "it is over"):
        while True:
            try:
                sum(range(1000))
            except Exception:  # noqa: BLE001  # as careless libraries do
                continue
    with time_limit(0.01, ""):
        pass
    deadline = time.perf_counter() + 0.03
    while time.perf_counter() < deadline:
        pass


def test_outside_the_main_thread_a_time_limit_is_refused_and_not_silently_without_effect():
    def work():
        with time_limit(1, ""):
            pass

    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="main thread"):
        pool.submit(work).result()


def test_focus_falls_with_blur_and_not_with_brightness():
    sharp = np.zeros((20, 20), np.uint16)
    sharp[8:12, 8:12] = 1000
    blurred = (sharp + np.roll(sharp, 1, 0) + np.roll(sharp, 1, 1) + np.roll(sharp, (1, 1), (0, 1))) // 4
    assert focus(sharp) > 2 * focus(blurred) > 0
    assert focus(sharp * 2 + 7) == pytest.approx(focus(sharp), rel=1e-5)
    assert focus(np.ones((9, 9))) == focus(np.eye(2)) == 0


def test_a_remote_image_becomes_a_reason(tmp_path):
    row = {"Image_FileName_DNA": "a.tif", "Image_PathName_DNA": "http://example.org/x"}
    assert "is not on this machine" in inspect_image_set(row, LIMITS).reason


def test_a_row_without_image_columns_is_an_error():
    with pytest.raises(ScreenError, match="no column Image_FileName"):
        inspect_image_set({"Metadata_Well": "A01"}, LIMITS)
