"""The merged tables, well by well."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import pandas as pd

from nucdl_core.cellprofiler.headless import IMAGE_TABLE
from nucdl_core.model.doubt import DOUBT_COLUMNS, DOUBTFUL
from nucdl_core.screen.core.inspection import EMPTY, SATURATED
from nucdl_core.screen.core.publish import FAILED, INSPECTION
from nucdl_core.screen.core.verify import IMAGE_NUMBER, RELATIONSHIPS, read_header

_PLATE, _WELL = "Metadata_Plate", "Metadata_Well"
NUCLEI = "Nuclei"
_DIAMETER, _CONFIDENCE = "AreaShape_EquivalentDiameter", "NucDL_Confidence"
QUANTITIES = {
    "image_sets": "image sets",
    "failed": "failed image sets",
    "nuclei": "objects",
    "median_diameter": "median diameter (px)",
    "confidence": "median confidence",
    "empty": "empty images",
    "saturated": "saturated images",
    "focus": "median focus",
    "doubtful": "doubtful images",
}


def well_table(merged: Path) -> pd.DataFrame:
    """Sum up a screen by plate and well.

    Parameters
    ----------
    merged : Path
        Folder of the merged tables.

    Returns
    -------
    DataFrame
        Plate and well ("" where the list has none) and `QUANTITIES`, missing where there is nothing to tell.
        ``attrs["objects"]`` names the objects that are counted: Nuclei, otherwise the first ones.
    """
    images = _image_table(merged)
    failed = _read(merged / FAILED, [IMAGE_NUMBER, _PLATE, _WELL])
    places = pd.concat([images[[IMAGE_NUMBER, _PLATE, _WELL]], failed], ignore_index=True)
    objects = _counted_objects(merged)
    keys = [_PLATE, _WELL]
    wells = places.groupby(keys, sort=True).size().to_frame("image_sets")
    wells["failed"] = failed.groupby(keys).size().reindex(wells.index, fill_value=0)
    wells["nuclei"] = images.groupby(keys)[f"Count_{objects}"].sum(min_count=1) if objects else float("nan")
    for name, values in {**_object_values(merged, objects), **_image_values(merged)}.items():
        located = values.merge(places, on=IMAGE_NUMBER)
        grouped = located.groupby(keys)["value"]
        wells[name] = grouped.sum() if name in (EMPTY, SATURATED, "doubtful") else grouped.median()
    table = wells.reindex(columns=list(QUANTITIES)).reset_index()
    table = table.rename(columns={_PLATE: "plate", _WELL: "well"})
    table.attrs["objects"] = objects
    return table


def doubts_of_images(merged: Path) -> pd.DataFrame:
    """Tell which images are doubted by `DOUBTFUL` or more.

    Parameters
    ----------
    merged : Path
        Folder of the merged tables.

    Returns
    -------
    DataFrame
        ``ImageNumber``, whether it is ``doubtful`` (1 or 0) and the ``reason``; no rows where the tables do not tell.
    """
    path = merged / IMAGE_TABLE
    columns = (IMAGE_NUMBER, *DOUBT_COLUMNS)
    if not path.is_file() or not set(columns) <= set(read_header(path)):
        nothing = pd.Series(dtype="int64")
        return pd.DataFrame({IMAGE_NUMBER: nothing, "doubtful": nothing, "reason": pd.Series(dtype=str)})
    table = pd.read_csv(path, usecols=list(columns), encoding_errors="surrogateescape")
    value, reason = DOUBT_COLUMNS
    doubtful = (table[value] >= DOUBTFUL).astype("int64")
    return pd.DataFrame({IMAGE_NUMBER: table[IMAGE_NUMBER], "doubtful": doubtful, "reason": table[reason]})


def _image_table(merged: Path) -> pd.DataFrame:
    path = merged / IMAGE_TABLE
    if not path.is_file():
        return pd.DataFrame({IMAGE_NUMBER: pd.Series(dtype="int64"), _PLATE: "", _WELL: ""})
    counts = [name for name in read_header(path) if name.startswith("Count_")]
    return _read(path, [IMAGE_NUMBER, _PLATE, _WELL, *counts])


def _counted_objects(merged: Path) -> Optional[str]:
    path = merged / IMAGE_TABLE
    header = read_header(path) if path.is_file() else ()
    names = [name[len("Count_") :] for name in header if name.startswith("Count_")]
    return NUCLEI if NUCLEI in names else next(iter(names), None)


def _object_values(merged: Path, objects: Optional[str]) -> Dict[str, pd.DataFrame]:
    """Read diameter and confidence of each object, where they were measured."""
    path = merged / f"{objects}.csv"
    header = read_header(path) if objects and objects != RELATIONSHIPS and path.is_file() else ()
    values = {}
    for name, column in (("median_diameter", _DIAMETER), ("confidence", _CONFIDENCE)):
        if column in header:
            values[name] = _read(path, [IMAGE_NUMBER, column]).rename(columns={column: "value"})
    return values


def _image_values(merged: Path) -> Dict[str, pd.DataFrame]:
    """Read focus and flags of each image."""
    table = _read(merged / INSPECTION, [IMAGE_NUMBER, "focus", "flags"])
    values = {"focus": table[[IMAGE_NUMBER, "focus"]].rename(columns={"focus": "value"})}
    for flag in (EMPTY, SATURATED):
        has = table["flags"].map(lambda flags, flag=flag: flag in str(flags).split(";"))
        values[flag] = pd.DataFrame({IMAGE_NUMBER: table[IMAGE_NUMBER], "value": has.astype("int64")})
    doubts = doubts_of_images(merged)
    values["doubtful"] = doubts[[IMAGE_NUMBER, "doubtful"]].rename(columns={"doubtful": "value"})
    return values


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read some columns of a merged table; metadata that it lacks are ""."""
    present = set(read_header(path))
    types: Dict[str, Any] = {_PLATE: str, _WELL: str, "flags": str}
    wanted: List[str] = [name for name in columns if name in present]
    table = pd.read_csv(
        path,
        usecols=wanted,
        dtype={name: types[name] for name in wanted if name in types},
        keep_default_na=False,
        na_values={name: ["", "nan", "NaN"] for name in wanted if name not in types},
        encoding_errors="surrogateescape",
    )
    for name in columns:
        if name not in present:
            table[name] = ""
    return table
