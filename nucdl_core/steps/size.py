"""Typical nucleus diameter of an image, from the size map of a network that has seen nuclei of any size.

The idea is nucleAIzer's (Hollandi et al., Cell Systems 2020): a scale-robust pre-segmentation finds enough
nuclei to tell their size. Here the network states the size of the nucleus at each pixel, so that a look at a
reduced image suffices; where the nuclei appear far from the size that the network is best at, further looks at
a better scale, at the part of the image that is richest in nuclei, correct the first.
"""

from __future__ import annotations

from typing import Callable, List, Optional, Tuple, Union

import numpy as np
from scipy import ndimage

from nucdl_core.arrays import Floats
from nucdl_core.regions import weighted_median, without_micronuclei
from nucdl_core.steps.instances import Maps
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.steps.tiling import Window

# Pixels of one look: enough for some dozen nuclei of canonical size.
LOOK_PIXELS = 350 * 350
# A look is trusted when the nuclei appear within this range of the canonical diameter.
TRUSTED = (0.45, 2.0)
LOOKS = 5
# The network has not seen smaller nuclei, and would take an age to look at each grain of noise.
SMALLEST_DIAMETER = 5.0
SURE = 0.6
# Nuclei so many times larger or smaller than the typical one are found better at a scale of their own: simulated fields
# with nuclei of two sizes showed where one scale loses them.
LARGER, SMALLER = 4.0, 0.4
# They get it if they cover such a share of the area of all nuclei, or are such a share of their number.
SHARE_OF_AREA, SHARE_OF_NUMBER = 0.1, 0.25

# The first look at a very large image is one at its richest part, since at a smaller scale no nucleus could be told
# from its neighbours.
SMALLEST_SCALE = 0.135
# The richest part is sought among about so many pixels.
CONTENT_PIXELS = 1_000_000

Look = Callable[[Floats, float], Maps]
Pixels = Union[Floats, NormalizedImage]


def typical_diameter(maps: Maps, canonical_diameter: float) -> Optional[float]:
    """Read the median nucleus diameter from the maps.

    Each pixel votes with 1 / diameter squared, so that every nucleus, large or small, has about one vote; micronuclei
    have none, see `regions.without_micronuclei`.

    Parameters
    ----------
    maps : Maps
    canonical_diameter : float
        In pixels.

    Returns
    -------
    float or None
        Pixels of the maps; None where no nucleus is seen.
    """
    sure = maps.foreground > SURE
    if not sure.any():
        return None
    diameters = canonical_diameter * np.exp2(np.clip(maps.size[sure], -4, 4))
    votes = diameters**-2.0
    counted = without_micronuclei(diameters, votes)
    return weighted_median(diameters[counted], votes[counted])


def richest_window(content: Floats, shape: Tuple[int, int], window: Tuple[int, int]) -> Window:
    """Choose the part of an image that holds the most.

    Parameters
    ----------
    content : float32 array (h, w)
        How much there is, at any resolution.
    shape : (int, int)
        Of the image in pixels.
    window : (int, int)
        Of the part in pixels; what exceeds the image is cut.

    Returns
    -------
    (slice, slice)
        The part, inside the image.
    """
    factors = [side / length for side, length in zip(content.shape, shape)]
    extent = [max(1, round(side * factor)) for side, factor in zip(window, factors)]
    density = ndimage.uniform_filter(content, extent, mode="constant")
    centre = np.unravel_index(int(np.argmax(density)), density.shape)
    slices = []
    for position, factor, side, length in zip(centre, factors, window, shape):
        side = min(side, length)
        start = int(np.clip((position + 0.5) / factor - side / 2, 0, length - side))
        slices.append(slice(start, start + side))
    return slices[0], slices[1]


def other_diameters(maps: Maps, canonical_diameter: float, typical: float) -> List[float]:
    """Read from the maps whether there are many nuclei far from the typical size, and how large these are.

    Parameters
    ----------
    maps : Maps
    canonical_diameter, typical : float
        In pixels of the maps.

    Returns
    -------
    list of float
        Typical diameters of the much larger and of the much smaller nuclei, in pixels of the maps, where there are
        enough of them.
    """
    diameters = canonical_diameter * np.exp2(np.clip(maps.size[maps.foreground > SURE], -4, 4))
    number = diameters**-2.0
    larger, smaller = diameters > LARGER * typical, diameters < SMALLER * typical
    groups = []
    if np.count_nonzero(larger) > SHARE_OF_AREA * diameters.size:
        groups.append(larger)
    if number[smaller].sum() > SHARE_OF_NUMBER * number.sum():
        groups.append(smaller)
    return [weighted_median(diameters[group], number[group]) for group in groups]


def estimate_diameter(image: Pixels, canonical_diameter: float, look: Look) -> Optional[float]:
    """Estimate the typical nucleus diameter of an image; None where no nucleus is seen. See `estimate_diameters`."""
    diameters = estimate_diameters(image, canonical_diameter, look)
    return diameters[0] if diameters else None


def estimate_diameters(image: Pixels, canonical_diameter: float, look: Look) -> List[float]:
    """Estimate the typical nucleus diameter of an image, and those of nuclei of very different size.

    Parameters
    ----------
    image : float32 array (H, W) or NormalizedImage
        Normalized.
    canonical_diameter : float
        The diameter that the network is best at, in pixels.
    look : callable
        Takes an image and a scale, and returns the network's maps of the image at that scale.

    Returns
    -------
    list of float
        Pixels of the image, at least `SMALLEST_DIAMETER`: the typical one, then those of `other_diameters`. Empty where
        no nucleus is seen at any scale.
    """
    shape = (image.shape[0], image.shape[1])
    step = max(4, int(np.sqrt(image.size / CONTENT_PIXELS)))
    content, typical = np.clip(image[::step, ::step], 0, 1), None
    scale = float(np.clip(np.sqrt(LOOK_PIXELS / image.size), SMALLEST_SCALE, 1.0))
    part = _part(image, content, shape, scale)
    looks: List[Tuple[Maps, float]] = []
    for _ in range(LOOKS):
        maps = look(part, scale)
        apparent = typical_diameter(maps, canonical_diameter)
        if apparent is not None:
            typical = max(SMALLEST_DIAMETER, apparent / scale)
            if not looks and part.shape == shape:
                content = maps.foreground
            looks.append((maps, scale))
            if TRUSTED[0] <= apparent / canonical_diameter <= TRUSTED[1]:
                break
            scale = canonical_diameter / typical
        elif typical is None and scale < 2:
            # Nuclei may be too small to be seen in a reduced image.
            scale = min(2.0, scale * 2)
        else:
            break
        part = _part(image, content, shape, scale)
    if typical is None:
        return []
    # The look that shows the most of the image tells about nuclei of other sizes, but not where the typical ones appear
    # so small that a crowd of them looks like a large one.
    for maps, scale in looks:
        if typical * scale >= SMALLEST_DIAMETER:
            others = other_diameters(maps, canonical_diameter, typical * scale)
            return [typical, *(max(SMALLEST_DIAMETER, diameter / scale) for diameter in others)]
    return [typical]


def _part(image: Pixels, content: Floats, shape: Tuple[int, int], scale: float) -> Floats:
    """Choose the whole image where a look at this scale can afford it, otherwise its richest part."""
    if image.size * scale**2 <= 2 * LOOK_PIXELS:
        return image[:, :]
    side = int(np.sqrt(LOOK_PIXELS) / scale) + 1
    return image[richest_window(content, shape, (side, side))]
