"""Compressions of TIFF and PNG files: which can be read, by which package, and whether a compressed part is whole.

The libraries decode as much as they can of a damaged part, and inflate a part to whatever size it has. So each part is
looked at before.
"""

from __future__ import annotations

import io
import lzma
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL import Jpeg2KImagePlugin, JpegImagePlugin

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.extras import install_line, lacking

DAMAGED = "the file is damaged or cut off; copy or export it again"
UNCOMPRESSED, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE, LZMA = 1, 5, 7, 8, 32773, 32946, 34925
ALWAYS_READ = (UNCOMPRESSED, LZW, DEFLATE, PACKBITS, OLD_DEFLATE)
_ZSTD, _JPEG_2000 = (34926, 50000), (33003, 33004, 33005, 34712)
NEED_IMAGECODECS = {
    JPEG: "JPEG",
    LZMA: "LZMA",
    **dict.fromkeys(_ZSTD, "ZSTD"),
    **dict.fromkeys(_JPEG_2000, "JPEG 2000"),
}
"""Numbers of compressions that tifffile decodes with the help of imagecodecs."""
_BITS = {"JPEG": (8,), "JPEG 2000": (8, 16)}
"""Of those that do not take any number: what is decoded to the very numbers that were stored."""
_END_OF_IMAGE = b"\xff\xd9"
_XZ_MEMORY = 2**29


@dataclass(frozen=True)
class PartSize:
    """What a strip or tile must hold.

    Attributes
    ----------
    rows, least_rows, cols : int
        Pixels; the last strip of an image may have fewer rows than the others, down to `least_rows`.
    row_bytes : int
        Of a decoded row.
    """

    rows: int
    least_rows: int
    cols: int
    row_bytes: int

    @property
    def least(self) -> int:
        """Fewest decoded bytes."""
        return self.least_rows * self.row_bytes

    @property
    def most(self) -> int:
        """Most decoded bytes."""
        return self.rows * self.row_bytes


def require_codec(method: int, bits: int) -> None:
    """Refuse a compression that cannot be read.

    Parameters
    ----------
    method : int
        Of the TIFF tag 259.
    bits : int
        Of a number.

    Raises
    ------
    ImageError
        Saying what to do, which may be a package to install.
    """
    if method in ALWAYS_READ:
        return
    if method not in NEED_IMAGECODECS:
        name = getattr(method, "name", method)
        raise ImageError(f"the compression is {name}; save the image uncompressed or with Deflate (ZIP) or LZW")
    name = NEED_IMAGECODECS[method]
    if bits not in _BITS.get(name, (bits,)):
        raise ImageError(f"the compression is {name} of {bits}-bit numbers; save the image uncompressed or with LZW")
    require_imagecodecs(f"the compression is {name}", "save the image uncompressed or with Deflate (ZIP) or LZW")


def require_imagecodecs(found: str, otherwise: str) -> None:
    """Refuse what only imagecodecs can decode where it is not installed.

    Parameters
    ----------
    found, otherwise : str
        What is in the file; what else can be done.

    Raises
    ------
    ImageError
        With the line that installs it.
    """
    if lacking("formats"):
        raise ImageError(f"{found}, which needs imagecodecs: {install_line('formats')}; or {otherwise}")


def check_part(method: int, stream: BinaryIO, offset: int, count: int, size: PartSize) -> None:
    """Refuse a compressed strip or tile that is not whole or has another size than it should.

    Parameters
    ----------
    method : int
        Of the TIFF tag 259; nothing is known about parts with LZW or PackBits before they are decoded.
    stream : binary file
    offset, count : int
        Where the part lies.
    size : PartSize

    Raises
    ------
    ImageError
    """
    if method in (UNCOMPRESSED, LZW, PACKBITS):
        return
    stream.seek(offset)
    part = stream.read(count)
    if method in (DEFLATE, OLD_DEFLATE):
        _check_inflated(zlib.decompressobj(), part, size)
    elif method == LZMA:
        _check_inflated(lzma.LZMADecompressor(memlimit=_XZ_MEMORY), part, size)
    elif method in _ZSTD:
        _check_zstd(part, size)
    else:
        _check_picture(part, size)


def _check_inflated(inflater: Any, part: bytes, size: PartSize) -> None:
    if not size.least <= len(inflater.decompress(part, size.most + 1)) <= size.most:
        raise ImageError(f"a compressed part does not hold the {size.least} bytes that it should: {DAMAGED}")
    rest = b"" if inflater.eof else inflater.decompress(getattr(inflater, "unconsumed_tail", b""), 1)
    if rest or not inflater.eof:
        raise ImageError(f"a compressed part is longer than it should be or cut off: {DAMAGED}")


def _check_zstd(part: bytes, size: PartSize) -> None:
    """Decode a part into the room that it may take; a longer one is an error of the library."""
    import imagecodecs

    length = len(imagecodecs.zstd_decode(part, out=size.most))
    if not size.least <= length <= size.most:
        raise ImageError(f"a compressed part does not hold the {size.least} bytes that it should: {DAMAGED}")


def _check_picture(part: bytes, size: PartSize) -> None:
    """Look at header and end of a JPEG or JPEG 2000 part: what is cut off would be decoded as grey, without a word."""
    if not part.rstrip(b"\0").endswith(_END_OF_IMAGE):
        raise ImageError(f"a part ends before its image does: {DAMAGED}")
    plugin = JpegImagePlugin.JpegImageFile if part.startswith(b"\xff\xd8") else Jpeg2KImagePlugin.Jpeg2KImageFile
    with plugin(io.BytesIO(part)) as header:
        width, height = header.size
    if width != size.cols or not size.least_rows <= height <= size.rows:
        raise ImageError(f"a part has {height} x {width} pixels instead of {size.rows} x {size.cols}: {DAMAGED}")


def decode_colour_png(stream: BinaryIO) -> AnyArray:
    """Decode a PNG file of 16 bits in several channels, which has been checked before; see `require_imagecodecs`.

    Parameters
    ----------
    stream : binary file

    Returns
    -------
    uint16 array (H, W, C)
    """
    import imagecodecs

    stream.seek(0)
    samples: AnyArray = imagecodecs.png_decode(stream.read())
    return samples
