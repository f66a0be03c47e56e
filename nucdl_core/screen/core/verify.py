"""Finding out whether the tables of a chunk are complete, and agree with each other and with its list.

They have CellProfiler's names and columns, whoever wrote them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np
import pandas as pd

from nucdl_core.cellprofiler.headless import IMAGE_TABLE
from nucdl_core.screen.core.columns import image_columns
from nucdl_core.screen.core.plan import ScreenError

IMAGE_NUMBER, OBJECT_NUMBER = "ImageNumber", "ObjectNumber"
RELATIONSHIPS = "Object relationships"
NOT_TABLES = ("Experiment",)
"""What CellProfiler writes for each process and not for each image set."""
_TIME, _ERROR = "ExecutionTime_", "ModuleError_"


class UnusableResultsError(ScreenError):
    """The tables of a chunk are incomplete or contradict each other, although the work ended well."""


@dataclass(frozen=True)
class VerifiedTables:
    """Tables that are complete.

    Attributes
    ----------
    prefix : str
        What CellProfiler put before the names of the files, often nothing.
    rows : dict of str to int
        Rows of each table by its name without prefix and ``.csv``; "Image" is one of them.
    step_seconds : dict of str to float
        Processor seconds of each step, such as "02IdentifyPrimaryObjects", summed over the image sets.
    """

    prefix: str
    rows: Dict[str, int]
    step_seconds: Dict[str, float]


def verify_tables(folder: Path, rows: Sequence[Mapping[str, str]], objects: Sequence[str]) -> VerifiedTables:
    """Check the tables of one process.

    Parameters
    ----------
    folder : Path
    rows : sequence of mapping
        The image sets that they are of, in order.
    objects : sequence of str
        Names of the tables that must be there beside ``Image.csv``, one for each kind of object.

    Returns
    -------
    VerifiedTables

    Raises
    ------
    UnusableResultsError
        If a table, rows or counts are missing, a module reported an error, a row is cut, or the tables contradict
        each other or the list.
    """
    path = find_image_table(folder)
    prefix = path.name[: -len(IMAGE_TABLE)]
    images = _read(path)
    _check_images(path, images, rows)
    counts = {}
    for name in objects:
        counts[name] = _check_objects(folder / f"{prefix}{name}.csv", images, name)
    for name in table_names(folder, prefix):
        if name != "Image" and name not in counts:
            counts[name] = len(_read(folder / f"{prefix}{name}.csv"))
    times = {name[len(_TIME) :]: float(images[name].sum()) for name in images.columns if name.startswith(_TIME)}
    return VerifiedTables(prefix, {"Image": len(images), **counts}, times)


def find_image_table(folder: Path) -> Path:
    """Find ``Image.csv``, whatever prefix its name has.

    Raises
    ------
    UnusableResultsError
        If there is none, or more than one.
    """
    found = sorted(folder.glob(f"*{IMAGE_TABLE}"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UnusableResultsError(
            f"one table of images ({IMAGE_TABLE}) was expected, found: {names}; a module failed or is missing, or"
            " ExportToSpreadsheet does not write it"
        )
    return found[0]


def table_names(folder: Path, prefix: str) -> List[str]:
    """List the tables in a folder without prefix and ``.csv``, those left out that describe only the process."""
    names = sorted(path.stem[len(prefix) :] for path in folder.glob("*.csv") if path.stem.startswith(prefix))
    return [name for name in names if name not in NOT_TABLES]


def read_header(path: Path) -> Tuple[str, ...]:
    """Read the names of a table's columns.

    Raises
    ------
    UnusableResultsError
        If the table is missing or empty, or two columns have one name.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            header = tuple(next(csv.reader(stream), ()))
    except (OSError, csv.Error) as error:
        raise UnusableResultsError(f"{path.name} cannot be read ({error}); run the chunk again") from error
    twice = sorted({name for name in header if header.count(name) > 1})
    if not header or twice:
        what = f"has the column {twice[0]!r} twice" if twice else "is empty"
        raise UnusableResultsError(f"{path.name} {what}; let ExportToSpreadsheet write one file for each object")
    return header


def _read(path: Path) -> pd.DataFrame:
    header = read_header(path)
    try:
        # Names of files may be "NA", and are text even where they look like numbers.
        text = {name: str for name in header if name.startswith(("FileName_", "PathName_", "URL_", "Metadata_"))}
        table = pd.read_csv(
            path,
            dtype=text,
            keep_default_na=False,
            na_values={name: ["", "nan", "NaN"] for name in header if name not in text},
            encoding_errors="surrogateescape",
            low_memory=False,
        )
    except (OSError, ValueError) as error:
        raise UnusableResultsError(f"{path.name} is damaged ({error}); is the disk full?") from error
    if IMAGE_NUMBER in header and table[IMAGE_NUMBER].isna().any():
        raise UnusableResultsError(f"{path.name} has a row without {IMAGE_NUMBER}; is the disk full?")
    return table


def _check_images(path: Path, images: pd.DataFrame, rows: Sequence[Mapping[str, str]]) -> None:
    numbers = list(images[IMAGE_NUMBER]) if IMAGE_NUMBER in images else []
    if numbers != list(range(1, len(rows) + 1)):
        raise UnusableResultsError(f"{path.name} has {len(numbers)} rows for {len(rows)} image sets, or in disorder")
    for column in images.columns:
        if column.startswith(_ERROR) and not (images[column] == 0).all():
            module, number = column[len(_ERROR) :], int(np.flatnonzero(images[column] != 0)[0]) + 1
            raise UnusableResultsError(f"module {module} reported an error for row {number} of {path.name}")
    for image in image_columns(list(rows[0])):
        written = images.get(f"{'Objects' if image.objects else ''}FileName_{image.name}")
        if image.file is None or written is None:
            continue
        if list(written) != [row[image.file] for row in rows]:
            raise UnusableResultsError(f"{path.name} names other files for {image.name} than the list; run it again")


def _check_objects(path: Path, images: pd.DataFrame, name: str) -> int:
    """Compare the rows of an object table with the counts, image set by image set."""
    if f"Count_{name}" not in images or images[f"Count_{name}"].isna().any():
        raise UnusableResultsError(f"counts of {name} are missing: a module failed or is missing")
    if not path.is_file():
        raise UnusableResultsError(f"{path.name} was not written: a module failed or is missing")
    counts = images[f"Count_{name}"].to_numpy(np.int64)
    table = _read(path)
    for column in (IMAGE_NUMBER, OBJECT_NUMBER):
        if column not in table:
            raise UnusableResultsError(f"{path.name} has no column {column}; let ExportToSpreadsheet write it")
    expected = np.repeat(np.arange(1, len(counts) + 1), counts)
    found = table[IMAGE_NUMBER].to_numpy()
    if len(found) != len(expected):
        raise UnusableResultsError(f"{path.name} has {len(found)} rows for {len(expected)} objects; is the disk full?")
    if not np.array_equal(found, expected):
        raise UnusableResultsError(f"{path.name} has other numbers of objects per image set than were counted")
    first = np.repeat(np.cumsum(counts) - counts, counts)
    if not np.array_equal(table[OBJECT_NUMBER].to_numpy(), np.arange(len(found)) - first + 1):
        raise UnusableResultsError(f"{path.name} does not number the objects from 1 in each image set")
    return len(found)
