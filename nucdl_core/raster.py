"""A strict reader of PNG, JPEG, BMP and GIF files, decoded by Pillow.

Pillow checks a PNG's image data only as far as it needs it, and its limit against decompression bombs is a global
setting that other code in the same process may change, as is the setting that fills truncated images with grey.
So sizes and PNG checksums are checked here, and only the chunks that make up the image are handed on.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import BinaryIO, Dict, Iterator, List, Optional, Tuple

import numpy as np
from PIL import BmpImagePlugin, GifImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.pictures import DAMAGED, DECODER_ERRORS, Limits, Picture, inflate

_PNG = b"\x89PNG\r\n\x1a\n"
_OTHERS = {
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
    b"GIF87a": GifImagePlugin.GifImageFile,
    b"GIF89a": GifImagePlugin.GifImageFile,
}
SIGNATURES = (_PNG, *_OTHERS)

# PNG colour types: grey, RGB, palette, grey with transparency, RGB with transparency.
_GREY, _COLOUR, _INDEXED, _GREY_ALPHA, _COLOUR_ALPHA = 0, 2, 3, 4, 6
# First row and column and steps of the seven passes of an interlaced PNG file.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_CHANNELS = {_GREY: 1, _COLOUR: 3, _INDEXED: 1, _GREY_ALPHA: 2, _COLOUR_ALPHA: 4}


def read_raster(stream: BinaryIO, limits: Limits) -> Picture:
    """Read a PNG, JPEG, BMP or GIF file.

    Parameters
    ----------
    stream : binary file
        Open for reading, at its start.
    limits : Limits
        Sizes that are refused before anything is decoded.

    Returns
    -------
    Picture
        uint8 or uint16 samples with the numbers that are stored: those of 1-, 2- and 4-bit PNG files are not
        stretched, and a palette is not applied. Transparency and the orientation tag are ignored.

    Raises
    ------
    ImageError
        If the file is damaged, incomplete, over a limit, animated or not grey, RGB or palette.
    """
    data = stream.read()
    with _strict_pillow():
        if data.startswith(_PNG):
            return _read_png(data, limits)
        return _read_other(data, limits)


@contextlib.contextmanager
def _strict_pillow() -> Iterator[None]:
    """Turn what Pillow's decoders raise into an `ImageError`, and its global leniency off meanwhile."""
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    except ImageError:
        raise
    except DECODER_ERRORS as error:
        raise ImageError(f"decoding failed ({error}): {DAMAGED}") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _read_png(data: bytes, limits: Limits) -> Picture:
    chunks = _png_chunks(data)
    header = chunks[0][1]
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16) or interlaced > 1:
        raise ImageError(f"the PNG header claims {depth} bits of colour type {colour}: {DAMAGED}")
    if colour == _GREY_ALPHA and depth == 16:
        raise ImageError("16-bit grey with transparency is not supported; save the image without transparency")
    compressed = b"".join(content for kind, content in chunks if kind == b"IDAT")
    limits.check(height, width, _CHANNELS[colour] * max(depth, 8) / 8, len(compressed))
    size = _png_size(height, width, _CHANNELS[colour] * depth, interlaced == 1)
    # Pillow takes an image with too few rows for complete, so the rows are inflated and counted here.
    rows = zlib.compress(inflate(compressed, size, size), 0)
    table = dict(chunks).get(b"PLTE", b"")
    parts = [(b"IHDR", header), (b"PLTE", table), (b"IDAT", rows), (b"IEND", b"")]
    minimal = b"".join([_PNG, *(_png_chunk(kind, content) for kind, content in parts if content or kind == b"IEND")])
    if depth == 16 and colour in (_COLOUR, _COLOUR_ALPHA):
        mode = "RGB" if colour == _COLOUR else "RGBA"
        # Pillow keeps only the upper byte of 16-bit colours; read as little-endian it keeps the lower one.
        upper, lower = (_png_samples(minimal, f"{mode};16{order}").astype(np.uint16) for order in "BL")
        return Picture((upper * 256 + lower)[:, :, :3])
    samples = _png_samples(minimal)
    if colour == _INDEXED:
        return Picture(samples.astype(np.uint8), palette=np.frombuffer(table, np.uint8).reshape(-1, 3))
    if colour == _GREY:
        factor = 255 // (2**depth - 1) if depth in (2, 4) else 1  # Pillow stretches these two to 0..255.
        return Picture((samples // factor).astype(np.uint16 if depth == 16 else np.uint8))
    return Picture(np.ascontiguousarray(samples[:, :, 0] if colour == _GREY_ALPHA else samples[:, :, :3]))


def _png_chunks(data: bytes) -> List[Tuple[bytes, bytes]]:
    """Return the chunks that make up the image, having checked all chunks."""
    chunks: List[Tuple[bytes, bytes]] = []
    position, kind, view = len(_PNG), b"", memoryview(data)
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ImageError(f"the file ends before the image does: {DAMAGED}")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise ImageError(f"the file ends before the image does: {DAMAGED}")
        if zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ImageError(f"the checksum of a part ({kind!r}) is wrong: {DAMAGED}")
        if kind == b"acTL":
            raise ImageError("the image is animated; export the frame to use to a file of its own")
        if kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND"):
            chunks.append((kind, data[position + 8 : end]))
        position = end + 4
    kinds = [kind for kind, _ in chunks]
    if kinds[0] != b"IHDR" or len(chunks[0][1]) != 13 or kinds.count(b"IHDR") != 1 or kinds.count(b"PLTE") > 1:
        raise ImageError(f"the PNG header is missing or not the first part: {DAMAGED}")
    return chunks


def _png_size(height: int, width: int, bits: int, interlaced: bool) -> int:
    """Return the bytes of all rows, each with one byte for its filter."""
    size = 0
    for row, col, down, across in _PASSES if interlaced else ((0, 0, 1, 1),):
        rows, cols = -((row - height) // down), -((col - width) // across)
        size += rows * (1 + (cols * bits + 7) // 8) if rows > 0 and cols > 0 else 0
    return size


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png_samples(data: bytes, raw_mode: Optional[str] = None) -> AnyArray:
    """Decode a PNG file, for 16-bit colours with the given way to cut them down to 8 bits."""
    with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
        if raw_mode is not None:
            image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
        image.load()
        return np.array(image)


def _read_other(data: bytes, limits: Limits) -> Picture:
    plugin = next(plugin for signature, plugin in _OTHERS.items() if data.startswith(signature))
    with plugin(io.BytesIO(data)) as image:
        modes: Dict[str, int] = {"1": 1, "L": 1, "P": 1, "RGB": 3, "RGBA": 4, "RGBX": 4}
        if image.mode not in modes:
            raise ImageError(f"the colour space is {image.mode}; save the image as grey or RGB")
        limits.check(image.height, image.width, modes[image.mode], len(data))
        if getattr(image, "is_animated", False):
            raise ImageError("the image is animated; export the frame to use to a file of its own")
        image.load()
        samples = np.array(image)
        if image.mode == "P":
            table = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
            return Picture(samples, palette=table)
    if samples.ndim == 3:
        samples = np.ascontiguousarray(samples[:, :, :3])
    return Picture(samples.astype(np.uint8, copy=False))
