"""Decoding image files with tifffile and Pillow, and checking what these two let pass.

Both libraries read as much as they can of a damaged file, but a measurement needs the whole image. So a file is read
only if its header describes one image of a reasonable size and all its bytes are there. Everything else is an
`ImageError`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import lzma
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO, Iterator, List, Optional, Sequence, Tuple, Type

import numpy as np
import tifffile
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError
from nucdl_core.files.codecs import (
    DAMAGED,
    JPEG,
    LZW,
    NEED_IMAGECODECS,
    PACKBITS,
    UNCOMPRESSED,
    PartSize,
    check_part,
    decode_colour_png,
    require_codec,
    require_imagecodecs,
)
from nucdl_core.large import STRIP_PIXELS

TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
RASTER_PLUGINS = {
    b"\x89PNG\r\n\x1a\n": PngImagePlugin.PngImageFile,
    b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile,
    b"BM": BmpImagePlugin.BmpImageFile,
    b"GIF87a": GifImagePlugin.GifImageFile,
    b"GIF89a": GifImagePlugin.GifImageFile,
}
MAX_PAGES = 65_536
# First row and column and steps of the seven passes of an interlaced PNG file.
_PNG_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))

# What the libraries raise on damaged data; neither documents a shorter list. That a file cannot be read from the disk
# is noticed before, when it is opened.
_LIBRARY_ERRORS: Tuple[Type[Exception], ...] = (
    tifffile.TiffFileError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
)
_LIBRARY_ERRORS += (
    AttributeError,
    AssertionError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    Image.DecompressionBombError,
)

# The tags that decide how a TIFF image is decoded; tifffile leaves out those that it cannot read.
_DECISIVE = {254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338, 339, 32997}
_INTEGERS, _FLOATS = 2, 3  # predictors
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = range(4)
_YCBCR = 6
_COLOUR_SPACES = {5: "CMYK", 6: "YCbCr, as in JPEG", 8: "CIE L*a*b*"}
# Kinds and bits of numbers that Pillow leaves unchanged, by their byte order; it reorders the bytes of 16 bits only.
_PILLOW_TYPES = {">": ("u1", "u8", "u16"), "<": ("u1", "u8", "u12", "u16", "u32", "i8", "i16", "i32", "f32")}


@dataclass(frozen=True)
class Limits:
    """Sizes above which a file is refused before it is decoded.

    Attributes
    ----------
    pixels, decoded_bytes : int
        Height times width; bytes of all samples.
    expansion, free_bytes : float, int
        Decoded bytes per stored byte; not checked below `free_bytes`, so that small uniform images pass.
    """

    pixels: int = 1_000_000_000
    decoded_bytes: int = 2**32
    expansion: float = 250.0
    free_bytes: int = 2**27

    def check(self, height: int, width: int, pixel_bytes: float, stored_bytes: float = math.inf) -> None:
        """Raise an `ImageError` for an image without pixels or over a limit; `stored_bytes` are compressed ones."""
        size, decoded = f"{height} x {width} pixels", height * width * pixel_bytes
        if height < 1 or width < 1:
            raise ImageError(f"the image has {size}; it needs at least one")
        if height * width > self.pixels:
            raise ImageError(f"{size} are more than the limit of {self.pixels}; cut the image into parts")
        if decoded > self.decoded_bytes:
            raise ImageError(f"{size} take {decoded:.0f} bytes, the limit is {self.decoded_bytes}; cut it into parts")
        if decoded > max(self.free_bytes, self.expansion * stored_bytes):
            raise ImageError(
                f"{stored_bytes} bytes claim to hold {size}, which looks like a decompression bomb; "
                "if the image is correct, save it without compression"
            )


@dataclass(frozen=True)
class Picture:
    """The samples of an image file, with the numbers that are stored in it.

    Attributes
    ----------
    samples : array (H, W) or (H, W, 3)
        Grey values or palette indices, or red, green and blue. Other channels (transparency) are left out.
    palette : integer array (K, 3), optional
        Red, green and blue of each index.
    white : int, optional
        Where the file stores white as 0: the number that stands for black.
    """

    samples: AnyArray
    palette: Optional[AnyArray] = None
    white: Optional[int] = None


def grey(picture: Picture) -> AnyArray:
    """Turn a picture into one grey image (H, W).

    A grey picture keeps its numbers and type; it is inverted where white is stored as 0. Where red, green and blue
    are equal everywhere the result is one of them, otherwise the mean of the three as float32, which keeps all grey
    levels of an image in one pure colour. It is an `ImageError` if an index has no colour, or if white is stored as 0
    in numbers that have no greatest value.
    """
    samples, palette = picture.samples, picture.palette
    if palette is not None:
        used = np.flatnonzero(np.bincount(samples.ravel()))
        if used[-1] >= len(palette):
            raise ImageError(f"a pixel has colour {used[-1]}, the palette has {len(palette)} colours: {DAMAGED}")
        values = _colour_grey(palette[used])
        table = np.zeros(used[-1] + 1, values.dtype)
        table[used] = values
        return table[samples]
    if picture.white is not None:
        if samples.dtype.kind != "u":
            raise ImageError(f"white is stored as 0 in {samples.dtype} numbers; save the image with black as 0")
        return np.subtract(samples.dtype.type(picture.white), samples, dtype=samples.dtype)
    return samples if samples.ndim == 2 else _colour_grey(samples)


def _colour_grey(colours: AnyArray) -> AnyArray:
    """Return one value for red, green and blue along the last axis."""
    red, green, blue = (colours[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red)
    exact = np.float32 if colours.dtype.itemsize <= 2 else np.float64
    mean: AnyArray = ((red.astype(exact) + green + blue) / exact(3)).astype(np.float32, copy=False)
    return mean


@contextlib.contextmanager
def strictly() -> Iterator[None]:
    """Turn errors of the libraries into an `ImageError`; their tolerance of damage and their log are off meanwhile."""
    log, lenient = logging.getLogger("tifffile"), ImageFile.LOAD_TRUNCATED_IMAGES
    level, ImageFile.LOAD_TRUNCATED_IMAGES = log.level, False
    log.setLevel(logging.CRITICAL)
    try:
        yield
    except ImageError:
        raise
    except _LIBRARY_ERRORS as error:
        raise ImageError(f"decoding failed ({error}): {DAMAGED}") from error
    finally:
        log.setLevel(level)
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def tiff_pages(stream: BinaryIO) -> Iterator[Any]:
    """Yield each page of a TIFF file as a `tifffile.TiffPage`; a broken page, or link between pages, is an error."""
    flags = dict.fromkeys(("is_lsm", "is_ndpi", "is_ome", "is_philips", "is_scanimage"), False)
    file, seen, following = tifffile.TiffFile(stream, **flags), set(), -1
    for number in range(MAX_PAGES):
        try:
            page = file.pages[number]
        except IndexError:
            break
        # tifffile leaves out tags that it cannot read and takes the last page that it can read for the last one.
        form, handle = file.tiff, file.filehandle
        handle.seek(page.offset)
        entries = handle.read(struct.unpack(form.tagnoformat, handle.read(form.tagnosize))[0] * form.tagsize)
        starts = range(0, len(entries), form.tagsize)
        codes = {struct.unpack_from(form.byteorder + "H", entries, start)[0] for start in starts}
        if not codes:
            raise ImageError(f"a page has no tags: {DAMAGED}")
        if lost := codes & _DECISIVE - set(page.tags.keys()):
            raise ImageError(f"the values of TIFF tag {min(lost)} cannot be read: {DAMAGED}")
        if page.offset in seen:
            raise ImageError(f"the chain of pages leads back to itself: {DAMAGED}")
        seen.add(page.offset)
        (following,) = struct.unpack(form.offsetformat, handle.read(form.offsetsize))
        yield page
    else:
        raise ImageError(f"the file has more than {MAX_PAGES} pages; export the one to use to a file of its own")
    if following != 0:
        raise ImageError(f"page {len(seen) + 1} of the file cannot be read: {DAMAGED}")


def read_tiff(stream: BinaryIO, page: Optional[int], limits: Limits) -> Picture:
    """Read one image from a TIFF or BigTIFF file: 1, 8, 12, 16, 32 or 64 bits, integers or floats, native order.

    Parameters
    ----------
    stream : binary file
    page : int, optional
        Which image to read, from 0. Without it the file must hold exactly one; reduced copies and masks of other
        images do not count. The orientation tag is ignored, as Bio-Formats does.
    limits : Limits

    Raises
    ------
    ImageError
        If the file is damaged, incomplete, over a limit, holds another number of images, several channels or
        planes, or neither library decodes it.
    """
    with strictly():
        number, chosen = _choose_page(tiff_pages(stream), page)
        meaning = int(chosen.tags.valueof(262, _BLACK_IS_ZERO))
        if meaning == _YCBCR and chosen.compression == JPEG:  # It is decoded to red, green and blue.
            meaning = _RGB
        if meaning not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE):
            name = _COLOUR_SPACES.get(meaning, f"number {meaning}")
            raise ImageError(f"the colour space is {name}; save the image as grey or RGB")
        colours, channels = 3 if meaning == _RGB else 1, chosen.samplesperpixel
        extra = list(chosen.extrasamples) if isinstance(chosen.extrasamples, tuple) else [chosen.extrasamples]
        alpha = sum(kind in (1, 2) for kind in extra) if colours == 1 else 1
        if not colours <= channels <= colours + alpha:
            raise ImageError(f"the image has {channels} channels; export the one to use to a file of its own")
        samples = _decode(stream, number, chosen, meaning, limits)
        samples = np.ascontiguousarray(samples[:, :, :3] if colours == 3 else samples[:, :, 0])
        if meaning != _PALETTE:
            return Picture(samples, white=None if meaning else 2**chosen.bitspersample - 1)
        table = np.array(chosen.tags.valueof(320, ()), np.uint16).ravel()
        if samples.dtype.kind != "u" or len(table) != 3 * 2**chosen.bitspersample:
            raise ImageError(f"the palette has {len(table)} numbers for {chosen.bitspersample}-bit pixels: {DAMAGED}")
        return Picture(samples, palette=table.reshape(3, -1).T)


def _choose_page(pages: Iterator[Any], wanted: Optional[int]) -> Tuple[int, Any]:
    """Return the number of a page and the page; the chain of pages, which may be endless, is read only up to it."""
    full: List[Tuple[int, Any]] = []
    for number, page in enumerate(pages):
        if not page.subfiletype & 5:  # 1 = a reduced copy, 4 = a mask of another page
            full.append((number, page))
        if len(full) == max(2, (wanted or 0) + 1):
            break
    if wanted is not None and not 0 <= wanted < len(full):
        raise ImageError(f"there is no page {wanted}; pages are counted from 0 up to {len(full) - 1}")
    if not full:
        raise ImageError(f"the file holds no page: {DAMAGED}")
    if wanted is None and len(full) > 1:
        raise ImageError("the file holds several pages; export the one to use to a file of its own")
    page = full[0][1]
    planes = max(page.imagedepth, page.tags[33629].count if 33629 in page.tags else 1)  # MetaMorph stacks
    if len(full) == 1 and (page.is_imagej or page.is_shaped):
        described = sum(math.prod(series.shape) for series in page.parent.series) // max(1, math.prod(page.shape))
        # A page that was exported from a stack may still carry the stack's description, but not its bytes.
        if described * sum(page.databytecounts) <= page.parent.filehandle.size:
            planes = max(planes, described)
    if planes > 1:
        raise ImageError(f"the page is a stack of {planes} planes; export the one to use to a file of its own")
    return full[wanted or 0]


def _decode(stream: BinaryIO, number: int, page: Any, meaning: int, limits: Limits) -> AnyArray:
    """Decode a page to (H, W, S), having checked that all its strips or tiles are in the file and have their size."""
    kind, bits, method = getattr(page.dtype, "kind", "?").replace("b", "u"), page.bitspersample, page.compression
    if kind not in "uif" or bits not in (1, 8, 12, 16, 32, 64):
        raise ImageError(
            f"{bits}-bit numbers of format {page.sampleformat} cannot be read; save 8-, 16- or 32-bit numbers"
        )
    require_codec(method, bits)
    if method in (UNCOMPRESSED, PACKBITS):
        page.predictor = 1  # Some programs leave the tag behind, which has no meaning here.
    if page.fillorder != 1:
        raise ImageError("the bits of each byte are in reverse order; save the image again with fill order 1")
    planes, _, height, width, channels = page.shaped
    limits.check(height, width, 0)
    rows, cols = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, width)
    down, across = -(-height // rows), -(-width // cols)
    stored_shape = (down * rows, across * cols) if page.is_tiled else (height, width)
    total = math.inf if method == UNCOMPRESSED else sum(page.databytecounts)
    limits.check(*stored_shape, planes * channels * max(bits, 8) / 8, total)
    row_bytes, parts = (cols * channels * bits + 7) // 8, planes * down * across
    leasts = [rows if page.is_tiled else min(rows, height - index % down * rows) for index in range(parts)]
    _check_parts(stream, page, [PartSize(rows, least, cols, row_bytes) for least in leasts])
    by_imagecodecs = method in NEED_IMAGECODECS
    if method in (LZW, PACKBITS) or bits == 12 or (page.predictor == _FLOATS and not by_imagecodecs):
        return _decode_with_pillow(stream, number, page, meaning, kind)
    if page.predictor not in (1, _INTEGERS) and not (page.predictor == _FLOATS and by_imagecodecs):
        raise ImageError(f"the predictor is {page.predictor!r}; save the image uncompressed")
    samples = page.asarray(squeeze=False, maxworkers=1)[:, 0]
    samples = np.moveaxis(samples, 0, 2).reshape(height, width, planes * channels)
    return samples.view(np.uint8) if samples.dtype == bool else samples


def _check_parts(stream: BinaryIO, page: Any, sizes: Sequence[PartSize]) -> None:
    """Refuse a page of which a strip or tile is not in the file, or not whole."""
    method, length = page.compression, page.parent.filehandle.size
    places = list(zip(page.dataoffsets, page.databytecounts))
    if len(places) < len(sizes):
        raise ImageError(f"the image has {len(sizes)} parts, but {len(places)} are listed: {DAMAGED}")
    # Some programs list more bytes than the pixels need, even beyond the end of the file.
    plain = method == UNCOMPRESSED
    needs = [part.least if plain and count <= 2 * part.least else count for part, (_, count) in zip(sizes, places)]
    if sum(needs) > length:
        raise ImageError(f"its parts take {sum(needs)} bytes, the file has {length}: {DAMAGED}")
    for number, (part, (offset, count), needed) in enumerate(zip(sizes, places, needs), start=1):
        if offset < 8 or count < (part.least if plain else 1) or offset + needed > length:
            raise ImageError(f"part {number} of {len(sizes)} is not in the {length} bytes of the file: {DAMAGED}")
        check_part(method, stream, offset, count, part)


def _decode_with_pillow(stream: BinaryIO, number: int, page: Any, meaning: int, kind: str) -> AnyArray:
    """Decode with Pillow what tifffile cannot decode, if Pillow leaves the numbers unchanged."""
    bits, channels = page.bitspersample, page.samplesperpixel
    exact = f"{kind}{bits}" in (_PILLOW_TYPES[page.parent.byteorder] if meaning == _BLACK_IS_ZERO else ("u1", "u8"))
    if not exact or (channels > 1 and bits != 8) or (meaning == _PALETTE and bits != 8) or 262 not in page.tags:
        raise ImageError(
            "LZW, PackBits or 12 bits cannot be read with these colours; save it uncompressed or with Deflate (ZIP)"
        )
    stream.seek(0)
    with TiffImagePlugin.TiffImageFile(stream) as image:
        image.seek(number)
        if image.size != (page.imagewidth, page.imagelength):
            raise ImageError(f"tifffile and Pillow read different sizes: {DAMAGED}")
        image.load()
        samples = _pixels(image).astype(np.uint8 if bits == 1 else page.dtype, copy=False)
    if meaning == _WHITE_IS_ZERO:  # Pillow has inverted it.
        samples = samples.dtype.type(2**bits - 1) - samples
    return samples.reshape(*samples.shape[:2], -1)


def _pixels(image: Image.Image) -> AnyArray:
    """Copy the pixels of a loaded image part by part; copying all at once takes three times their memory."""
    rows = max(1, STRIP_PIXELS // image.width)
    if image.height <= rows:
        return np.array(image)
    parts = (image.crop((0, row, image.width, min(row + rows, image.height))) for row in range(0, image.height, rows))
    first = np.array(next(parts))
    pixels = np.empty((image.height, *first.shape[1:]), first.dtype)
    pixels[:rows] = first
    for number, part in enumerate(parts, start=1):
        pixels[number * rows : (number + 1) * rows] = np.array(part)
    return pixels


def _check_png_rows(stream: BinaryIO) -> None:
    """Refuse a PNG file whose data ends before its last row: Pillow fills what is missing with black."""
    place = stream.tell()
    stream.seek(16)
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", stream.read(13))
    bits, needed = depth * {2: 3, 4: 2, 6: 4}.get(colour, 1), 0
    for row, col, down, across in _PNG_PASSES if interlaced else ((0, 0, 1, 1),):
        rows, cols = -((row - height) // down), -((col - width) // across)
        needed += rows * (1 + (cols * bits + 7) // 8) if rows > 0 and cols > 0 else 0
    inflater, kind = zlib.decompressobj(), b""
    stream.seek(4, io.SEEK_CUR)
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", stream.read(8))
        data = stream.read(length) if kind == b"IDAT" else b""
        stream.seek(4 if kind == b"IDAT" else length + 4, io.SEEK_CUR)
        while data and not inflater.eof:  # In pieces, since only their number matters.
            needed -= len(inflater.decompress(data, 2**20))
            data = inflater.unconsumed_tail
    if needed or not inflater.eof:
        raise ImageError(f"the data of the image does not have the size of the image: {DAMAGED}")
    stream.seek(place)


def _without_transparency(samples: AnyArray) -> AnyArray:
    if samples.ndim == 2:
        return samples
    return np.ascontiguousarray(samples[:, :, :3] if samples.shape[2] > 2 else samples[:, :, 0])


def read_raster(stream: BinaryIO, limits: Limits) -> Picture:
    """Read a PNG, JPEG, BMP or GIF file as uint8 or uint16.

    The numbers are those that are stored: those of 1-, 2- and 4-bit PNG files are not stretched, and a palette is
    not applied. Transparency and the orientation tag are ignored. A file that is damaged, over a limit, animated or
    not grey, RGB or palette is an `ImageError`.
    """
    start = stream.read(16)
    plugin = next(plugin for signature, plugin in RASTER_PLUGINS.items() if start.startswith(signature))
    stored = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    with strictly():
        if plugin is PngImagePlugin.PngImageFile:
            plugin(stream).verify()  # Checksums, which loading skips; the last one is skipped here, too.
            if stream.read(4) != b"\xaeB`\x82":
                raise ImageError(f"the file ends before the image does: {DAMAGED}")
            stream.seek(0)
        with plugin(stream) as image:
            modes = {"1": 1, "L": 1, "LA": 2, "P": 1, "I": 2, "I;16": 2, "I;16B": 2, "RGB": 3, "RGBA": 4, "RGBX": 4}
            mode, raw_mode = image.mode, str(image.tile[0][3]) if image.tile else ""
            if mode not in modes:
                raise ImageError(f"the colour space is {mode}; save the image as grey or RGB")
            in_colour = raw_mode.endswith(";16B") and modes[mode] + (mode == "LA") > 2
            if in_colour:
                require_imagecodecs("Pillow reads only 8 of 16 bits of a PNG image in colour", "save it as TIFF")
            limits.check(image.height, image.width, modes[mode] * (2 if in_colour else 1), stored)
            if plugin is PngImagePlugin.PngImageFile:
                _check_png_rows(stream)
            if getattr(image, "is_animated", False):
                raise ImageError("the image is animated; export the frame to use to a file of its own")
            if in_colour:
                return Picture(_without_transparency(decode_colour_png(stream)))
            image.load()
            samples = _pixels(image)
            palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3) if mode == "P" else None
    samples = _without_transparency(samples)
    # Pillow stretches these two to 0..255.
    samples = samples // {"L;2": 85, "L;4": 17}[raw_mode] if raw_mode in ("L;2", "L;4") else samples
    return Picture(samples.astype(np.uint16 if mode.startswith("I") else np.uint8, copy=False), palette=palette)
