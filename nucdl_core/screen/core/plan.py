"""The folder of a screen: what will be done, written before anything is done, and never changed afterwards.

::

    OUTPUT/
      plan.json          written last; without it there is no plan
      pipeline.cppipe    what is done to each image set: copy of the pipeline; where NucDL alone does the work,
                         segmentation.json is in its place
      chunks/chunks.csv  one row per chunk: number, first image number, image sets
      chunks/000001.csv  LoadData's list of the image sets of a chunk
      results/000001/    tables of a finished chunk
      work/  merged/     private folders of running chunks; the tables of the whole screen

Some things have another name in the files than here, because screens that were planned by earlier versions go on: a
`Procedure` and its steps are called pipeline and modules there.
"""

from __future__ import annotations

import csv
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from nucdl_core.config import from_mapping, require
from nucdl_core.errors import ConfigError, NucDLError

PLAN_FORMAT = 1
PIPELINE = "pipeline.cppipe"
"""Copy of the pipeline in the folder of a screen."""
SETTINGS = "segmentation.json"
"""Takes its place where 'nucdl segment --csv' made the folder, and NucDL alone does the work."""
_STORED, _STORED_PARTS = {"procedure": "pipeline"}, {"steps": "modules"}
"""Names in the code, and in ``plan.json``: of the plan, and of its procedure."""
LONGEST_PLAN = 10_000_000
"""Bytes; a plan is a few pages of text."""


class ScreenError(NucDLError, RuntimeError):
    """A screen cannot be planned, or its folder is not what it should be."""


@dataclass(frozen=True)
class FieldLimits:
    """What a field must be like that is not to be left out; everything is taken unless something else was asked for.

    Attributes
    ----------
    min_focus : float
        See `inspection.ImageFacts.focus`.
    max_saturated : float
        Largest share of pixels at the greatest value.
    skip_empty, skip_other_kinds : bool
        Whether images without any contrast, and those of another kind than the model's, are left out.
    """

    min_focus: float = 0.0
    max_saturated: float = 1.0
    skip_empty: bool = False
    skip_other_kinds: bool = False

    def __post_init__(self) -> None:
        require(0 <= self.min_focus < float("inf"), f"the least focus is {self.min_focus}; give 0 or more")
        require(0 <= self.max_saturated <= 1, f"the saturated share is {self.max_saturated}; give 0 to 1")


ANY_FIELD = FieldLimits()
"""Nothing is left out."""


@dataclass(frozen=True)
class ScreenLimits:
    """What one image set may cost; above, it fails and is named.

    Attributes
    ----------
    pixels : int
        Height times width of an image.
    decoded_bytes : int
        Bytes of an image in memory.
    seconds : float
        Time for one image set, whatever is done to it.
    read_seconds : float
        Time for reading and checking one image file.
    memory_mb : int
        Memory in MiB (2**20 bytes) of the process that does the work, with all processes that it starts.
    colour : bool
        Whether images may be in colour; otherwise red, green and blue must be equal.
    fields : FieldLimits
        Which fields are left out although they can be read.
    """

    pixels: int = 100_000_000
    decoded_bytes: int = 2**30
    seconds: float = 600.0
    read_seconds: float = 60.0
    memory_mb: int = 8192
    colour: bool = False
    fields: FieldLimits = ANY_FIELD

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            require(
                name in ("colour", "fields") or 0 < value < float("inf"),
                f"the limit {name} is {value}; it must be above 0 and finite",
            )


@dataclass(frozen=True)
class Procedure:
    """What is done to each image set: by a pipeline of CellProfiler, or by NucDL alone.

    Attributes
    ----------
    name : str
        File name that the pipeline had, or `SETTINGS`.
    sha256 : str
        Of the file in the folder of the screen.
    steps : tuple of str
        What is done in order: names of the enabled modules of a pipeline.
    channels : tuple of str
        Images that it takes from the list, such as "DNA".
    tables : tuple of str
        Tables that it writes beside the one of the images, one for each kind of object, such as "Nuclei".
    changes : tuple of str
        How the copy of a pipeline differs from the file that was given, for people.
    """

    name: str
    sha256: str
    steps: Tuple[str, ...]
    channels: Tuple[str, ...]
    tables: Tuple[str, ...]
    changes: Tuple[str, ...] = ()

    @property
    def by_nucdl_alone(self) -> bool:
        """Whether CellProfiler takes no part."""
        return self.name == SETTINGS


@dataclass(frozen=True)
class PlannedImages:
    """The list of image sets.

    Attributes
    ----------
    sha256 : str
        Of the CSV file that was given, or of the one that was made of a folder.
    image_sets : int
        Its rows.
    columns : tuple of str
        Columns of the chunks' lists.
    channels : tuple of str
        Names of the images, such as "DNA".
    """

    sha256: str
    image_sets: int
    columns: Tuple[str, ...]
    channels: Tuple[str, ...]


@dataclass(frozen=True)
class PlannedModel:
    """A model that takes part: its name or folder, and its identity as `bundle.Bundle.sha256`."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Costs:
    """Measured seconds of one process: before its first image set, and for each."""

    start_seconds: float
    image_set_seconds: float

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            require(0 < value < float("inf"), f"{name} is {value}; it must be a positive number of seconds")


@dataclass(frozen=True)
class ScreenPlan:
    """All that is decided before the work; ``plan.json``.

    Attributes
    ----------
    format : int
        Version of this layout.
    nucdl : str
        Version that planned.
    procedure : Procedure
    images : PlannedImages
    plugins : str or None
        Absolute folder of CellProfiler plugins.
    grouping : tuple of str
        Metadata whose groups are kept in one chunk, without ``Metadata_``; empty for none.
    chunk_size : int
        Image sets per chunk aimed at.
    chunks : int
        How many there are.
    limits : ScreenLimits
    models : tuple of PlannedModel
    costs : Costs or None
        What the chunk size was computed from, where it was measured.
    """

    format: int
    nucdl: str
    procedure: Procedure
    images: PlannedImages
    plugins: Optional[str]
    grouping: Tuple[str, ...]
    chunk_size: int
    chunks: int
    limits: ScreenLimits
    models: Tuple[PlannedModel, ...] = ()
    costs: Optional[Costs] = None

    def __post_init__(self) -> None:
        require(
            self.format == PLAN_FORMAT,
            f"the plan has format {self.format}, not {PLAN_FORMAT}; use the NucDL that made it",
        )
        require(self.chunk_size >= 1, f"chunk_size is {self.chunk_size}; it must be at least 1")
        require(
            1 <= self.chunks <= self.images.image_sets,
            f"{self.chunks} chunks cannot hold {self.images.image_sets} image sets; each has at least one",
        )


@dataclass(frozen=True)
class Chunk:
    """A part of a screen: its number and the number of its first image set (both from 1), and how many it holds."""

    number: int
    first_image_number: int
    image_sets: int

    @property
    def name(self) -> str:
        """Name of its files and folders, such as ``000001``."""
        return f"{self.number:06d}"


@dataclass(frozen=True)
class ScreenFolder:
    """Where everything of a screen lies; making one touches no disk.

    Attributes
    ----------
    root : Path
    procedure_name : str
        File that says what is done to each image set: `PIPELINE` or `SETTINGS`.
    """

    root: Path
    procedure_name: str = PIPELINE

    @property
    def plan(self) -> Path:
        """The plan; a folder without it is not a screen."""
        return self.root / "plan.json"

    @property
    def procedure(self) -> Path:
        """What is done to each image set."""
        return self.root / self.procedure_name

    @property
    def chunks(self) -> Path:
        """Folder of the lists of image sets."""
        return self.root / "chunks"

    @property
    def chunk_list(self) -> Path:
        """Table of the chunks."""
        return self.chunks / "chunks.csv"

    @property
    def results(self) -> Path:
        """Folder with one folder for each finished chunk."""
        return self.root / "results"

    @property
    def work(self) -> Path:
        """Private folders of chunks that run."""
        return self.root / "work"

    @property
    def merged(self) -> Path:
        """The tables of the whole screen."""
        return self.root / "merged"

    def chunk_csv(self, chunk: Chunk) -> Path:
        """LoadData's list of a chunk's image sets."""
        return self.chunks / f"{chunk.name}.csv"

    def result(self, chunk: Chunk) -> Path:
        """Folder of a finished chunk."""
        return self.results / chunk.name


def write_plan(folder: ScreenFolder, plan: ScreenPlan) -> None:
    """Write ``plan.json``, completely or not at all.

    Raises
    ------
    NucDLError
        If it cannot be written.
    """
    # Late, so that a process that only watches others stays small.
    from nucdl_core.files.writing import write_json

    values = dataclasses.asdict(plan)
    values["procedure"] = rename_keys(values["procedure"], _STORED_PARTS)
    if plan.limits.fields == ANY_FIELD:
        # Earlier versions, which left out no field, read the plan as well.
        del values["limits"]["fields"]
    write_json(folder.plan, rename_keys(values, _STORED))


def rename_keys(values: Mapping[str, Any], names: Mapping[str, str]) -> Dict[str, Any]:
    """Give some keys of a mapping other names; order and values stay.

    Raises
    ------
    ConfigError
        If it is no mapping, as it may be where it comes from a file.
    """
    require(isinstance(values, Mapping), f"{values!r:.60} came; a mapping of names to values is needed")
    return {names.get(name, name): value for name, value in values.items()}


def swap(names: Mapping[str, str]) -> Dict[str, str]:
    """Return the table for `rename_keys` that undoes another one."""
    return {new: old for old, new in names.items()}


def read_plan(folder: ScreenFolder) -> ScreenPlan:
    """Read ``plan.json``.

    Raises
    ------
    ScreenError
        If there is none, or it was altered or made by another version.
    """
    values = _read_json(folder.plan)
    try:
        values = rename_keys(values, swap(_STORED))
        values["procedure"] = rename_keys(values["procedure"], swap(_STORED_PARTS))
        return from_mapping(ScreenPlan, values)
    except (ConfigError, KeyError) as error:
        raise ScreenError(f"{folder.plan} is not a plan of this version ({error}); plan into a new folder") from error


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > LONGEST_PLAN:
            raise ScreenError(f"{path} has more than {LONGEST_PLAN} bytes and is not a plan; plan into a new folder")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScreenError(f"{path.parent} holds no plan; run 'nucdl screen plan' first") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ScreenError(f"{path} cannot be read ({error}); plan into a new folder") from error


def read_chunks(folder: ScreenFolder) -> List[Chunk]:
    """Read the table of the chunks, in order.

    Raises
    ------
    ScreenError
        If it is missing, cannot be read, or the chunks do not follow each other without gaps.
    """
    try:
        with folder.chunk_list.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        chunks = [Chunk(*map(int, row)) for row in rows[1:]]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise ScreenError(f"{folder.chunk_list} cannot be read ({error}); plan into a new folder") from error
    first = 1
    for number, chunk in enumerate(chunks, start=1):
        if (chunk.number, chunk.first_image_number) != (number, first) or chunk.image_sets < 1:
            raise ScreenError(f"{folder.chunk_list} was altered at chunk {number}; plan into a new folder")
        first += chunk.image_sets
    return chunks


def read_rows(path: Path) -> List[Dict[str, str]]:
    """Read a list of image sets as text, one dictionary per image set by column, file names unchanged.

    Raises
    ------
    ScreenError
        If it is missing, cannot be read, or a row has another number of columns than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            records = list(csv.reader(stream, strict=True))
    except (OSError, csv.Error) as error:
        raise ScreenError(f"{path} cannot be read ({error}); plan into a new folder") from error
    if not records or any(len(record) != len(records[0]) for record in records):
        raise ScreenError(f"{path} is empty, or a row of it is cut; plan into a new folder")
    return [dict(zip(records[0], record)) for record in records[1:]]
