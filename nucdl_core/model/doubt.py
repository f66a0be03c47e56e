"""How far an image can be trusted: one number from 0 to 1, and the reason, from what was found and how it looks.

A network finds something in any image. What spoils images (focus, saturation, dirt, a dye that failed) shows in a few
numbers that are cheap to measure once the nuclei are known; `benchmarks/doubt.py` says how well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray, Labels, Mask
from nucdl_core.model.fitness import SIZE_TOLERANCE, MadeFor
from nucdl_core.steps.polarity import looks_dark_on_bright

DOUBTFUL = 0.5
"""From here on an image is called doubtful, and the reason is given."""
DOUBT_COLUMNS = ("NucDL_Doubt", "NucDL_DoubtReason")
"""What value and reason are called in tables of images."""
OTHER_MODALITY, EMPTY_FIELD, SPECKS_ONLY = "other modality", "empty", "specks only"
OVEREXPOSED, ARTEFACT, OUT_OF_FOCUS, OTHER_SIZE = (
    "saturated",
    "artefact",
    "out of focus",
    "size outside the model's range",
)
SENTENCES: Dict[str, str] = {
    EMPTY_FIELD: "there is no nucleus, or what was found is hardly brighter than the background: look at the image",
    SPECKS_ONLY: "only specks were found, among others as bright as they: look whether there are nuclei at all",
    OVEREXPOSED: "a large part of the nuclei has the highest value of the image: expose shorter; intensities are wrong "
    "and touching nuclei may be one",
    ARTEFACT: "something is many times as bright as the nuclei: mask it, or look whether nuclei beside it are missed",
    OUT_OF_FOCUS: "the edges of nuclei are as wide as out of focus: leave the image out, or focus again",
}
"""What a reason means and what to do; the other reasons are said by `fitness.misfits`."""
# For each quantity, where an image is not doubted and where it is fully; half way it is `DOUBTFUL`. From the annotated
# images and what `benchmarks/doubt.py` makes of them.
_CONTRAST, _SHARPNESS, _SATURATED, _BRIGHTEST = (1.4, 0.6), (2.9, 2.1), (0.1, 0.3), (4.5, 8.5)
_MISSED, _SPECK_DIAMETER = (0.1, 0.2), (8.0, 6.0)
# Dark nuclei are found less well, but most are.
OF_DARK_NUCLEI = 0.75
# Percentiles of so many pixels tell as much as those of all.
MEASURED_PIXELS = 60_000
PEAK_PERCENTILE = 99.9


@dataclass(frozen=True)
class Doubt:
    """How far an image cannot be trusted.

    Attributes
    ----------
    value : float
        From 0 to 1; `DOUBTFUL` and more is worth a look.
    reason : str
        Why, in a word or two; "" where it is not doubtful.
    """

    value: float
    reason: str

    @property
    def warnings(self) -> Tuple[str, ...]:
        """What it means and what to do, as a sentence; none where it is not doubtful, or said by `fitness.misfits`."""
        if self.reason not in SENTENCES:
            return ()
        return (f"this image may not be trusted ({self.reason}, doubt {self.value:.2f}): {SENTENCES[self.reason]}",)


def doubt_about(
    image: AnyArray, labels: Labels, diameter: float, made_for: Optional[MadeFor] = None, mask: Optional[Mask] = None
) -> Doubt:
    """Say how far an image cannot be trusted, and why.

    Parameters
    ----------
    image, labels, diameter, mask
        See `traces_of`.
    made_for : MadeFor, optional
        What the model was made for, where it says so.

    Returns
    -------
    Doubt
    """
    return doubt_of_traces(traces_of(image, labels, diameter, mask), made_for)


def doubt_of_traces(traces: Traces, made_for: Optional[MadeFor] = None) -> Doubt:
    """Say by how much an image is doubted that looks like this; the reason that weighs most is given."""
    doubts = {
        OTHER_MODALITY: OF_DARK_NUCLEI * (traces.dark_nuclei and made_for is not None and bool(made_for.modality)),
        EMPTY_FIELD: 1.0 if traces.nuclei == 0 else _between(traces.contrast, *_CONTRAST),
        SPECKS_ONLY: min(_between(traces.missed, *_MISSED), _between(traces.diameter, *_SPECK_DIAMETER)),
        OVEREXPOSED: _between(traces.saturated, *_SATURATED),
        ARTEFACT: _between(traces.brightest, *_BRIGHTEST),
        OUT_OF_FOCUS: _between(traces.sharpness, *_SHARPNESS),
        OTHER_SIZE: _size_doubt(traces.diameter, made_for),
    }
    reason = max(doubts, key=lambda each: doubts[each])
    value = round(float(doubts[reason]), 3)
    return Doubt(value, reason if value >= DOUBTFUL else "")


def _between(value: float, none: float, full: float) -> float:
    """Return how far a value has come from where nothing is doubted (0) to where all is (1); 0 for NaN."""
    share = (value - none) / (full - none)
    return float(min(max(share, 0.0), 1.0)) if share == share else 0.0


def _size_doubt(diameter: float, made_for: Optional[MadeFor]) -> float:
    if made_for is None or not diameter > 0:
        return 0.0
    low, high = made_for.diameter_range
    away = np.log(max(low / diameter, diameter / high)) / np.log(SIZE_TOLERANCE)
    return _between(float(away), 0.0, 2.0)


@dataclass(frozen=True)
class Traces:
    """What an image and the nuclei in it look like; made by `traces_of`. NaN where there is nothing to measure.

    Attributes
    ----------
    nuclei : int
        Number of nuclei.
    diameter : float
        Typical diameter in pixels.
    contrast : float
        How much brighter nuclei are than what is beside them, in standard deviations of that.
    sharpness : float
        Step of the intensity across the outlines, from one pixel to the next, as a share of the contrast, times the
        diameter: twice as large where light ends in half the space.
    saturated : float
        Share of the pixels of nuclei that have the highest value of the image.
    brightest : float
        How bright the brightest thousandth of the image is, as a multiple of the typical nucleus.
    missed : float
        Pixels beside nuclei that are as bright as the typical nucleus, for each pixel of a nucleus.
    dark_nuclei : bool
        See `polarity.looks_dark_on_bright`.
    """

    nuclei: int
    diameter: float
    contrast: float = float("nan")
    sharpness: float = float("nan")
    saturated: float = float("nan")
    brightest: float = float("nan")
    missed: float = float("nan")
    dark_nuclei: bool = False


def traces_of(image: AnyArray, labels: Labels, diameter: float, mask: Optional[Mask] = None) -> Traces:
    """Measure an image and the nuclei in it, at about `MEASURED_PIXELS` pixels.

    Parameters
    ----------
    image : array (H, W), any real dtype
        As it was read.
    labels : int32 array (H, W)
        All nuclei that were found, before filters.
    diameter : float
        Typical nucleus diameter in pixels, NaN where there is none.
    mask : bool array (H, W), optional
        Only pixels where it is true count.

    Returns
    -------
    Traces
    """
    dark, count = looks_dark_on_bright(image, mask), int(labels.max(initial=0))
    step = max(1, int(np.sqrt(image.size / MEASURED_PIXELS)))
    # Dark nuclei are measured in the negative.
    sign = np.float32(-1 if dark else 1)
    values, inside = sign * image[::step, ::step].astype(np.float32), labels[::step, ::step] > 0
    counted = np.ones(inside.shape, bool) if mask is None else mask[::step, ::step]
    nuclear, beside = values[inside & counted], values[~inside & counted]
    if not nuclear.size or not beside.size:
        return Traces(count, diameter, dark_nuclei=dark)
    typical, (ground, upper) = float(np.median(nuclear)), map(float, np.percentile(beside, (50, 84)))
    height = typical - ground
    if height <= 0:
        return Traces(count, diameter, contrast=0.0, dark_nuclei=dark)
    return Traces(
        nuclei=count,
        diameter=diameter,
        contrast=height / max(upper - ground, 1e-6 * height),
        sharpness=float(sign) * _step_at_outlines(image, labels) * diameter / height,
        saturated=float((nuclear == sign * np.float32(image.min() if dark else image.max())).mean()),
        brightest=(float(np.percentile(values[counted], PEAK_PERCENTILE)) - ground) / height,
        missed=float(np.count_nonzero(beside > typical)) / nuclear.size,
        dark_nuclei=dark,
    )


def _step_at_outlines(image: AnyArray, labels: Labels) -> float:
    """Return how much the intensity falls on average from the last pixel of a nucleus to the next one in its row."""
    every = max(1, image.size // MEASURED_PIXELS)
    inside, values = labels[::every] > 0, image[::every]
    row, col = np.nonzero(inside[:, 1:] != inside[:, :-1])
    if not row.size:
        return float("nan")
    rises = values[row, col + 1].astype(np.float64) - values[row, col]
    return float(np.where(inside[row, col + 1], rises, -rises).mean())
