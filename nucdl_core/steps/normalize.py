"""Intensity normalization: any grey image becomes float32 with background near 0 and nuclei near 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Tuple

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import AnyArray, Floats, Mask
from nucdl_core.errors import ImageError
from nucdl_core.large import strips

LOW_PERCENTILE = 1.0
HIGH_PERCENTILE = 99.8
# Percentiles of this many pixels, taken on a regular grid, are as good as those of all.
SAMPLED_PIXELS = 250_000
# Images of more pixels are normalized part by part.
LARGE = 32_000_000
# What lies above half of the range and is at most so many parts, which cover at most this share of the pixels, may be a
# crystal or a fibre instead of nuclei ...
ARTEFACT_PARTS, ARTEFACT_SHARE, SMALLEST_PART = 3, 0.03, 20
# ... if all that is farther from it than so many pixels spans at most this share of the range, and its brightest pixels
# lie so many times as far from its median as its darkest ones do: these are nuclei, and not noise.
ARTEFACT_REACH, ARTEFACT_CONTRAST, TAIL = 10, 0.3, 3.0


def intensity_range(image: AnyArray, mask: Optional[Mask] = None) -> Tuple[float, float]:
    """Measure the intensities that stand for background and for bright nuclei.

    Parameters
    ----------
    image : array (H, W), any real dtype
        Finite values.
    mask : bool array (H, W), optional
        Only pixels where it is true count.

    Returns
    -------
    low, high : float
        1st and 99.8th percentile; both 0 where no pixel counts. Where a few parts are so bright that nuclei beside them
        would be lost, as crystals are, the 99.8th percentile of all that is not near them.
    """
    values = sample_pixels(image, mask)
    if values.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(values, (LOW_PERCENTILE, HIGH_PERCENTILE))
    beside = brightest_beside_artefacts(image, float(low), float(high), mask)
    return float(low), float(high) if beside is None else beside


def brightest_beside_artefacts(
    image: AnyArray, low: float, high: float, mask: Optional[Mask] = None
) -> Optional[float]:
    """Return what stands for bright nuclei in an image with a few artefacts that are far brighter.

    Parameters
    ----------
    image : array (H, W), any real dtype
    low, high : float
        1st and 99.8th percentile.
    mask : bool array (H, W), optional
        Only pixels where it is true count.

    Returns
    -------
    float or None
        None where there are no such artefacts, see `ARTEFACT_PARTS`.
    """
    step = _step(image.size)
    values = image[::step, ::step]
    counted = np.ones(values.shape, bool) if mask is None else mask[::step, ::step]
    bright = (values > low + 0.5 * (high - low)) & counted
    if not 0 < bright.sum() <= ARTEFACT_SHARE * counted.sum():
        return None
    sizes = np.bincount(ndimage.label(bright)[0].ravel())[1:]
    if (sizes * step**2 >= SMALLEST_PART).sum() > ARTEFACT_PARTS:
        return None
    near = ndimage.binary_dilation(bright, iterations=max(1, ARTEFACT_REACH // step))
    rest = values[counted & ~near]
    if rest.size == 0:
        return None
    darkest, median, brightest = np.percentile(rest, (100 - HIGH_PERCENTILE, 50, HIGH_PERCENTILE))
    is_low = brightest - low < ARTEFACT_CONTRAST * (high - low)
    has_nuclei = brightest - median > TAIL * (median - darkest) and brightest > low
    return float(brightest) if is_low and has_nuclei else None


def sample_pixels(image: AnyArray, mask: Optional[Mask] = None) -> AnyArray:
    """Take about `SAMPLED_PIXELS` of the pixels that count, which tell as much about intensities as all of them.

    Parameters
    ----------
    image : array (H, W)
    mask : bool array (H, W), optional
        Only pixels where it is true count.

    Returns
    -------
    array (h, w), or (K,) with a mask
        Of the type of `image`; empty where no pixel counts.
    """
    return _sample(image) if mask is None else _sample_inside(image, mask)


def _step(size: int) -> int:
    return max(1, int(np.sqrt(size / SAMPLED_PIXELS)))


def _sample(image: AnyArray) -> AnyArray:
    """Take pixels on a regular grid."""
    step = _step(image.size)
    return image[::step, ::step]


def _sample_inside(image: AnyArray, mask: Mask) -> AnyArray:
    """Take every so many of the pixels inside a mask, in reading order; array (K,)."""
    step, passed = _step(int(np.count_nonzero(mask))), 0
    samples = [image[:0].ravel()]
    for strip, valid in strips(image, mask):
        inside = strip[valid]
        samples.append(inside[-passed % step :: step])
        passed += inside.size
    return np.concatenate(samples)


def stretch(image: AnyArray, low: float, high: float) -> Floats:
    """Map `low` to 0 and `high` to 1 linearly, and compress what is brighter logarithmically.

    A few very bright spots (dead cells, debris) thus stay bounded, and dim nuclei keep their contrast.

    Parameters
    ----------
    image : array (H, W), any real dtype
    low, high : float
        As `intensity_range` returns them. Where they are equal the image is flat and becomes 0.

    Returns
    -------
    float32 array (H, W)
    """
    if high <= low:
        return np.zeros(image.shape, np.float32)
    scaled = (image.astype(np.float32) - np.float32(low)) * np.float32(1.0 / (high - low))
    bright = scaled > 1
    scaled[bright] = 1 + np.log(scaled[bright])
    return scaled


def normalize(image: AnyArray, mask: Optional[Mask] = None) -> Floats:
    """Stretch an image between its own background and bright-nucleus intensities.

    Parameters
    ----------
    image : array (H, W), any real dtype
        Finite values.
    mask : bool array (H, W), optional
        Only pixels where it is true are measured.

    Returns
    -------
    float32 array (H, W)
        About 0 for background, about 1 for bright nuclei. All 0 for a flat image.
    """
    return stretch(image, *intensity_range(image, mask))


def check_image(image: AnyArray, mask: Optional[Mask] = None) -> None:
    """Refuse what is not an image of one channel.

    Raises
    ------
    ImageError
        If the image is not two-dimensional, empty, complex, or holds NaN or infinite values, or if the mask has
        another shape.
    """
    if image.ndim != 2 or image.size == 0:
        raise ImageError(f"an image of shape {image.shape} came; one grey image of shape (H, W) is needed")
    if image.dtype.kind not in "uif":
        raise ImageError(f"an image of type {image.dtype} came; grey values (integer or float) are needed")
    if image.dtype.kind == "f" and not all(np.isfinite(strip).all() for (strip,) in strips(image)):
        raise ImageError("the image holds NaN or infinite values; repair or remove them")
    if mask is not None and mask.shape != image.shape:
        raise ImageError(f"the image is {image.shape} but its mask is {mask.shape}; both must have the same shape")


@dataclass(frozen=True)
class NormalizedImage:
    """A normalized image with its mask. A large one is normalized part by part, so that it is not copied as a whole.

    ``normalized[rows, cols]`` takes slices and gives a float32 array of what `normalize` gives there, 0 outside the
    mask.

    Attributes
    ----------
    image : array (H, W)
        Normalized where `limits` is None, otherwise of any real dtype.
    mask : bool array (H, W) or None
        Only pixels where it is true count.
    limits : (float, float) or None
        The `intensity_range` between which parts are still to be stretched.
    """

    image: AnyArray
    mask: Optional[Mask] = None
    limits: Optional[Tuple[float, float]] = None

    @classmethod
    def of(cls, image: AnyArray, mask: Optional[Mask] = None) -> NormalizedImage:
        """Normalize an image, at once if it is not `LARGE`."""
        waiting = cls(image, mask, intensity_range(image, mask))
        return waiting if image.size > LARGE else cls(waiting[:, :], mask)

    @property
    def shape(self) -> Tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.image.size

    def __getitem__(self, part: Any) -> Floats:
        if self.limits is None:
            return self.image[part]
        normal = stretch(self.image[part], *self.limits)
        if self.mask is not None:
            normal[~self.mask[part]] = 0
        return normal
