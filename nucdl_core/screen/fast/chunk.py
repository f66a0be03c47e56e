"""One chunk of the fast path: its tables, its manifest, and its published folder."""

from __future__ import annotations

import datetime
import os
import resource
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, Mapping, Sequence, Tuple

import pandas as pd

from nucdl_core.cellprofiler.headless import IMAGE_TABLE
from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import make_folder, write_table
from nucdl_core.screen.core.identity import check_plan
from nucdl_core.screen.core.outcome import ChunkOutcome, Failure
from nucdl_core.screen.core.plan import Chunk, ScreenError, ScreenFolder, ScreenPlan, read_rows
from nucdl_core.screen.core.publish import FAILED, INSPECTION, Manifest, publish
from nucdl_core.screen.core.records import Stopwatch, describe_chunk, failure_table, inspection_table
from nucdl_core.screen.core.verify import IMAGE_NUMBER, verify_tables
from nucdl_core.screen.core.wells import NUCLEI
from nucdl_core.screen.core.work import forget_error, keep_error, private_folder
from nucdl_core.screen.fast.culprits import read_culprits
from nucdl_core.screen.fast.images import DoneImageSet, ImageSet
from nucdl_core.screen.fast.plan import SEGMENTATION

LABEL_FOLDER = "labels"
_RESULT = "result"
DoImageSets = Callable[[Sequence[ImageSet]], Iterable[DoneImageSet]]


def segment_chunk(folder: ScreenFolder, plan: ScreenPlan, chunk: Chunk, do: DoImageSets) -> None:
    """Do one chunk and publish it.

    Parameters
    ----------
    folder : ScreenFolder
    plan : ScreenPlan
    chunk : Chunk
    do : callable
        Does image sets and returns what became of them, in order.

    Raises
    ------
    NucDLError
        If something other than an image is the cause, such as a full disk; why is also left in ``work/errors``.
    """
    target = folder.result(chunk)
    with private_folder(folder, chunk.name) as private:
        # What is there without a whole manifest was damaged after it had been published.
        if target.exists():
            os.rename(target, private / "damaged")
        try:
            check_plan(folder, plan)
            publish(private / _RESULT, make_chunk(folder, plan, chunk, private / _RESULT, do), target)
        except NucDLError as error:
            keep_error(folder, chunk.name, str(error))
            raise
    forget_error(folder, chunk.name)


def make_chunk(folder: ScreenFolder, plan: ScreenPlan, chunk: Chunk, result: Path, do: DoImageSets) -> Manifest:
    """Make everything that is to be published, in a private folder.

    Raises
    ------
    NucDLError
        As `segment_chunk`.
    """
    rows = read_rows(folder.chunk_csv(chunk))
    if len(rows) != chunk.image_sets:
        raise ScreenError(f"{folder.chunk_csv(chunk)} was altered after planning; start again in a new folder")
    make_folder(result / LABEL_FOLDER)
    later = folder.result(chunk) / LABEL_FOLDER
    numbers, culprits, here = count(chunk.first_image_number), read_culprits(folder), result / LABEL_FOLDER
    images = [ImageSet(number, row, here, later, culprits.get(number)) for number, row in zip(numbers, rows)]
    done, watch = list(do(images)), Stopwatch()
    with watch.step("checksums"):
        description = describe_chunk(folder, plan, chunk, write_chunk_tables(chunk, rows, done, result), result)
        # Once more, for a model may have been swapped meanwhile.
        check_plan(folder, plan)
    begun = min(each.begun for each in done)
    return Manifest(
        **description,
        begun=datetime.datetime.fromtimestamp(begun, datetime.timezone.utc).isoformat(timespec="seconds"),
        seconds={SEGMENTATION: round(max(each.ended for each in done) - begun, 3), **watch.seconds},
        peak_memory_mb=peak_memory_mb(),
    )


def write_chunk_tables(
    chunk: Chunk, rows: Sequence[Mapping[str, str]], done: Sequence[DoneImageSet], result: Path
) -> ChunkOutcome:
    """Write the tables of a chunk, and check them as if CellProfiler had written them.

    Raises
    ------
    UnusableResultsError
        If they contradict each other.
    NucDLError
        If they cannot be written.
    """
    failures = dict(find_failed_image_sets(done))
    positions = tuple(position for position in range(len(done)) if position not in failures)
    tables = None
    if positions:
        good = [done[position] for position in positions]
        images = pd.DataFrame([{IMAGE_NUMBER: number, **each.image} for number, each in enumerate(good, start=1)])
        write_table(result / IMAGE_TABLE, images.reindex(columns=sorted(images.columns)))
        write_table(result / f"{NUCLEI}.csv", join_nuclei(good))
        tables = verify_tables(result, [rows[position] for position in positions], (NUCLEI,))
        tables = replace(tables, step_seconds=sum_seconds(done))
    write_table(result / FAILED, failure_table(chunk, rows, failures, SEGMENTATION))
    write_table(result / INSPECTION, inspection_table(chunk, [each.inspection for each in done]))
    return ChunkOutcome(tables, positions, failures)


def sum_seconds(done: Sequence[DoneImageSet]) -> Dict[str, float]:
    """Add up the processor seconds of each step."""
    steps = {name: 0.0 for each in done for name in each.seconds}
    return {name: round(sum(each.seconds.get(name, 0.0) for each in done), 3) for name in steps}


def find_failed_image_sets(done: Sequence[DoneImageSet]) -> Iterator[Tuple[int, Failure]]:
    """Yield position and reason of the image sets that failed."""
    for position, each in enumerate(done):
        if each.inspection.reason is not None:
            yield position, Failure(None, each.inspection.reason)
        elif each.left_out is not None:
            yield position, Failure("", each.left_out, left_out=True)
        elif each.failure is not None:
            yield position, Failure("", each.failure)


def join_nuclei(done: Sequence[DoneImageSet]) -> pd.DataFrame:
    """Join the tables of nuclei under the numbers of their images in the chunk, from 1."""
    parts = []
    for number, each in enumerate(done, start=1):
        if each.nuclei is not None:
            part = each.nuclei.copy()
            part.insert(0, IMAGE_NUMBER, number)
            parts.append(part)
    # Tables without rows would turn whole numbers into floats.
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def peak_memory_mb() -> float:
    """Return the largest resident memory of this process so far in MiB."""
    units = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / units, 1)
