"""A strict reader of the TIFF files that microscopes and image programs write.

General readers are made to save what can be saved: tifffile logs a broken page chain and reads on, Bio-Formats
fills what is missing with black, and both inflate a strip to whatever size it has. For measurements an image that
is incomplete must be an error. This reader accepts a file only where every byte that the image needs is there, and
never reads or allocates more than the header allows. Source of the format: TIFF 6.0 (Adobe, 1992), the BigTIFF
extension, and the technical notes on Deflate and floating-point predictors.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.pictures import DAMAGED, Limits, Picture
from nucdl_core.tiff_samples import COMPRESSIONS, PLAIN, Layout, decode

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MAX_PAGES = 65_536
_MAX_TAGS = 4096
_MAX_TEXT = 65_536

# Tags, by the names that the specification gives them.
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _DESCRIPTION, _STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS = 266, 270, 273, 277, 278, 279
_PLANAR, _PREDICTOR, _COLOUR_MAP, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = 284, 317, 320, 322, 323, 324
_TILE_COUNTS, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _DEPTH, _STK_PLANES = 325, 338, 339, 32997, 33629

_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
_COLOUR_SPACES = {5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "a colour filter array"}
_OTHER_COMPRESSIONS = {2: "CCITT", 3: "CCITT", 4: "CCITT", 6: "JPEG", 7: "JPEG", 34887: "LERC", 34925: "LZMA"}
_OTHER_COMPRESSIONS.update({33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 50000: "Zstandard"})


class _Format(NamedTuple):
    """Size of the file and how it writes its numbers: byte order, number of tags, a tag, an offset."""

    size: int
    order: str
    count_type: str
    tag_type: str
    offset_type: str


class _Tag(NamedTuple):
    kind: int
    length: int
    value: bytes


@dataclass(frozen=True)
class _Source:
    """An open file with bounds."""

    stream: BinaryIO
    format: _Format

    def read(self, offset: int, count: int) -> bytes:
        """Return exactly `count` bytes."""
        if offset + count > self.format.size:
            raise ImageError(f"bytes up to {offset + count} are needed, the file has {self.format.size}: {DAMAGED}")
        self.stream.seek(offset)
        data = self.stream.read(count)
        if len(data) != count:
            raise ImageError(f"the file became shorter while it was read: {DAMAGED}")
        return data

    def unpack(self, kind: str, offset: int) -> int:
        """Return one integer of the struct type `kind`."""
        number: int = struct.unpack(self.format.order + kind, self.read(offset, struct.calcsize("=" + kind)))[0]
        return number


@dataclass(frozen=True)
class _Page:
    """The tags of one image in the file."""

    source: _Source
    tags: Dict[int, _Tag]

    def values(self, number: int, most: Optional[int] = None) -> List[int]:
        """Return the integers of a tag, or the first `most` of them; an empty list where the tag is absent."""
        if number not in self.tags:
            return []
        tag = self.tags[number]
        if tag.kind not in _INTEGERS:
            raise ImageError(f"TIFF tag {number} has type {tag.kind} where a whole number is needed: {DAMAGED}")
        dtype = np.dtype(self.source.format.order + _INTEGERS[tag.kind])
        values: List[int] = np.frombuffer(self._data(tag, dtype.itemsize, most), dtype).tolist()
        return values

    def value(self, number: int, default: Optional[int] = None) -> int:
        """Return the first integer of a tag."""
        values = self.values(number, 1)
        if values:
            return values[0]
        if default is None:
            raise ImageError(f"TIFF tag {number} is missing: {DAMAGED}")
        return default

    def text(self) -> str:
        """Return the start of the image description."""
        tag = self.tags.get(_DESCRIPTION)
        if tag is None or tag.kind != 2:
            return ""
        return self._data(tag, 1, _MAX_TEXT).decode("utf-8", "replace").rstrip("\0 ")

    def _data(self, tag: _Tag, itemsize: int, most: Optional[int]) -> bytes:
        count = itemsize * (tag.length if most is None else min(tag.length, most))
        if itemsize * tag.length <= len(tag.value):
            return tag.value[:count]
        (offset,) = struct.unpack(self.source.format.order + self.source.format.offset_type, tag.value)
        return self.source.read(offset, count)


def read_tiff(stream: BinaryIO, page: Optional[int], limits: Limits) -> Picture:
    """Read one image from a TIFF file.

    Parameters
    ----------
    stream : binary file
        Open for reading; classic TIFF or BigTIFF of either byte order.
    page : int, optional
        Which image to read, from 0. Without it the file must hold exactly one; images that are marked as reduced
        copies or as masks do not count.
    limits : Limits
        Sizes that are refused before anything is decoded.

    Returns
    -------
    Picture
        Unsigned or signed integers of 8 to 64 bits (fewer bits are widened to 8 or 16) or floats of 16 to 64
        bits, in the machine's byte order. The orientation tag is ignored, as Bio-Formats does.

    Raises
    ------
    ImageError
        If the file is damaged, incomplete, over a limit, holds another number of images, several channels or
        planes, or uses a compression or colour space other than none, Deflate, LZW, PackBits; grey, RGB, palette.
    """
    source = _Source(stream, _read_header(stream))
    chosen = _choose_page(_pages(source), page)
    layout = _layout(chosen)
    offsets, counts = _segments(chosen, layout)
    stored = None if layout.compression == PLAIN else sum(counts)
    limits.check(*layout.stored_shape, layout.samples * max(layout.bits, 8) / 8, stored)
    return _interpret(chosen, layout, decode(layout, [source.read(*part) for part in zip(offsets, counts)]))


def _read_header(stream: BinaryIO) -> _Format:
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    start = stream.read(16)
    order = "<" if start[:2] == b"II" else ">"
    if len(start) < 8 or start[:4] not in SIGNATURES:
        raise ImageError(f"the file has no complete TIFF header: {DAMAGED}")
    if start[:4] in SIGNATURES[:2]:
        return _Format(size, order, "H", "HHI4s", "I")
    if len(start) < 16 or struct.unpack(order + "HH", start[4:8]) != (8, 0):
        raise ImageError(f"the BigTIFF header is wrong: {DAMAGED}")
    return _Format(size, order, "Q", "HHQ8s", "Q")


def _pages(source: _Source) -> Iterator[_Page]:
    """Walk the chain of images, which a damaged file may have closed to a ring."""
    form = source.format
    tag_size, count_size, offset_size = (
        struct.calcsize("=" + kind) for kind in (form.tag_type, form.count_type, form.offset_type)
    )
    offset = source.unpack(form.offset_type, offset_size)
    seen: Set[int] = set()
    while offset:
        if offset in seen:
            raise ImageError(f"the chain of pages leads back to itself: {DAMAGED}")
        if len(seen) == MAX_PAGES:
            raise ImageError(f"the file has more than {MAX_PAGES} pages; export the one to use to a file of its own")
        seen.add(offset)
        count = source.unpack(form.count_type, offset)
        if not 1 <= count <= _MAX_TAGS:
            raise ImageError(f"a page has {count} tags: {DAMAGED}")
        end = offset + count_size + count * tag_size
        tags: Dict[int, _Tag] = {}
        entries = source.read(offset + count_size, count * tag_size)
        for number, kind, length, value in struct.iter_unpack(form.order + form.tag_type, entries):
            tags.setdefault(number, _Tag(kind, length, value))
        yield _Page(source, tags)
        offset = source.unpack(form.offset_type, end)


def _choose_page(pages: Iterator[_Page], number: Optional[int]) -> _Page:
    # Bits of the subfile type: 1 = a reduced copy, 4 = a mask of another page.
    full = (page for page in pages if not page.value(_SUBFILE, 0) & 5)
    # The chain is followed no further than needed: a stack may have a hundred thousand pages.
    first = list(itertools.islice(full, max(2, (number or 0) + 1)))
    if not first:
        raise ImageError(f"the file holds no page: {DAMAGED}")
    if len(first) == 1:
        _refuse_hidden_planes(first[0])
    if number is None and len(first) > 1:
        raise ImageError("the file holds several pages; export the one to use to a file of its own")
    if number is not None and not 0 <= number < len(first):
        raise ImageError(f"there is no page {number}; pages are counted from 0 up to {len(first) - 1}")
    return first[number or 0]


def _refuse_hidden_planes(page: _Page) -> None:
    """Refuse a stack behind a single page: MetaMorph, ImageJ (above 4 GB) and tifffile write such files."""
    planes = page.value(_DEPTH, 1)
    if _STK_PLANES in page.tags:
        planes = max(planes, page.tags[_STK_PLANES].length)
    described = _described_planes(page.text(), page.value(_HEIGHT) * page.value(_WIDTH) * page.value(_SAMPLES, 1))
    # A page that was exported from a stack may still carry the stack's description, but not its bytes.
    stored = sum(page.values(_STRIP_COUNTS)) or sum(page.values(_TILE_COUNTS))
    if described * stored <= page.source.format.size:
        planes = max(planes, described)
    if planes > 1:
        raise ImageError(f"the page is a stack of {planes} planes; export the one to use to a file of its own")


def _described_planes(text: str, plane_size: int) -> int:
    """Return how many planes the description of ImageJ or of tifffile tells of."""
    if text.startswith("ImageJ="):
        match = re.search(r"^images=(\d{1,9})\s*$", text, re.MULTILINE)
        return int(match.group(1)) if match else 1
    match = re.match(r'\{[^[]*"shape": \[(\d{1,9}(?:, \d{1,9}){0,9})\]', text)
    if match is None or plane_size < 1:
        return 1
    total = 1
    for length in json.loads(f"[{match.group(1)}]"):
        total *= length
    return int(total // plane_size)


def _layout(page: _Page) -> Layout:
    height, width, samples = page.value(_HEIGHT), page.value(_WIDTH), page.value(_SAMPLES, 1)
    bits, kinds = set(page.values(_BITS)) or {1}, set(page.values(_SAMPLE_FORMAT)) or {1}
    if len(bits) > 1 or len(kinds) > 1:
        raise ImageError("the channels hold different types of numbers; save all of them with the same type")
    if page.value(_FILL_ORDER, 1) != 1:
        raise ImageError("the bits of each byte are in reverse order; save the image again with fill order 1")
    compression = page.value(_COMPRESSION, PLAIN)
    if compression not in COMPRESSIONS:
        name = _OTHER_COMPRESSIONS.get(compression, f"number {compression}")
        raise ImageError(f"the compression is {name}; save the image uncompressed or with Deflate (ZIP) or LZW")
    tiled = _TILE_WIDTH in page.tags
    rows = page.value(_TILE_HEIGHT) if tiled else min(page.value(_ROWS_PER_STRIP, height), height)
    cols = page.value(_TILE_WIDTH) if tiled else width
    if min(height, width, samples, rows, cols) < 1 or samples > 65_535:
        raise ImageError(f"{height} x {width} pixels of {samples} channels in parts of {rows} x {cols}: {DAMAGED}")
    return Layout(
        height=height,
        width=width,
        samples=samples,
        planes=samples if page.value(_PLANAR, 1) == 2 else 1,
        rows=rows,
        cols=cols,
        tiled=tiled,
        bits=bits.pop(),
        kind=_KINDS.get(kinds.pop(), "?"),
        order=page.source.format.order,
        compression=compression,
        predictor=page.value(_PREDICTOR, 1),
    )


def _segments(page: _Page, layout: Layout) -> Tuple[List[int], List[int]]:
    """Return where the parts of the image lie, having checked that all of them lie inside the file."""
    offsets = page.values(_TILE_OFFSETS if layout.tiled else _STRIP_OFFSETS)
    counts = page.values(_TILE_COUNTS if layout.tiled else _STRIP_COUNTS)
    needed, size = layout.planes * layout.down * layout.across, page.source.format.size
    if not counts and layout.compression == PLAIN and needed == 1:
        counts = [layout.segment_bytes(0)]  # Optional in this case.
    if len(offsets) < needed or len(counts) < needed:
        raise ImageError(f"the image has {needed} parts, {min(len(offsets), len(counts))} are listed: {DAMAGED}")
    offsets, counts = offsets[:needed], counts[:needed]
    for number, (offset, count) in enumerate(zip(offsets, counts), start=1):
        if offset < 8 or count < 1 or offset + count > size:
            place = f"bytes {offset} to {offset + count}"
            raise ImageError(f"part {number} of {needed} should lie at {place}, the file has {size}: {DAMAGED}")
    if sum(counts) > size:
        raise ImageError(f"parts of the image share bytes of the file: {DAMAGED}")
    return offsets, counts


def _interpret(page: _Page, layout: Layout, samples: AnyArray) -> Picture:
    """Tell from the tags what the numbers of an (H, W, S) array mean."""
    meaning = page.value(_PHOTOMETRIC, 1)
    if meaning not in (0, 1, 2, 3, 4):
        name = _COLOUR_SPACES.get(meaning, f"number {meaning}")
        raise ImageError(f"the colour space is {name}; save the image as grey or RGB")
    colours = 3 if meaning == 2 else 1
    alpha = [kind for kind in page.values(_EXTRA_SAMPLES) if kind in (1, 2)]
    if layout.samples < colours or layout.samples - colours > (len(alpha) if colours == 1 else 1):
        raise ImageError(f"the image has {layout.samples} channels; export the one to use to a file of its own")
    if colours == 3:
        return Picture(np.ascontiguousarray(samples[:, :, :3]))
    single = np.ascontiguousarray(samples[:, :, 0])
    if meaning == 0:
        return Picture(single, white=2**layout.bits - 1)
    if meaning != 3:
        return Picture(single)
    table = np.array(page.values(_COLOUR_MAP), np.uint16)
    if layout.kind != "u" or layout.bits > 16 or len(table) != 3 * 2**layout.bits:
        raise ImageError(f"the palette has {len(table)} numbers for {layout.bits}-bit pixels: {DAMAGED}")
    return Picture(single, palette=table.reshape(3, -1).T)
