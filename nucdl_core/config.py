"""Settings of the engine: frozen, checked when made, unknown keys refused."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Tuple, Type, TypeVar

from nucdl_core.errors import ConfigError

if TYPE_CHECKING:
    from cattrs import Converter

DEFAULT_MODEL = "nuclei_unet"
DEVICES = ("auto", "cpu", "cuda")
VIEWS = ("none", "flips", "all")
AUTO_POLARITY, BRIGHT, DARK = "auto", "bright", "dark"
POLARITIES = (AUTO_POLARITY, BRIGHT, DARK)
LARGE_ONES, ALL_OF_THEM, NONE_OF_THEM = "large", "all", "none"
MICRONUCLEI = (LARGE_ONES, ALL_OF_THEM, NONE_OF_THEM)
BINNING = "bin2"
TREATMENTS = (
    *("median3", "median5", "mean7", "mean9", "background", "rolling_ball", "equalize", "clahe", "edges", "invert"),
    BINNING,
)
"""Median and mean over so many pixels; without background; equalized, as a whole or in parts; edges; the negative; half
the size, before all others."""
# How much care a segmentation takes, as values of `SegmentConfig`; the first one is the default.
PRESETS: Dict[str, Dict[str, Any]] = {
    "fast": {"views": "none"},
    "balanced": {"views": "flips"},
    "best": {"views": "all"},
}
LARGEST_OFFSET = 20.0

_T = TypeVar("_T")


def from_mapping(cls: Type[_T], values: Any) -> _T:
    """Make a settings dataclass from a mapping, for example one read from a file.

    Parameters
    ----------
    cls : dataclass
        Its attributes are numbers, text, paths, lists, mappings and such dataclasses.
    values : mapping of str to any
        As the json module reads it: a nested dataclass is a mapping, a tuple a list, a path text.

    Raises
    ------
    ConfigError
        If `values` holds a key that `cls` does not know, lacks one that it needs, or a value is of another kind or
        outside its range.
    """
    from cattrs import BaseValidationError, transform_error

    if not isinstance(values, Mapping):
        raise ConfigError(f"{values!r:.60} came; {cls.__name__} is made from a mapping of names to values")
    try:
        return _converter().structure(values, cls)
    except BaseValidationError as error:
        # A name that is misspelt is unknown, and the right one is missing then.
        reasons = transform_error(error, path="", format_exception=_reason)
        first = next((reason for reason in reasons if reason.startswith("unknown")), reasons[0])
        raise ConfigError(first.replace(" @ .", ", in ").removesuffix(" @ ")) from error


@functools.lru_cache(maxsize=1)
def _converter() -> Converter:
    """Make what turns mappings into dataclasses; kinds of values are not guessed, so that "no" is no truth value."""
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True)
    for kind, accepted in ((bool, bool), (int, int), (float, (int, float)), (str, str)):
        converter.register_structure_hook(kind, functools.partial(_checked, accepted))
    converter.register_structure_hook(Path, lambda value, _: Path(_checked(str, value, str)))
    return converter


def _checked(accepted: Any, value: Any, kind: Callable[[Any], Any]) -> Any:
    if not isinstance(value, accepted) or (isinstance(value, bool) and accepted is not bool):
        raise ConfigError(f"{value!r:.60} came, a value of the kind {kind.__name__} is needed")
    return kind(value)


def _reason(error: BaseException, _: Optional[type]) -> str:
    from cattrs import ForbiddenExtraKeysError

    if isinstance(error, ForbiddenExtraKeysError):
        known = ", ".join(sorted(field.name for field in dataclasses.fields(error.cl)))
        unknown = ", ".join(sorted(map(str, error.extra_fields)))
        return f"unknown setting {unknown}; {error.cl.__name__} knows {known}"
    if isinstance(error, KeyError):
        return "this setting is missing"
    if isinstance(error, (TypeError, AttributeError)):
        return "a list, or a mapping of names to values, is needed here"
    return str(error)


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
        Name or folder of a model, see `bundle.find_bundle`.
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
    polarity : str
        "bright" or "dark": what nuclei are beside their background. "auto" tells it from each image.
    treatments : tuple of str
        What is done to an image before, of `TREATMENTS`, in their order; see `steps.preprocess`.
    minimum_confidence : float
        Nuclei of which the network is less sure, from 0 to 1, are discarded.
    micronuclei : str
        Objects below 0.35 of the typical diameter, micronuclei and debris: "none" is kept, or "all" that have 5 pixels,
        or "large" ones, down to the smallest size that the model was calibrated for.
    lobed_diameter : float
        Lobes that belong together are joined to one nucleus where it becomes at most so many pixels across, see
        `steps.lobes`; 0 joins none.
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
    polarity: str = AUTO_POLARITY
    treatments: Tuple[str, ...] = ()
    minimum_confidence: float = 0.0
    micronuclei: str = LARGE_ONES
    lobed_diameter: float = 0.0

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
        polarities = ", ".join(POLARITIES)
        require(self.polarity in POLARITIES, f"polarity is {self.polarity!r}; it must be one of {polarities}")
        require(
            0 <= self.minimum_confidence < 1,
            f"minimum confidence is {self.minimum_confidence}; it must be at least 0 and below 1",
        )
        unknown = next((name for name in self.treatments if name not in TREATMENTS), None)
        require(unknown is None, f"{unknown!r} is no treatment of images; there are {', '.join(TREATMENTS)}")
        require(
            self.micronuclei in MICRONUCLEI,
            f"micronuclei is {self.micronuclei!r}; it must be one of {', '.join(MICRONUCLEI)}",
        )
        require(
            self.lobed_diameter == 0 or 2 <= self.lobed_diameter <= 1000,
            f"lobed diameter is {self.lobed_diameter}; give that of the largest lobed nucleus in pixels, from 2 to "
            "1000, or 0 to join no lobes",
        )
        require(
            BINNING not in self.treatments[1:],
            f"the treatments are {', '.join(self.treatments)}; {BINNING} comes once, before all others",
        )
