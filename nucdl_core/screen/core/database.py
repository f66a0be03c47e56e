"""The merged tables as an SQLite database, in the layout of CellProfiler's ExportToDatabase, and under older names.

============================  =======================================================================================
table                         holds
============================  =======================================================================================
``Per_Image``                 one row per image; the columns begin with ``Image_``
``Per_Nuclei`` ...            one row per object, for each kind of objects; the columns begin with ``Nuclei_`` ...
``inspected_files``           what was found in the image files
``failed_sets``               image sets that failed
``relationships``             of objects, where the pipeline has measured any
============================  =======================================================================================

CytoTable reads every table in whose name "image", "nuclei", "cells" or "cytoplasm" occurs, and fails at an empty one:
no other table may be called so. Views are not read by it. They give the same rows under the names that pycytominer's
SingleCells and other people's queries use, those of the CSV files: ``Image``, ``Nuclei`` ..., ``inspection``.
"""

from __future__ import annotations

import sqlite3
from typing import Dict, List, Mapping, Tuple

import pandas as pd

from nucdl_core.cellprofiler.headless import IMAGE_TABLE
from nucdl_core.screen.core.columns import METADATA
from nucdl_core.screen.core.verify import IMAGE_NUMBER, OBJECT_NUMBER, RELATIONSHIPS

DATABASE = "screen.sqlite"
PER = "Per_"
"""Begin of the names of the tables of images and objects, as ExportToDatabase chooses it."""
OBJECT_KEY = "Number_Object_Number"
"""What CellProfiler calls the number of an object among the measurements; with the name of the objects before it."""
TABLE_NUMBER = "TableNumber"
"""Key that pycytominer expects beside ImageNumber; 1 everywhere, since ImageNumber is unique in the screen."""
INTEGER, REAL, TEXT = "INTEGER", "REAL", "TEXT"
_IMAGE = IMAGE_TABLE[: -len(".csv")]
_OTHER_NAMES = {"failed_image_sets": "failed_sets", "inspection": "inspected_files", RELATIONSHIPS: "relationships"}


class DatabaseTable:
    """A new table of a database, and the view that gives it its other names.

    Parameters
    ----------
    connection : sqlite3.Connection
    name : str
        Of the table as a CSV file, such as "Nuclei".
    kinds : mapping of str to str
        Type of each column of the CSV file that is stored.
    """

    def __init__(self, connection: sqlite3.Connection, name: str, kinds: Mapping[str, str]) -> None:
        self._connection = connection
        self._table, self._columns = table_layout(name, kinds)
        declared = ", ".join(f"{_quoted(column)} {kinds[source]}" for column, source in self._columns.items())
        connection.execute(f"CREATE TABLE {_quoted(self._table)} ({declared})")
        view = view_columns(name, self._columns)
        chosen = ", ".join(f"{expression} AS {_quoted(column)}" for column, expression in view.items())
        if self._table != name:
            connection.execute(f"CREATE VIEW {_quoted(name)} AS SELECT {chosen} FROM {_quoted(self._table)}")

    def write(self, batch: pd.DataFrame) -> None:
        """Add rows, with the columns of the CSV file."""
        values = batch[list(self._columns.values())].astype(object)
        values = values.where(values.notna(), None)
        places = ", ".join("?" * len(self._columns))
        self._connection.executemany(
            f"INSERT INTO {_quoted(self._table)} VALUES ({places})", values.itertuples(index=False, name=None)
        )

    def finish(self) -> None:
        """Make the index of the images, which takes less time when all rows are there."""
        if IMAGE_NUMBER in self._columns:
            index = f"{self._table}_by_image"
            self._connection.execute(f"CREATE INDEX {_quoted(index)} ON {_quoted(self._table)} ({IMAGE_NUMBER})")


def table_layout(name: str, kinds: Mapping[str, str]) -> Tuple[str, Dict[str, str]]:
    """Decide how a table and its columns are called in the database.

    Parameters
    ----------
    name : str
        Of the table as a CSV file.
    kinds : mapping
        By column of the CSV file.

    Returns
    -------
    str
        Name of the table.
    dict of str to str
        For each column of it, the column of the CSV file that fills it. Objects have their number once, under the
        name that CytoTable's presets join by.
    """
    if OBJECT_NUMBER in kinds:
        key = f"{name}_{OBJECT_KEY}"
        others = [column for column in kinds if column not in (IMAGE_NUMBER, OBJECT_NUMBER, OBJECT_KEY)]
        return PER + name, {IMAGE_NUMBER: IMAGE_NUMBER, key: OBJECT_NUMBER, **{f"{name}_{c}": c for c in others}}
    columns = {column if column == IMAGE_NUMBER else f"{name}_{column}": column for column in kinds}
    return PER + name if name == _IMAGE else _OTHER_NAMES.get(name, name), columns


def view_columns(name: str, columns: Mapping[str, str]) -> Dict[str, str]:
    """Return the columns of a table's view and how each is computed.

    Parameters
    ----------
    name : str
        Of the table as a CSV file.
    columns : mapping
        See `table_layout`.

    Returns
    -------
    dict of str to str
        SQL by column: the keys of pycytominer's SingleCells, the columns of the table, and of images the metadata
        without "Image_" once more, by which it groups them.
    """
    view = {TABLE_NUMBER: "1"}
    if OBJECT_NUMBER in columns.values():
        view[IMAGE_NUMBER], view[OBJECT_NUMBER] = IMAGE_NUMBER, _quoted(f"{name}_{OBJECT_KEY}")
    view.update({column: _quoted(column) for column in columns})
    if name == _IMAGE:
        view.update({source: _quoted(column) for column, source in columns.items() if source.startswith(METADATA)})
    return view


def database_names(connection: sqlite3.Connection, kind: str = "table") -> List[str]:
    """List the tables (or, of the kind "view", the views) of a database by name."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = ? ORDER BY name", (kind,))
    return [name for (name,) in rows]


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
