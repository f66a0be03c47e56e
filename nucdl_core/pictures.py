"""What an image file holds once it is decoded, its limits, and how it becomes one grey image."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Optional

import numpy as np
from PIL import Image

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import ImageError

DAMAGED = "the file is damaged or cut off; copy or export it again"

# What Pillow's decoders raise on damaged data; none of them promises a smaller set.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class Limits:
    """Sizes above which a file is refused before it is decoded.

    Attributes
    ----------
    pixels : int
        Height times width.
    decoded_bytes : int
        Bytes of all samples.
    expansion : float
        Decoded bytes per stored byte. Only checked above `free_bytes`, so that small uniform images pass.
    free_bytes : int
        Decoded bytes below which `expansion` is not checked.
    """

    pixels: int = 1_000_000_000
    decoded_bytes: int = 2**32
    expansion: float = 250.0
    free_bytes: int = 2**27

    def check(self, height: int, width: int, pixel_bytes: float, stored_bytes: Optional[int] = None) -> None:
        """Raise an `ImageError` if an image of this size is empty or over a limit.

        Parameters
        ----------
        height, width : int
            Size in pixels, as the header of the file claims.
        pixel_bytes : float
            Bytes per pixel once decoded.
        stored_bytes : int, optional
            Size of the compressed data; None for data that is not compressed.
        """
        if height < 1 or width < 1:
            raise ImageError(f"the image has {height} x {width} pixels; it needs at least one")
        size = f"{height} x {width} pixels"
        if height * width > self.pixels:
            raise ImageError(f"{size} are more than the limit of {self.pixels}; cut the image into parts")
        decoded = height * width * pixel_bytes
        if decoded > self.decoded_bytes:
            raise ImageError(f"{size} take {decoded:.0f} bytes, the limit is {self.decoded_bytes}; cut it into parts")
        if stored_bytes is not None and decoded > max(self.free_bytes, self.expansion * stored_bytes):
            raise ImageError(
                f"{stored_bytes} bytes claim to hold {size}, which looks like a decompression bomb; "
                "if the image is right, save it without compression"
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


def inflate(data: bytes, needed: int, most: int) -> bytes:
    """Inflate a zlib stream whose size is known beforehand.

    Parameters
    ----------
    data : bytes
        A complete stream; what follows it is ignored.
    needed, most : int
        Fewest and most bytes that it may hold. No more than `most` + 1 bytes are ever inflated.

    Returns
    -------
    bytes
        From `needed` to `most` bytes whose checksum is right.

    Raises
    ------
    ImageError
        If the stream is damaged, cut off, or holds another number of bytes.
    """
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, most)
        surplus = stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise ImageError(f"compressed data is wrong ({error}): {DAMAGED}") from error
    if surplus or not stream.eof or len(content) < needed:
        raise ImageError(f"a compressed part does not hold the {needed} bytes that it should: {DAMAGED}")
    return content


def grey(picture: Picture) -> AnyArray:
    """Turn a picture into one grey image.

    Parameters
    ----------
    picture : Picture

    Returns
    -------
    array (H, W)
        Grey pictures keep their numbers and type, or are inverted where white is stored as 0. Where the three
        colours are equal everywhere it is that channel; otherwise the mean of the three as float32, which keeps
        all grey levels of an image in one pure colour.

    Raises
    ------
    ImageError
        If an index has no colour in the palette, or white is 0 in numbers that have no greatest value.
    """
    samples = picture.samples
    if picture.palette is not None:
        return _palette_grey(samples, picture.palette)
    if picture.white is not None:
        if samples.dtype.kind != "u":
            raise ImageError(f"white is stored as 0 in {samples.dtype} numbers; save the image with black as 0")
        inverted: AnyArray = samples.dtype.type(picture.white) - samples
        return inverted
    return samples if samples.ndim == 2 else _colour_grey(samples)


def _palette_grey(indices: AnyArray, palette: AnyArray) -> AnyArray:
    used = np.flatnonzero(np.bincount(indices.ravel()))
    if used[-1] >= len(palette):
        raise ImageError(f"a pixel has colour {used[-1]}, the palette has {len(palette)} colours: {DAMAGED}")
    values = _colour_grey(palette[used])
    table = np.zeros(used[-1] + 1, values.dtype)
    table[used] = values
    return table[indices]


def _colour_grey(colours: AnyArray) -> AnyArray:
    """Return one value for red, green and blue along the last axis."""
    red, green, blue = (colours[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red)
    exact = np.float32 if colours.dtype.itemsize <= 2 else np.float64
    mean: AnyArray = ((red.astype(exact) + green + blue) / exact(3)).astype(np.float32, copy=False)
    return mean
