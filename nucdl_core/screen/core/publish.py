"""A finished chunk becomes visible all at once, with a manifest of every byte of it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Tuple

from nucdl_core.config import from_mapping, require
from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import file_sha256, make_folder, write_json
from nucdl_core.screen.core.plan import Chunk, ScreenError, rename_keys, swap

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1
FAILED = "failed_image_sets.csv"
INSPECTION = "inspection.csv"
OWN_TABLES = (FAILED, INSPECTION)
"""Tables of NucDL itself, beside those of the procedure."""
_STORED = {"procedure_sha256": "pipeline_sha256", "step_seconds": "module_seconds"}
"""Names in the code, and in ``manifest.json``, which earlier versions wrote as well."""


@dataclass(frozen=True)
class FileRecord:
    """Size and sha256 of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a finished chunk is; ``manifest.json``, written last.

    Attributes
    ----------
    format : int
        Version of this description.
    chunk, first_image_number, image_sets : int
        See `plan.Chunk`.
    succeeded : tuple of int
        Global numbers of the image sets in the tables: the n-th belongs to ``ImageNumber`` n of the chunk's tables.
    failed : int
        How many image sets are in ``failed_image_sets.csv``.
    plan_sha256, list_sha256, procedure_sha256 : str
        Of ``plan.json``, of the chunk's list, and of what was done to each image set.
    models : dict of str to str
        Hash of each model by name.
    versions : dict of str to str
        Of the programs.
    prefix : str
        What stands before the names of the tables.
    tables : dict of str to int
        Rows of each table of the procedure; empty if no image set succeeded.
    files : dict of str to FileRecord
        Every other file of the folder by its path in it.
    work_folder : str
        Where the files were made; the tables may name it.
    begun : str
        Date and time in UTC.
    seconds : dict of str to float
        Time by the clock of each part of the work on the chunk.
    step_seconds : dict of str to float
        Processor time of each step of the procedure, summed over the image sets.
    peak_memory_mb : float
        Largest resident memory of a process that worked on the chunk, with the processes that it started.
    processes : int
        How many processes were started for this chunk; 0 where one process does all chunks.
    """

    format: int
    chunk: int
    first_image_number: int
    image_sets: int
    succeeded: Tuple[int, ...]
    failed: int
    plan_sha256: str
    list_sha256: str
    procedure_sha256: str
    models: Dict[str, str]
    versions: Dict[str, str]
    prefix: str
    tables: Dict[str, int]
    files: Dict[str, FileRecord]
    work_folder: str
    begun: str
    seconds: Dict[str, float]
    step_seconds: Dict[str, float]
    peak_memory_mb: float
    processes: int = 0

    def __post_init__(self) -> None:
        require(
            self.format == MANIFEST_FORMAT,
            f"the manifest has format {self.format}, not {MANIFEST_FORMAT}; use the NucDL that made it",
        )
        numbers = range(self.first_image_number, self.first_image_number + self.image_sets)
        require(
            list(self.succeeded) == sorted(set(self.succeeded) & set(numbers)),
            "the image numbers of the manifest are not those of the chunk",
        )
        require(
            len(self.succeeded) + self.failed == self.image_sets,
            f"{len(self.succeeded)} image sets succeeded and {self.failed} failed of {self.image_sets}",
        )


def describe_files(folder: Path) -> Dict[str, FileRecord]:
    """List all files of a folder and its subfolders with size and sha256, sorted by path.

    Raises
    ------
    ScreenError
        If there is a link, which may point outside.
    """
    records: Dict[str, FileRecord] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise ScreenError(f"{path.name} is a link; the pipeline must write files")
        if path.is_file() and path != folder / MANIFEST:
            records[path.relative_to(folder).as_posix()] = FileRecord(path.stat().st_size, file_sha256(path))
    return records


def publish(folder: Path, manifest: Manifest, target: Path) -> bool:
    """Move a private folder to its place, all at once.

    Its files are on the disk before the manifest is written, and the manifest before the folder gets its final name.

    Parameters
    ----------
    folder : Path
        On the same disk as `target`; it is gone afterwards, unless another process was faster.
    manifest : Manifest
    target : Path
        A folder that does not exist, or is empty.

    Returns
    -------
    bool
        Whether it was published; False if `target` was there already.

    Raises
    ------
    NucDLError
        If the disk is full or not writable; nothing is published then.
    """
    make_folder(target.parent)
    try:
        _sync_tree(folder)
        write_json(folder / MANIFEST, rename_keys(dataclasses.asdict(manifest), _STORED))
        _sync(folder)
        os.rename(folder, target)
        _sync(target.parent)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise NucDLError(f"{target}: cannot be published ({error.strerror}); check the disk") from error
    return True


def _sync_tree(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a finished chunk.

    Raises
    ------
    ScreenError
        If it is missing or cannot be understood.
    """
    path = folder / MANIFEST
    try:
        values = rename_keys(json.loads(path.read_text(encoding="utf-8")), swap(_STORED))
        return from_mapping(Manifest, values)
    except FileNotFoundError:
        raise ScreenError(f"{folder} has no {MANIFEST}: the chunk is missing; resume the screen") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ScreenError(f"{path} was altered ({error}); delete the folder and resume the screen") from error


def is_published(folder: Path, chunk: Chunk) -> bool:
    """Tell cheaply whether a chunk is finished: its manifest can be read and all files have their size."""
    try:
        manifest = read_manifest(folder)
    except ScreenError:
        return False
    return manifest.chunk == chunk.number and not _wrong_sizes(folder, manifest)


def _wrong_sizes(folder: Path, manifest: Manifest) -> List[str]:
    wrong = []
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != record.bytes:
            wrong.append(name)
    return wrong


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file of a finished chunk with its manifest.

    Raises
    ------
    ScreenError
        Naming the first file that is missing, altered, or was added.
    """
    found = describe_files(folder)
    for name in sorted({*found, *manifest.files}):
        if found.get(name) != manifest.files.get(name):
            what = "is missing" if name not in found else "was altered" if name in manifest.files else "was added"
            raise ScreenError(f"{folder / name} {what} since the chunk was finished; delete {folder} and resume")
