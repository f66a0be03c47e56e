"""Settings of the engine: frozen, checked when made, unknown keys refused."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, Optional, Type, TypeVar

from nucdl_core.errors import ConfigError

DEFAULT_MODEL = "nuclei_unet"
# The bundled model of each family.
FAMILIES = {"unet": DEFAULT_MODEL, "maskrcnn": "nuclei_maskrcnn"}
DEVICES = ("auto", "cpu", "cuda")
VIEWS = ("none", "flips", "all")
# How much care a segmentation takes, as values of `SegmentConfig`; the first one is the default.
PRESETS: Dict[str, Dict[str, Any]] = {
    "fast": {"views": "none"},
    "balanced": {"views": "flips"},
    "best": {"views": "all"},
}
LARGEST_OFFSET = 20.0

T = TypeVar("T")


def from_mapping(cls: Type[T], values: Dict[str, Any]) -> T:
    """Make a settings dataclass from a mapping, for example one read from a file.

    Raises
    ------
    ConfigError
        If `values` holds a key that `cls` does not know, or lacks one that it needs.
    """
    fields = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - fields)
    if unknown:
        raise ConfigError(f"unknown setting {', '.join(unknown)}; {cls.__name__} knows {', '.join(sorted(fields))}")
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{cls.__name__} is incomplete: {error}") from error


def require(condition: bool, message: str) -> None:
    """Raise a `ConfigError` with `message` unless `condition` holds."""
    if not condition:
        raise ConfigError(message)


@dataclasses.dataclass(frozen=True)
class SegmentConfig:
    """How to segment an image.

    Attributes
    ----------
    model : str
        Name of a bundled model or path of a bundle folder.
    diameter : float or None
        Typical nucleus diameter in pixels; None estimates it from each image.
    probability_threshold : float or None
        Probability above which a pixel belongs to a nucleus; None takes the value that was calibrated on the
        model's validation data.
    contour_offset : float
        Pixels by which outlines are moved outwards (negative: inwards), because laboratories draw them differently.
    views : str
        "none" predicts the image as it is; "flips" averages over four mirrored views of it, "all" over all eight
        turned and mirrored ones.
    several_scales : bool
        Where the diameter is estimated: search at other scales as well if an image holds nuclei of very different size.
    refine : bool
        Correct the outlines by a second look at a finer scale, in which the network works on four times the pixels.
    minimum_diameter, maximum_diameter : float
        Nuclei whose equivalent diameter in pixels lies outside are discarded.
    discard_border : bool
        Discard nuclei that touch the border of the image or of its mask.
    keep_probability : bool
        False spares the memory of the probability map.
    device : str
        "auto" (an accelerator when there is one), "cpu" or "cuda".
    """

    model: str = DEFAULT_MODEL
    diameter: Optional[float] = None
    probability_threshold: Optional[float] = None
    contour_offset: float = 0.0
    views: str = "none"
    several_scales: bool = True
    refine: bool = False
    minimum_diameter: float = 0.0
    maximum_diameter: float = float("inf")
    discard_border: bool = False
    keep_probability: bool = True
    device: str = "auto"

    def __post_init__(self) -> None:
        require(
            self.diameter is None or 1 <= self.diameter <= 1000,
            f"diameter is {self.diameter}; give pixels from 1 to 1000, or leave it automatic",
        )
        require(
            self.probability_threshold is None or 0 < self.probability_threshold < 1,
            f"probability threshold is {self.probability_threshold}; it must lie between 0 and 1",
        )
        require(
            0 <= self.minimum_diameter < self.maximum_diameter,
            f"diameters from {self.minimum_diameter} to {self.maximum_diameter} px leave no nucleus; "
            "the minimum must be at least 0 and below the maximum",
        )
        require(
            abs(self.contour_offset) <= LARGEST_OFFSET,
            f"contour offset is {self.contour_offset}; give pixels from -{LARGEST_OFFSET:g} to {LARGEST_OFFSET:g}",
        )
        require(self.views in VIEWS, f"views is {self.views!r}; it must be one of {', '.join(VIEWS)}")
        require(self.device in DEVICES, f"device is {self.device!r}; it must be one of {', '.join(DEVICES)}")
