"""From the strips or tiles of a TIFF file to an array of samples."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import List, Tuple

import numpy as np
from PIL import TiffImagePlugin

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.pictures import DAMAGED, DECODER_ERRORS, inflate

PLAIN, _LZW, _DEFLATE, _PACKBITS, _OLD_DEFLATE = 1, 5, 8, 32773, 32946
COMPRESSIONS = (PLAIN, _LZW, _DEFLATE, _PACKBITS, _OLD_DEFLATE)
_UNPACK_PIXELS = 1 << 22


@dataclass(frozen=True)
class Layout:
    """How the samples of one image lie in its file.

    A *segment* is a strip or a tile of `rows` x `cols` pixels; the last strip of a plane may have fewer rows. With
    one channel after the other each channel is a *plane* with segments of its own, otherwise there is one plane.

    Attributes
    ----------
    height, width, samples : int
        Pixels and channels of the image.
    planes, rows, cols, tiled : int, int, int, bool
        See above.
    bits, kind, order : int, str, str
        Type of the numbers: bits each, "u", "i" or "f", byte order "<" or ">".
    compression, predictor : int
        As the specification numbers them.
    """

    height: int
    width: int
    samples: int
    planes: int
    rows: int
    cols: int
    tiled: bool
    bits: int
    kind: str
    order: str
    compression: int
    predictor: int

    def __post_init__(self) -> None:
        whole = self.bits in (8, 16, 32, 64)
        integer, real = whole and self.kind in "ui", self.bits in (16, 32, 64) and self.kind == "f"
        if not (integer or real or self.packed):
            raise ImageError(f"{self.bits}-bit numbers of kind {self.kind!r}; save the image as 8-, 16- or 32-bit")
        # The tag has a meaning for these only; some programs leave it behind when they write other compressions.
        if self.compression in (PLAIN, _PACKBITS):
            object.__setattr__(self, "predictor", 1)
        fits = {1: True, 2: integer, 3: real}
        if not fits.get(self.predictor, False):
            raise ImageError(f"predictor {self.predictor} with {self.bits}-bit numbers; save the image uncompressed")

    @property
    def packed(self) -> bool:
        """Whether numbers share bytes."""
        return self.kind == "u" and 1 <= self.bits < 16 and self.bits != 8

    @property
    def down(self) -> int:
        """Segments below each other."""
        return -(-self.height // self.rows)

    @property
    def across(self) -> int:
        """Segments beside each other."""
        return -(-self.width // self.cols)

    @property
    def stored_shape(self) -> Tuple[int, int]:
        """Rows and columns that are stored, including what tiles hold beyond the image."""
        return (self.down * self.rows, self.across * self.cols) if self.tiled else (self.height, self.width)

    @property
    def channels(self) -> int:
        """Channels of a plane."""
        return self.samples // self.planes

    @property
    def row_bytes(self) -> int:
        """Decoded bytes of a row of a segment."""
        return (self.cols * self.channels * self.bits + 7) // 8

    def segment_bytes(self, number: int) -> int:
        """Return the decoded bytes of segment `number` of a plane."""
        rows = self.rows if self.tiled else min(self.rows, self.height - number * self.rows)
        return rows * self.row_bytes


def decode(layout: Layout, segments: List[bytes]) -> AnyArray:
    """Turn the segments of an image into its samples.

    Parameters
    ----------
    layout : Layout
    segments : list of bytes
        All segments, plane by plane, from left to right and top to bottom.

    Returns
    -------
    array (H, W, S)
        Numbers in the machine's byte order.

    Raises
    ------
    ImageError
        If a segment is damaged or does not hold all its samples.
    """
    count = layout.down * layout.across
    planes = [segments[start : start + count] for start in range(0, len(segments), count)]
    samples = [_numbers(layout, _decode_plane(layout, plane)) for plane in planes]
    if layout.tiled:
        samples = [_join_tiles(layout, plane) for plane in samples]
    return samples[0] if len(samples) == 1 else np.concatenate(samples, axis=2)


def _decode_plane(layout: Layout, segments: List[bytes]) -> AnyArray:
    """Return all rows of all segments below each other, uint8 array (rows, bytes of a row)."""
    sizes = [layout.segment_bytes(number) for number in range(len(segments))]
    if layout.compression in (_LZW, _PACKBITS):
        data = _decode_with_pillow(layout, segments, sum(sizes))
    else:
        parts = segments
        if layout.compression != PLAIN:
            parts = [inflate(part, size, layout.rows * layout.row_bytes) for part, size in zip(segments, sizes)]
        for number, (part, size) in enumerate(zip(parts, sizes), start=1):
            if len(part) < size:
                raise ImageError(f"part {number} of {len(parts)} holds {len(part)} of {size} bytes: {DAMAGED}")
        # A bytearray makes the array writable without another copy.
        data = bytearray().join(part[:size] if len(part) > size else part for part, size in zip(parts, sizes))
    return np.frombuffer(data, np.uint8).reshape(-1, layout.row_bytes)


def _decode_with_pillow(layout: Layout, segments: List[bytes], size: int) -> bytearray:
    """Decode LZW or PackBits by libtiff, which Pillow brings along.

    The segments are passed as an 8-bit image whose pixels are the bytes of the rows, so that libtiff only
    decompresses and its views on types and colours do not matter.
    """
    tags = {256: [layout.row_bytes], 257: [size // layout.row_bytes], 258: [8], 259: [layout.compression], 262: [1]}
    tags.update({277: [1], 278: [layout.rows], 273: [0] * len(segments), 279: [len(part) for part in segments]})
    start = 8 + 2 + 12 * len(tags) + 4
    lists = sum(4 * len(values) for values in tags.values() if len(values) > 1)
    ends = np.cumsum([start + lists] + tags[279]).tolist()
    tags[273] = ends[:-1]
    if ends[-1] >= 2**32:
        raise ImageError("more than 4 GB of compressed data; save the image uncompressed or with Deflate (ZIP)")
    entries, tables = [], b""
    for number, values in sorted(tags.items()):
        value = values[0] if len(values) == 1 else start + len(tables)
        tables += struct.pack(f"<{len(values)}I", *values) if len(values) > 1 else b""
        entries.append(struct.pack("<HHII", number, 4, len(values), value))
    header = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(entries) + struct.pack("<I", 0)
    try:
        with TiffImagePlugin.TiffImageFile(io.BytesIO(b"".join([header, tables, *segments]))) as image:
            return bytearray(image.tobytes())
    except DECODER_ERRORS as error:
        raise ImageError(f"compressed data is wrong ({error}): {DAMAGED}") from error


def _numbers(layout: Layout, rows: AnyArray) -> AnyArray:
    """Turn bytes (rows, bytes of a row) into numbers (rows, cols, channels)."""
    shape = (len(rows), layout.cols, layout.channels)
    if layout.packed:
        return _unpack_bits(rows, layout.cols * layout.channels, layout.bits).reshape(shape)
    if layout.predictor == 3:
        return _undo_float_predictor(layout, rows).reshape(shape)
    stored = np.dtype(f"{layout.order}{layout.kind}{layout.bits // 8}")
    numbers = rows.view(stored).astype(stored.newbyteorder("="), copy=False).reshape(shape)
    if layout.predictor == 2:
        return np.cumsum(numbers, axis=1, dtype=numbers.dtype)
    return numbers


def _undo_float_predictor(layout: Layout, rows: AnyArray) -> AnyArray:
    # Each row holds first the most significant bytes of all its numbers, then the next ones, as differences.
    size = layout.bits // 8
    steps = rows.reshape(len(rows), -1, layout.channels)
    planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(len(rows), size, -1)
    numbers = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{size}")
    return numbers.astype(f"=f{size}")


def _unpack_bits(rows: AnyArray, count: int, bits: int) -> AnyArray:
    """Return the first `count` numbers of `bits` bits of each row: uint8, or uint16 from 9 bits on."""
    if bits == 1:
        return np.unpackbits(rows, axis=1, count=count)
    numbers: AnyArray = np.zeros((len(rows), count), np.uint8 if bits < 8 else np.uint16)
    step = max(1, _UNPACK_PIXELS // count)
    for start in range(0, len(rows), step):  # In pieces: the bits take one byte each.
        flags = np.unpackbits(rows[start : start + step], axis=1, count=count * bits)
        for bit in range(bits):
            numbers[start : start + step] = numbers[start : start + step] * 2 + flags[:, bit::bits]
    return numbers


def _join_tiles(layout: Layout, tiles: AnyArray) -> AnyArray:
    """Put tiles that lie below each other, (tiles * rows, cols, channels), beside each other."""
    grid = tiles.reshape(layout.down, layout.across, layout.rows, layout.cols, layout.channels)
    joined = grid.transpose(0, 2, 1, 3, 4).reshape(*layout.stored_shape, layout.channels)
    return joined[: layout.height, : layout.width]
