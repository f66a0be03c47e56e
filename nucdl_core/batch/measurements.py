"""Shape and intensity of nuclei, measured and named as CellProfiler does."""

from __future__ import annotations

from typing import Dict, Tuple

import numpy as np
import pandas as pd
from skimage.measure import regionprops_table

from nucdl_core.arrays import AnyArray, Labels

SHAPES: Dict[str, str] = {
    "AreaShape_Eccentricity": "eccentricity",
    "AreaShape_Solidity": "solidity",
    "AreaShape_Extent": "extent",
    "AreaShape_MajorAxisLength": "major_axis_length",
    "AreaShape_MinorAxisLength": "minor_axis_length",
    "AreaShape_Perimeter": "perimeter",
    "AreaShape_BoundingBoxMinimum_X": "bbox-1",
    "AreaShape_BoundingBoxMinimum_Y": "bbox-0",
    "AreaShape_BoundingBoxMaximum_X": "bbox-3",
    "AreaShape_BoundingBoxMaximum_Y": "bbox-2",
}
"""What is measured beside area and diameter, and how scikit-image calls it; boxes end with the first pixel outside."""
FORM_FACTOR = "AreaShape_FormFactor"
INTENSITIES = ("MeanIntensity", "IntegratedIntensity", "StdIntensity")
DEFAULT_CHANNEL = "DNA"
_DECIMALS = 5


def measurement_columns(channel: str = DEFAULT_CHANNEL) -> Tuple[str, ...]:
    """Return the names of the columns of `measure_nuclei`."""
    return (*SHAPES, FORM_FACTOR, *(f"Intensity_{name}_{channel}" for name in INTENSITIES))


def measure_nuclei(labels: Labels, image: AnyArray, channel: str = DEFAULT_CHANNEL) -> pd.DataFrame:
    """Measure the nuclei of an image.

    Parameters
    ----------
    labels : int32 array (H, W)
        1..N without gaps.
    image : array (H, W)
        Grey values as they are in the file.
    channel : str
        What the image is called, the end of the names of intensities.

    Returns
    -------
    pandas.DataFrame
        One row per nucleus, with the columns `measurement_columns`: lengths in pixels, areas in square pixels,
        intensities as CellProfiler has them, see `unit_scaled`.
    """
    grey, count = unit_scaled(image), int(labels.max(initial=0))
    names = sorted({name.split("-")[0] for name in SHAPES.values()} | {"area"})
    nothing = {name: np.empty(0) for name in (*SHAPES.values(), "area")}
    found = regionprops_table(labels, properties=names) if count else nothing
    table = pd.DataFrame({column: np.asarray(found[name], np.float64) for column, name in SHAPES.items()})
    boxes = [name for name in SHAPES if "BoundingBox" in name]
    table[boxes] = table[boxes].astype(np.int64)
    area, perimeter = np.asarray(found["area"], np.float64), table["AreaShape_Perimeter"]
    table[FORM_FACTOR] = 4 * np.pi * area / np.maximum(perimeter, 1e-9) ** 2
    inside = labels > 0
    numbers, values = labels[inside] - 1, grey[inside]
    total = np.bincount(numbers, values, count)
    mean = total / np.maximum(area, 1)
    spread = np.bincount(numbers, (values - mean[numbers]) ** 2, count) / np.maximum(area, 1)
    for name, measured in zip(INTENSITIES, (mean, total, np.sqrt(spread))):
        table[f"Intensity_{name}_{channel}"] = measured
    return table.round(_DECIMALS)


def unit_scaled(image: AnyArray) -> AnyArray:
    """Return an image as float64 as CellProfiler takes it: whole numbers as a share of the largest of their type."""
    if np.issubdtype(image.dtype, np.integer):
        return image / float(np.iinfo(image.dtype).max)
    return image.astype(np.float64)
