"""The tables and the manifest that describe what became of a chunk."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence

import pandas as pd

from nucdl_core import __version__
from nucdl_core.files.writing import file_sha256
from nucdl_core.screen.core.columns import METADATA, files_of_image_set, image_columns
from nucdl_core.screen.core.inspection import ImageFacts, ImageSetInspection
from nucdl_core.screen.core.outcome import ChunkOutcome, Failure
from nucdl_core.screen.core.plan import Chunk, ScreenError, ScreenFolder, ScreenPlan
from nucdl_core.screen.core.publish import MANIFEST_FORMAT, describe_files
from nucdl_core.screen.core.verify import IMAGE_NUMBER

READING, LEFT_OUT = "reading images", "left out"
FAILED_COLUMNS = ("Step", "Module", "Files", "Reason")
SCREEN_LIBRARIES = ("numpy", "scipy", "scikit-image", "torch", "pandas")
"""What takes part in every screen."""
_LEFT_OUT = ("changed_ns",)


@dataclass
class Stopwatch:
    """Seconds that each step took, by the clock unless another one is given."""

    seconds: Dict[str, float] = field(default_factory=dict)
    now: Callable[[], float] = time.perf_counter

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the time until the end of the block to a step."""
        begun = self.now()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0) + self.now() - begun, 3)


def failure_table(
    chunk: Chunk, rows: Sequence[Mapping[str, str]], failures: Mapping[int, Failure], step: str
) -> pd.DataFrame:
    """List the image sets that failed.

    Parameters
    ----------
    chunk : Chunk
    rows : sequence of mapping
        Its list.
    failures : dict of int to Failure
        By position in the chunk, from 0.
    step : str
        What was being done where it was not the reading of images.

    Returns
    -------
    DataFrame
        ``ImageNumber`` (global), the metadata of the list, and `FAILED_COLUMNS`.
    """
    described = [name for name in rows[0] if name.startswith(METADATA)]
    records = [
        (
            chunk.first_image_number + position,
            *(rows[position][name] for name in described),
            LEFT_OUT if failure.left_out else step if failure.module is not None else READING,
            failure.module or "",
            "; ".join(_file_names(rows[position])),
            failure.reason,
        )
        for position, failure in sorted(failures.items())
    ]
    return pd.DataFrame(records, columns=[IMAGE_NUMBER, *described, *FAILED_COLUMNS])


def _file_names(row: Mapping[str, str]) -> List[str]:
    try:
        return [str(file.path) for file in files_of_image_set(row, image_columns(list(row)))]
    except ScreenError:
        return []


def inspection_table(chunk: Chunk, inspections: Sequence[ImageSetInspection]) -> pd.DataFrame:
    """List what was found in the image files.

    Returns
    -------
    DataFrame
        One row per file that could be used: ``ImageNumber`` (global) and the fields of `inspection.ImageFacts`.
    """
    names = [each.name for each in dataclasses.fields(ImageFacts) if each.name not in _LEFT_OUT]
    records = [
        (chunk.first_image_number + position, *(_plain(getattr(fact, name)) for name in names))
        for position, found in enumerate(inspections)
        for fact in found.images
    ]
    return pd.DataFrame(records, columns=[IMAGE_NUMBER, *names])


def _plain(value: Any) -> Any:
    return ";".join(value) if isinstance(value, tuple) else value


def describe_chunk(
    folder: ScreenFolder,
    plan: ScreenPlan,
    chunk: Chunk,
    outcome: ChunkOutcome,
    result: Path,
    libraries: Sequence[str] = SCREEN_LIBRARIES,
) -> Dict[str, Any]:
    """Collect what the manifest says of the plan and of the tables, the figures of the run left out.

    Parameters
    ----------
    folder : ScreenFolder
    plan : ScreenPlan
    chunk : Chunk
    outcome : ChunkOutcome
    result : Path
        Folder of the files that are to be published.
    libraries : sequence of str
        Packages that take part, whose versions are recorded.

    Returns
    -------
    dict
        Arguments for `publish.Manifest`.
    """
    tables = outcome.tables
    return {
        "format": MANIFEST_FORMAT,
        "chunk": chunk.number,
        "first_image_number": chunk.first_image_number,
        "image_sets": chunk.image_sets,
        "succeeded": tuple(chunk.first_image_number + position for position in outcome.positions),
        "failed": len(outcome.failures),
        "plan_sha256": file_sha256(folder.plan),
        "list_sha256": file_sha256(folder.chunk_csv(chunk)),
        "procedure_sha256": plan.procedure.sha256,
        "models": {model.name: model.sha256 for model in plan.models},
        "versions": versions(libraries),
        "prefix": tables.prefix if tables else "",
        "tables": tables.rows if tables else {},
        "step_seconds": tables.step_seconds if tables else {},
        "files": describe_files(result),
        "work_folder": str(result),
    }


def versions(libraries: Sequence[str]) -> Dict[str, str]:
    """Return the versions of NucDL, of Python and of those packages that are installed."""
    found = {"nucdl": __version__, "python": platform.python_version()}
    for name in libraries:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
