"""Files of annotations as a whole: bytes, JSON and tables, read within limits and with errors that help."""

from __future__ import annotations

import io
import json
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable

from nucdl_core.errors import ImageError
from nucdl_core.files.writing import write_atomically

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 2**30


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bytes
        At least one and at most `MAX_BYTES`.

    Raises
    ------
    ImageError
        If it is missing, no file, not readable, empty or larger.
    """
    try:
        found = path.stat()
        # Opening a pipe would wait for ever, so the kind of file is looked at first.
        if not stat.S_ISREG(found.st_mode):
            raise ImageError("this is a folder or a device, not a file; name a file of annotations")
        if found.st_size > MAX_BYTES:
            raise ImageError(f"the file has {found.st_size} bytes, the limit is {MAX_BYTES}; export fewer images")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ImageError("there is no such file; check the name") from None
    except OSError as error:
        raise ImageError(f"the file cannot be read ({error.strerror}); check its permissions and the disk") from error
    if not content:
        raise ImageError("the file is empty; copy or export it again")
    return content


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    ImageError
        As `read_bytes`, or if it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(read_bytes(path).decode("utf-8-sig"))
    except RecursionError as error:
        raise ImageError("the JSON is nested too deeply to be annotations; export the file again") from error
    except ValueError as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"this is no JSON ({error}); copy or export the file again") from error


def write_compact_json(path: Path, content: Any) -> None:
    """Write an object as a JSON file without spaces: most of it are long lists of coordinates.

    Parameters
    ----------
    path : Path
        In an existing folder; an existing file is replaced.
    content : dict, list, str, int or None

    Raises
    ------
    NucDLError
        If the file cannot be written.
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n"
    write_atomically(path, lambda stream: stream.write(text.encode("ascii")))


def read_text_table(path: Path, needed: Iterable[str]) -> pd.DataFrame:
    """Read a table with a header line, whose columns are separated by commas, semicolons or tabs.

    Parameters
    ----------
    path : Path
    needed : iterable of str
        Columns that must be there.

    Returns
    -------
    pandas.DataFrame
        All columns as text, their names in small letters.

    Raises
    ------
    ImageError
        As `read_bytes`, or if it is no such table.
    """
    import pandas as pd

    content = read_bytes(path)
    header = content.split(b"\n", 1)[0]
    separator = max(",;\t", key=lambda mark: header.count(mark.encode()))
    options: Dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig", "index_col": False}
    try:
        with warnings.catch_warnings():
            # Otherwise what a row has beyond its header is dropped.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(io.BytesIO(content), sep=separator, **options)
    # What pandas raises is a ValueError, text that is not UTF-8 as well.
    except (ValueError, LookupError, pd.errors.ParserWarning) as error:
        raise ImageError(f"this is no table in UTF-8 ({error}); export it again as CSV") from error
    table.columns = table.columns.str.strip().str.lower()
    if missing := [name for name in needed if name not in table.columns]:
        raise ImageError(
            f"the table has no column {', '.join(missing)}; its columns are {', '.join(table.columns)[:200]}"
        )
    if table.columns.has_duplicates:
        raise ImageError(f"two columns have one name; the columns are {', '.join(table.columns)[:200]}")
    return table
