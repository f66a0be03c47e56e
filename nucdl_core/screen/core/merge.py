"""From the folders of the chunks to the tables of the screen, which do not depend on how it was cut into chunks.

Left out are the columns that tell of the process rather than of the image: times, and places in a chunk. Numbers are
written in one way ("15" and "15.0" both occur, depending on what else was in the chunk); everything else is copied as
text. The one thing that names a chunk is the folder of images that the pipeline itself saved.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import file_sha256
from nucdl_core.screen.core.plan import Chunk, ScreenError, ScreenFolder, ScreenPlan, read_chunks, read_plan
from nucdl_core.screen.core.publish import OWN_TABLES, Manifest, check_files, read_manifest
from nucdl_core.screen.core.tables import is_text, store_tables
from nucdl_core.screen.core.verify import IMAGE_NUMBER, read_header
from nucdl_core.screen.core.work import private_folder

MERGED = "merged"
MOST_NAMED = 5
_OF_THE_PROCESS = re.compile(r"ExecutionTime_.+|ModuleError_.+|Group_(?:Index|Length|Number)")
_NUMBERS = (IMAGE_NUMBER, "First Image Number", "Second Image Number")
_PLACES = ("PathName_", "URL_")


@dataclass(frozen=True)
class MergedScreen:
    """The tables of a screen.

    Attributes
    ----------
    folder : Path
    tables : dict of str to int
        Rows of each table by name, such as "Image".
    parquet : bool
        Whether the tables are there as Parquet, too; it needs pyarrow.
    chunks : tuple of FinishedChunk
        What they were made of.
    """

    folder: Path
    tables: Dict[str, int]
    parquet: bool
    chunks: Tuple[FinishedChunk, ...]


@dataclass(frozen=True)
class FinishedChunk:
    """A chunk, its folder, and its manifest."""

    chunk: Chunk
    folder: Path
    manifest: Manifest


def merge_screen(folder: ScreenFolder) -> MergedScreen:
    """Check all chunks against their manifests and join their tables.

    Parameters
    ----------
    folder : ScreenFolder
        Every chunk of it must be finished.

    Returns
    -------
    MergedScreen
        In ``merged``, which appears all at once: CSV files, an SQLite database and, with pyarrow, Parquet files.

    Raises
    ------
    ScreenError
        Naming the chunks that are missing, there twice, altered, made with another pipeline or model, or that have
        other columns; nothing is written then.
    NucDLError
        If something cannot be written.
    """
    finished = collect_chunks(folder)
    headers = common_columns(finished)
    with private_folder(folder, MERGED) as work:
        result = work / MERGED
        result.mkdir()
        try:
            rows = {name: _join(finished, name, header, result) for name, header in headers.items()}
            for name in OWN_TABLES:
                rows[Path(name).stem] = _join_own(finished, name, result)
            parquet = store_tables([(name, result / f"{name}.csv") for name in rows], result)
            _replace(result, folder.merged, work / "old")
        except OSError as error:
            raise NucDLError(f"{folder.merged}: cannot be written ({error.strerror}); check the disk") from error
    return MergedScreen(folder.merged, rows, parquet, tuple(finished))


def _replace(new: Path, place: Path, old: Path) -> None:
    for path in new.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    if place.exists():
        os.rename(place, old)
    os.rename(new, place)
    shutil.rmtree(old, ignore_errors=True)


def collect_chunks(folder: ScreenFolder) -> List[FinishedChunk]:
    """Read and check the manifests of all chunks.

    Raises
    ------
    ScreenError
        See `merge_screen`.
    """
    plan, chunks = read_plan(folder), read_chunks(folder)
    known = {folder.result(chunk).name for chunk in chunks}
    found = {path.name for path in folder.results.iterdir()} if folder.results.is_dir() else set()
    missing = [chunk.name for chunk in chunks if chunk.name not in found]
    if missing:
        raise ScreenError(f"{_named('chunk', missing)} missing in {folder.results}; resume the screen")
    if found - known:
        raise ScreenError(f"{_named('chunk', sorted(found - known))} unknown to the plan; take away what was added")
    plan_sha256 = file_sha256(folder.plan)
    finished = [_read_finished(folder, chunk) for chunk in chunks]
    for each in finished:
        _check_identity(folder, plan, plan_sha256, each)
        check_files(each.folder, each.manifest)
    return finished


def _named(what: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    one = len(names) == 1
    return f"{what}{'' if one else 's'} {', '.join(names[:MOST_NAMED])}{more} {'is' if one else 'are'}"


def _read_finished(folder: ScreenFolder, chunk: Chunk) -> FinishedChunk:
    place = folder.result(chunk)
    manifest = read_manifest(place)
    if manifest.chunk != chunk.number:
        raise ScreenError(f"chunk {manifest.chunk} is there twice, also as {place}; delete {place} and resume")
    return FinishedChunk(chunk, place, manifest)


def _check_identity(folder: ScreenFolder, plan: ScreenPlan, plan_sha256: str, finished: FinishedChunk) -> None:
    chunk, manifest = finished.chunk, finished.manifest
    planned = {model.name: model.sha256 for model in plan.models}
    what_was_done = "segmentation" if plan.procedure.by_nucdl_alone else "pipeline"
    same = {
        "model": manifest.models == planned,
        what_was_done: manifest.procedure_sha256 == plan.procedure.sha256,
        "plan": manifest.plan_sha256 == plan_sha256,
        "list": manifest.list_sha256 == file_sha256(folder.chunk_csv(chunk)),
        "range": (manifest.first_image_number, manifest.image_sets) == (chunk.first_image_number, chunk.image_sets),
    }
    other = [name for name, equal in same.items() if not equal]
    if other:
        raise ScreenError(
            f"{finished.folder} was made with another {' and '.join(other)} than planned; delete it and resume"
        )


def common_columns(finished: Sequence[FinishedChunk]) -> Dict[str, Tuple[str, ...]]:
    """Return the header of each table, which must be the same in all chunks that have tables.

    Raises
    ------
    ScreenError
        Naming the first chunk that differs.
    """
    headers: Dict[str, Tuple[str, ...]] = {}
    with_tables = [each for each in finished if each.manifest.tables]
    for each in with_tables:
        own = {name: read_header(_table_path(each, name)) for name in each.manifest.tables}
        headers = headers or own
        for name in sorted({*headers, *own}):
            if headers.get(name) != own.get(name):
                first = with_tables[0].folder
                odd = sorted({*headers.get(name, ())} ^ {*own.get(name, ())})
                raise ScreenError(
                    f"table {name} of {each.folder} has other columns than that of {first} "
                    f"({', '.join(odd[:MOST_NAMED]) or 'in another order'}); delete the wrong one and resume"
                )
    return headers


def _table_path(finished: FinishedChunk, name: str) -> Path:
    return finished.folder / f"{finished.manifest.prefix}{name}.csv"


def _join(finished: Sequence[FinishedChunk], name: str, header: Sequence[str], result: Path) -> int:
    """Write one table of all chunks, row by row, since it may be larger than the memory; return its rows."""
    kept = [index for index, column in enumerate(header) if not _OF_THE_PROCESS.fullmatch(column)]
    count = 0
    with _open(result / f"{name}.csv", "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([header[index] for index in kept])
        for each in (each for each in finished if each.manifest.tables):
            changes = {at: _change(header[index], each) for at, index in enumerate(kept)}
            special = [(at, change) for at, change in changes.items() if change is not None]
            for row in _rows(_table_path(each, name)):
                values = plain_numbers([row[index] for index in kept])
                for at, change in special:
                    values[at] = change(row[kept[at]])
                writer.writerow(values)
                count += 1
    return count


def _change(column: str, finished: FinishedChunk) -> Optional[Callable[[str], str]]:
    """Choose what happens to the values of a column that are not just numbers; None for one of these."""
    if column in _NUMBERS:
        return lambda text: str(finished.manifest.succeeded[int(float(text)) - 1])
    if column.startswith(_PLACES):
        return lambda text: text.replace(finished.manifest.work_folder, str(finished.folder))
    return str if is_text(column) else None


def plain_numbers(texts: Sequence[str]) -> List[str]:
    """Write whole numbers without ".0"; leave everything else as it is.

    For all values of a row at once, since nearly all are numbers, and calls of functions would take most of the time.
    """
    return [text[:-2] if text.endswith(".0") else text for text in texts]


def _join_own(finished: Sequence[FinishedChunk], name: str, result: Path) -> int:
    """Write a table of ours, whose numbers are global already; return its rows."""
    count = 0
    with _open(result / name, "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(read_header(finished[0].folder / name))
        for each in finished:
            for row in _rows(each.folder / name):
                writer.writerow(row)
                count += 1
    return count


def _rows(path: Path) -> Iterator[List[str]]:
    with _open(path, "r") as stream:
        reader = csv.reader(stream)
        next(reader, None)
        yield from reader


def _open(path: Path, mode: str) -> IO[str]:
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")
