"""Whether a model was made for images like the one at hand: what it learnt from, and where the image differs.

A model is applied to any image, and gives nuclei without a complaint. So a bundle may say what images it was made for,
and whoever runs it is told in plain sentences where an image is of another kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Optional, Sequence, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray, Mask
from nucdl_core.config import AUTO_POLARITY, BRIGHT, require
from nucdl_core.steps.polarity import looks_dark_on_bright

# An estimated diameter may be wrong by a quarter, which must not raise an alarm.
SIZE_TOLERANCE = 1.25
# Between these percentiles of the images' typical diameters lies what a model was made for: odd images do not count.
USUAL_PERCENTILES = (5.0, 95.0)


@dataclass(frozen=True)
class MadeFor:
    """What kind of images a model learnt from; made by `made_for`.

    Attributes
    ----------
    diameter_range : (float, float)
        Smallest and largest typical nucleus diameter of an image, in pixels of the images.
    bits : tuple of int
        Bits of the numbers in their files, such as 8 and 16, in ascending order; empty where that is not known.
    modality : str
        How they were taken, such as "fluorescence" or "brightfield"; "" where that is not known.
    """

    diameter_range: Tuple[float, float]
    bits: Tuple[int, ...] = ()
    modality: str = ""

    def __post_init__(self) -> None:
        low, high = self.diameter_range
        require(
            0 < low <= high < math.inf,
            f"made for nuclei of {low} to {high} px; give two positive numbers of pixels, the smaller one first",
        )
        require(all(bits > 0 for bits in self.bits), f"made for images of {self.bits} bits; give positive numbers")


@dataclass(frozen=True)
class ImageTraits:
    """What is known of an image that a model is applied to.

    Attributes
    ----------
    diameter : float
        Typical nucleus diameter in pixels, NaN where it is not known.
    bits : int or None
        Bits of the numbers in its file, see `bits_of`; None where that is not known.
    dark_nuclei : bool
        Whether its nuclei seem to be darker than its background, see `looks_dark_on_bright`.
    """

    diameter: float
    bits: Optional[int]
    dark_nuclei: bool


def made_for(
    diameters: Sequence[float],
    dtypes: Iterable[Any],
    modality: str,
    scaled_to: Optional[Tuple[float, float]] = None,
) -> MadeFor:
    """Describe what a model was made for, from what is known of its training images.

    Parameters
    ----------
    diameters : sequence of float
        Median nucleus diameter of each training image, in pixels of that image as its file has it.
    dtypes : iterable of dtype
        Number types of their files, in any order, each as often as wanted; floats tell no bits and are left out.
    modality : str
        How they were taken, such as "fluorescence"; "" where that is not known.
    scaled_to : (float, float), optional
        Smallest and largest diameter in pixels that training crops were scaled to as well: the model has seen these
        sizes, too.

    Returns
    -------
    MadeFor
        From the 5th to the 95th percentile of `diameters`, widened by `scaled_to`.

    Raises
    ------
    ConfigError
        If there is no diameter, or one that is not a positive number.
    """
    sizes = np.asarray(diameters, np.float64)
    require(
        sizes.size > 0 and bool(np.isfinite(sizes).all()) and bool((sizes > 0).all()),
        f"the diameters {list(diameters)!r:.60} came; give the median nucleus diameter of each image, in pixels",
    )
    low, high = (round(float(size), 1) for size in np.percentile(sizes, USUAL_PERCENTILES))
    if scaled_to is not None:
        low, high = min(low, scaled_to[0]), max(high, scaled_to[1])
    known = {bits_of(dtype) for dtype in dtypes}
    return MadeFor((low, high), tuple(sorted(bits for bits in known if bits is not None)), modality)


def describe_made_for(made: MadeFor) -> str:
    """Say in a sentence what a model was made for, as it stands beside its card."""
    kind = f"{made.modality} images" if made.modality else "images"
    bits = f" of {' or '.join(map(str, made.bits))} bits" if made.bits else ""
    low, high = made.diameter_range
    return f"Made for {kind}{bits} with typical nuclei of {low:g} to {high:g} px."


def bits_of(dtype: Any) -> Optional[int]:
    """Return the bits of a number type, such as 8 of uint8; None for floats, which tell none.

    12 bits are stored in 16 and count as 16: the file does not say how many of them the camera filled.
    """
    kind = np.dtype(dtype)
    return 8 * kind.itemsize if kind.kind in "ui" else None


def traits_of(image: AnyArray, diameter: float, mask: Optional[Mask] = None) -> ImageTraits:
    """Collect what is known of an image that was read from a file.

    Parameters
    ----------
    image : array (H, W), any real dtype
        As it was read; its type tells the bits.
    diameter : float
        Typical nucleus diameter in pixels, NaN where there is none.
    mask : bool array (H, W), optional
        Only pixels where it is true count.

    Returns
    -------
    ImageTraits
    """
    return ImageTraits(diameter, bits_of(image.dtype), looks_dark_on_bright(image, mask))


def misfits(wanted: Optional[MadeFor], image: ImageTraits, polarity: str = AUTO_POLARITY) -> Dict[str, str]:
    """Say in plain sentences where an image differs from those that a model was made for.

    Parameters
    ----------
    wanted : MadeFor or None
        What the model was made for, where it says so.
    image : ImageTraits
    polarity : str
        What nuclei are taken for, of `config.POLARITIES`.

    Returns
    -------
    dict of str to str
        A sentence for each attribute of `MadeFor` that does not fit, in their order. Empty where all fits, and for
        a model that does not say what it was made for.
    """
    if wanted is None:
        return {}
    found = {}
    low, high = wanted.diameter_range
    # NaN is neither below nor above.
    if image.diameter < low / SIZE_TOLERANCE or image.diameter > high * SIZE_TOLERANCE:
        found["diameter_range"] = (
            f"a typical nucleus of this image is {image.diameter:.3g} px across, but the model was made for {low:g} to "
            f"{high:g} px: look at the outlines, or take a model made at this magnification"
        )
    if wanted.bits and image.bits is not None and image.bits not in wanted.bits:
        found["bits"] = (
            f"this image has {image.bits} bits, but the model was made for images of "
            f"{' or '.join(map(str, wanted.bits))} bits: look whether dim nuclei are found"
        )
    if wanted.modality and image.dark_nuclei:
        advice = "say that they are dark, or let it be found out" if polarity == BRIGHT else "look at the outlines"
        taken = "is taken as it is" if polarity == BRIGHT else "was inverted"
        found["modality"] = (
            f"the nuclei of this image seem to be darker than its background, and it {taken}; the model was made for "
            f"{wanted.modality} images: {advice}"
        )
    return found
