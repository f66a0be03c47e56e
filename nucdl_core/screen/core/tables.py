"""The merged tables as a database and as Parquet files, under the names that profiling tools read.

Columns get the name of their table in front ("Nuclei_AreaShape_Area", "Image_Metadata_Well"), the keys do not. Types
are those of the whole table, so that they do not depend on chunks either.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sqlite3
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Literal, Optional, Sequence, Tuple

import pandas as pd

from nucdl_core.errors import NucDLError
from nucdl_core.screen.core.columns import METADATA
from nucdl_core.screen.core.database import DATABASE, INTEGER, REAL, TABLE_NUMBER, TEXT, DatabaseTable
from nucdl_core.screen.core.verify import IMAGE_NUMBER, OBJECT_NUMBER, read_header

ROWS_AT_ONCE = 50_000
_TEXT = re.compile(r"(?:(?:Objects)?(?:FileName|PathName|URL)|Metadata|MD5Digest)_.+", re.DOTALL)
_KEYS = (IMAGE_NUMBER, OBJECT_NUMBER)

NamedTable = Tuple[str, Path]
"""Name of a table, and its CSV file."""
Writer = Callable[[pd.DataFrame], None]
"""Adds rows to a table."""


def is_text(column: str) -> bool:
    """Tell whether a column holds text even where it looks like a number, such as the site "01"."""
    return _TEXT.fullmatch(column) is not None


def store_tables(tables: Sequence[NamedTable], folder: Path) -> bool:
    """Write tables into a new SQLite database and, with pyarrow, each into a Parquet file.

    The same rows always give the same bytes. A table is read once for both: reading takes longer than writing.

    Parameters
    ----------
    tables : sequence of (str, Path)
    folder : Path
        Receives `DATABASE` and ``NAME.parquet``.

    Returns
    -------
    bool
        Whether there is pyarrow.

    Raises
    ------
    NucDLError
        If SQLite refuses, as for a full disk or more than 2,000 columns.
    """
    path, has_pyarrow = folder / DATABASE, importlib.util.find_spec("pyarrow") is not None
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("BEGIN")
            for name, source in tables:
                _store(connection, name, source, folder / f"{name}.parquet" if has_pyarrow else None)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise NucDLError(f"{path}: cannot be written ({error}); check the disk") from error
    return has_pyarrow


def _store(connection: sqlite3.Connection, name: str, source: Path, parquet_file: Optional[Path]) -> None:
    """Write one table into the database and, unless there is no pyarrow, into a Parquet file."""
    kinds = stored_columns(source)
    table = DatabaseTable(connection, name, kinds)
    with contextlib.ExitStack() as opened:
        writers: List[Writer] = [table.write]
        if parquet_file is not None:
            writers.append(opened.enter_context(_new_parquet_file(parquet_file, name, kinds)))
        for batch in read_batches(source, kinds):
            for write in writers:
                write(batch)
    table.finish()


@contextlib.contextmanager
def _new_parquet_file(path: Path, name: str, kinds: Dict[str, str]) -> Iterator[Writer]:
    import pyarrow
    from pyarrow import parquet

    types = {INTEGER: pyarrow.int64(), REAL: pyarrow.float64(), TEXT: pyarrow.string()}
    columns = {TABLE_NUMBER: INTEGER, **dict(zip(column_names(name, list(kinds)), kinds.values()))}
    schema = pyarrow.schema([(column, types[kind]) for column, kind in columns.items()])
    with parquet.ParquetWriter(path, schema) as file:

        def write(batch: pd.DataFrame) -> None:
            batch = batch.copy(deep=False)
            batch.insert(0, TABLE_NUMBER, 1)
            arrays = [
                pyarrow.array(batch.iloc[:, index], type=field.type, from_pandas=True)
                for index, field in enumerate(schema)
            ]
            file.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))

        yield write


def column_names(table: str, columns: Sequence[str]) -> List[str]:
    """Put the name of the table before each column that is not a key."""
    return [column if column in _KEYS else f"{table}_{column}" for column in columns]


def stored_columns(path: Path) -> Dict[str, str]:
    """Return the types of the columns to store; the metadata of objects are those of their image, and only kept there.

    pycytominer takes every column of a table of objects for a feature, so that words in it are an error.
    """
    kinds = column_kinds(path)
    return {name: kind for name, kind in kinds.items() if OBJECT_NUMBER not in kinds or not name.startswith(METADATA)}


def column_kinds(path: Path) -> Dict[str, str]:
    """Find the type of each column of a table: INTEGER, REAL (also with gaps) or TEXT, in the order of the columns."""
    kinds: Dict[str, str] = {}
    for batch in _raw_batches(path, read_header(path)):
        if batch.empty:
            continue
        for column in batch.columns:
            kind = {"i": INTEGER, "f": REAL, "u": REAL}.get(batch[column].dtype.kind, TEXT)
            # In the order of the alphabet, each type holds what the ones before it hold.
            kinds[column] = max(kind, kinds.get(column, kind))
    return kinds or {column: _kind_without_rows(column) for column in read_header(path)}


def _kind_without_rows(column: str) -> str:
    return INTEGER if column in _KEYS else TEXT if is_text(column) else REAL


def _raw_batches(path: Path, header: Sequence[str]) -> Iterator[pd.DataFrame]:
    # Whether a number is whole does not depend on its last digit, which takes the longest to find.
    yield from _read(path, {column: "str" for column in header if is_text(column)}, header, precision="high")


def read_batches(path: Path, kinds: Dict[str, str]) -> Iterator[pd.DataFrame]:
    """Read a table in parts of `ROWS_AT_ONCE` rows, with the types of `column_kinds`."""
    types = {INTEGER: "int64", REAL: "float64", TEXT: "str"}
    for batch in _read(path, {column: types[kind] for column, kind in kinds.items()}, list(kinds)):
        for column, kind in kinds.items():
            if kind == TEXT:
                # Bytes of file names that are not UTF-8 cannot be stored as text.
                raw = batch[column].str.encode("utf-8", "surrogateescape")
                batch[column] = raw.str.decode("utf-8", "backslashreplace")
        yield batch


def _read(
    path: Path, types: Dict[str, str], header: Sequence[str], precision: Literal["high", "round_trip"] = "round_trip"
) -> Iterator[pd.DataFrame]:
    missing: Dict[str, Any] = {column: ["", "nan", "NaN"] for column in header if types.get(column) != "str"}
    yield from pd.read_csv(
        path,
        usecols=list(header),
        dtype=types,
        chunksize=ROWS_AT_ONCE,
        keep_default_na=False,
        na_values=missing,
        float_precision=precision,
        low_memory=False,
        encoding_errors="surrogateescape",
    )
