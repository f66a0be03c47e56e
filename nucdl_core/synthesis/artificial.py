"""Artificial images: crowds made of the nuclei of an annotated image, which may be sparse (Kromp et al.)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.config import require
from nucdl_core.errors import ImageError
from nucdl_core.labels import drop, equivalent_diameters, relabel
from nucdl_core.simulate.image import tidy
from nucdl_core.simulate.shapes import BodyWindow
from nucdl_core.synthesis.background import DILATION, background_pixels, resampled_background
from nucdl_core.synthesis.covering import HALO, mostly_covered, soft_cover
from nucdl_core.synthesis.cutting import Cutting, Variation, cut_nuclei, varied


@dataclass(frozen=True)
class ArtificialConfig:
    """How nuclei are put together.

    Attributes
    ----------
    grid : (int, int)
        Rows and columns of nodes in a crowd; at most one nucleus comes to a node. An image holds as many crowds as it
        has room for.
    spacing : float
        Distance between nodes in typical nucleus diameters.
    overlap : float
        Largest distance of a nucleus from its node, along rows and columns, as a share of `spacing`: at 0 nuclei stay
        apart, at 0.5 neighbours may lie on one another.
    presence : float
        Probability that a node has a nucleus.
    adding : float
        Probability that a nucleus lets the light of those below it through; otherwise it replaces them. The upper
        one's mask always replaces.
    dilation : int
        See `background.background_pixels`.
    variation : Variation
    """

    grid: Tuple[int, int] = (3, 3)
    spacing: float = 1.1
    overlap: float = 0.3
    presence: float = 0.8
    adding: float = 0.5
    dilation: int = DILATION
    variation: Variation = field(default_factory=Variation)

    def __post_init__(self) -> None:
        require(
            len(self.grid) == 2 and all(1 <= nodes <= 100 for nodes in self.grid),
            f"grid is {self.grid}; give rows and columns from 1 to 100, such as 3 x 3",
        )
        require(0.2 <= self.spacing <= 20, f"spacing is {self.spacing}; give 0.2 to 20 nucleus diameters")
        for name in ("overlap", "presence", "adding"):
            require(0 <= getattr(self, name) <= 1, f"{name} is {getattr(self, name)}; it lies in [0, 1]")
        require(0 <= self.dilation <= 500, f"dilation is {self.dilation}; give 0 to 500 pixels")


@dataclass(frozen=True)
class SyntheticImage:
    """An image that was made, with its nuclei.

    Attributes
    ----------
    image : array (H, W)
        Grey values, of the type of the image that it was made from.
    labels : int32 array (H, W)
        1..N without gaps, each in one piece.
    """

    image: AnyArray
    labels: Labels


def artificial_image(
    image: AnyArray,
    labels: Labels,
    config: ArtificialConfig,
    rng: np.random.Generator,
    shape: Optional[Tuple[int, int]] = None,
) -> SyntheticImage:
    """Make an artificial image of the nuclei and the background of an annotated one.

    Parameters
    ----------
    image : array (H, W), any real dtype
        Bright nuclei.
    labels : int32 array (H, W)
        Its nuclei.
    config : ArtificialConfig
    rng : numpy.random.Generator
    shape : (int, int), optional
        Height and width of what is made; those of `image` without it.

    Returns
    -------
    SyntheticImage

    Raises
    ------
    ImageError
        If the image has no nucleus that its border does not cut, or no background.
    """
    numbered = relabel(labels)
    pixels = background_pixels(image, numbered, config.dilation)
    background = float(np.median(pixels))
    cuttings = cut_nuclei(image, numbered, background)
    if not cuttings:
        raise ImageError("the image has no nucleus that lies wholly inside; annotate more nuclei, or leave it out")
    height, width = shape or (image.shape[0], image.shape[1])
    diameter = float(np.median(equivalent_diameters(numbered)))
    light = resampled_background(pixels, (height, width), rng).astype(np.float64) - background
    made, drawn = np.zeros((height, width), np.int32), []
    for number, place in enumerate(places((height, width), diameter, config, rng), start=1):
        chosen = varied(cuttings[rng.integers(len(cuttings))], config.variation, rng)
        hidden = 1 - rng.random() if rng.random() < config.adding else 1.0
        window = _window(chosen, place, HALO * diameter)
        window.lay(light, made, number, hidden)
        drawn.append(int((made == number).sum()))
    seen = drop(made, mostly_covered(made, np.array(drawn, np.int64)))
    return SyntheticImage(as_type(light + background, image.dtype), tidy(seen))


def places(
    shape: Tuple[int, int], diameter: float, config: ArtificialConfig, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw where nuclei come: crowds of nodes with free space between them.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels.
    diameter : float
        Typical nucleus diameter in pixels.
    config : ArtificialConfig
    rng : numpy.random.Generator

    Returns
    -------
    float64 array (N, 2)
        Rows and columns of centres, in chance order, so that any may lie above.
    """
    step = config.spacing * diameter
    axes = [_nodes(side, count, step, diameter) for side, count in zip(shape, config.grid)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    centres = nodes + rng.uniform(-1, 1, nodes.shape) * config.overlap * step
    present = rng.random(len(nodes)) < config.presence
    return np.asarray(rng.permutation(centres[present]))


def pasted_in_place(
    image: AnyArray, labels: Labels, rng: np.random.Generator, dilation: int = DILATION
) -> SyntheticImage:
    """Put the nuclei of an image back to their own places on artificial background.

    Beside the image itself it shows a network how artificial images become natural (Kromp et al.).

    Parameters
    ----------
    image : array (H, W), any real dtype
    labels : int32 array (H, W)
    rng : numpy.random.Generator
    dilation : int
        See `background.background_pixels`.

    Returns
    -------
    SyntheticImage

    Raises
    ------
    ImageError
        If the image has no background.
    """
    numbered = relabel(labels)
    pixels = background_pixels(image, numbered, dilation)
    ground = resampled_background(pixels, (image.shape[0], image.shape[1]), rng).astype(np.float32)
    diameters = equivalent_diameters(numbered)
    cover = soft_cover(numbered > 0, HALO * float(np.median(diameters)) if len(diameters) else 0)
    return SyntheticImage(as_type(ground * (1 - cover) + image * cover, image.dtype), numbered)


def as_type(image: AnyArray, dtype: np.dtype[Any]) -> AnyArray:
    """Give grey values another number type: rounded and within its range, if it holds whole numbers.

    Parameters
    ----------
    image : float array (H, W)
    dtype : numpy dtype

    Returns
    -------
    array (H, W) of `dtype`
    """
    if dtype.kind not in "ui":
        return image.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(image), limits.min, limits.max).astype(dtype)


def _nodes(side: int, count: int, step: float, gap: float) -> NDArray[np.float64]:
    """Return the positions of nodes along a side: as many crowds as fit, `gap` pixels apart, in the middle."""
    crowd = count * step
    crowds = max(1, int((side + gap) // (crowd + gap)))
    first = (side - crowds * crowd - (crowds - 1) * gap) / 2 + step / 2
    starts = first + np.arange(crowds) * (crowd + gap)
    return np.asarray((starts[:, None] + np.arange(count) * step).ravel())


def _window(cutting: Cutting, place: NDArray[np.float64], reach: float) -> BodyWindow:
    """Return a cut nucleus with its middle at the pixel nearest to `place` and light that fades over `reach`."""
    top, left = np.rint(place).astype(np.int64) - len(cutting.inside) // 2
    cover = soft_cover(cutting.inside, reach).astype(np.float64)
    return BodyWindow(int(top), int(left), cover, cutting.light.astype(np.float64), cutting.inside)
