"""One chunk of a screen, from its list to its published folder.

Every image is checked first; one CellProfiler process does what passed. An image set that fails in it is named, and
the process repeated without it, so that the tables always come from one process that ended well.
"""

from __future__ import annotations

import datetime
import os
import shutil
from pathlib import Path
from typing import Dict, Optional, Sequence

from nucdl_core.cellprofiler.headless import LOG_NAME
from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import write_table
from nucdl_core.screen.cellprofiler.attempt import RESULT_FOLDER, ChunkRuns
from nucdl_core.screen.cellprofiler.culprits import find_culprits
from nucdl_core.screen.cellprofiler.gpus import hold_gpu
from nucdl_core.screen.core.identity import check_plan
from nucdl_core.screen.core.inspection import ImageSetInspection, inspect_image_set
from nucdl_core.screen.core.outcome import ChunkError, ChunkOutcome, Failure
from nucdl_core.screen.core.plan import (
    Chunk,
    ScreenError,
    ScreenFolder,
    ScreenPlan,
    read_chunks,
    read_plan,
    read_rows,
)
from nucdl_core.screen.core.publish import FAILED, INSPECTION, Manifest, is_published, publish
from nucdl_core.screen.core.records import (
    SCREEN_LIBRARIES,
    Stopwatch,
    describe_chunk,
    failure_table,
    inspection_table,
)
from nucdl_core.screen.core.work import forget_error, keep_error, private_folder

RUNNING_CELLPROFILER = "CellProfiler"
"""What was being done to image sets that failed although their images could be read."""
LIBRARIES_OF_PIPELINES = ("cellprofiler", *SCREEN_LIBRARIES)
RAISES_BEFORE_SURVEY = 2
"""After so many processes that ended with a module's error, one goes on after errors, to learn of all of them."""
MOST_UNEXPLAINED_DEATHS = 2
"""So often a process may die without a culprit among the image sets before the chunk is given up."""


def run_chunk(folder: ScreenFolder, number: int, parent: Optional[int] = None, gpus: int = 0) -> Path:
    """Do one chunk and publish it; a chunk that is published already is left as it is.

    Parameters
    ----------
    folder : ScreenFolder
    number : int
        Of the chunk, from 1.
    parent : int or None
        Process without which this one stops, too.
    gpus : int
        GPUs of this computer, of which the chunk takes one for itself; 0 leaves to CellProfiler what it sees.

    Returns
    -------
    Path
        The published folder.

    Raises
    ------
    ScreenError
        If the chunk cannot be finished, and no image set is the cause; why is also left in ``work/errors``.
    NucDLError
        If something is missing, or the disk is full.
    StopRequest
        If the process is asked to stop by a signal.
    """
    plan, chunk = read_plan(folder), find_chunk(folder, number)
    if plan.procedure.by_nucdl_alone:
        raise ScreenError(f"{folder.root} was made by 'nucdl segment --csv'; repeat that command to go on")
    target = folder.result(chunk)
    if is_published(target, chunk):
        return target
    with private_folder(folder, chunk.name) as work, hold_gpu(folder.work, gpus, parent) as gpu:
        # What is there without a whole manifest was damaged after it had been published.
        if target.exists():
            os.rename(target, work / "damaged")
        try:
            check_plan(folder, plan)
            runs = ChunkRuns(plan, folder, read_rows(folder.chunk_csv(chunk)), work, parent, gpu)
            publish(work / RESULT_FOLDER, make_chunk_by_cellprofiler(folder, plan, chunk, runs), target)
        except NucDLError as error:
            keep_error(folder, chunk.name, str(error), work / RESULT_FOLDER / LOG_NAME)
            raise
    forget_error(folder, chunk.name)
    return target


def find_chunk(folder: ScreenFolder, number: int) -> Chunk:
    """Return a chunk by its number.

    Raises
    ------
    ScreenError
        If there is none.
    """
    chunks = read_chunks(folder)
    if not 1 <= number <= len(chunks):
        raise ScreenError(f"there is no chunk {number}; {folder.root} has the chunks 1 to {len(chunks)}")
    return chunks[number - 1]


def make_chunk_by_cellprofiler(folder: ScreenFolder, plan: ScreenPlan, chunk: Chunk, runs: ChunkRuns) -> Manifest:
    """Make everything that is to be published, in the private folder of `runs`.

    Returns
    -------
    Manifest

    Raises
    ------
    ScreenError
        As `run_chunk`.
    """
    if len(runs.rows) != chunk.image_sets:
        raise ScreenError(f"{folder.chunk_csv(chunk)} was altered after planning; plan into a new folder")
    begun = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    watch = Stopwatch()
    with watch.step("inspection"):
        inspections = [inspect_image_set(row, plan.limits) for row in runs.rows]
    with watch.step("cellprofiler"):
        outcome = run_image_sets(runs, inspections)
    with watch.step("checksums"):
        result = runs.work / RESULT_FOLDER
        if outcome.tables is None:
            # Nothing that a failed process may have left is a result.
            shutil.rmtree(result, ignore_errors=True)
            result.mkdir()
        write_table(result / FAILED, failure_table(chunk, runs.rows, outcome.failures, RUNNING_CELLPROFILER))
        write_table(result / INSPECTION, inspection_table(chunk, inspections))
        description = describe_chunk(folder, plan, chunk, outcome, result, LIBRARIES_OF_PIPELINES)
        # Once more, for a model may have been swapped meanwhile.
        check_plan(folder, plan)
    return Manifest(
        **description,
        begun=begun,
        seconds=watch.seconds,
        processes=runs.processes,
        peak_memory_mb=round(runs.peak_memory_mb, 1),
    )


def run_image_sets(runs: ChunkRuns, inspections: Sequence[ImageSetInspection]) -> ChunkOutcome:
    """Run CellProfiler until one process has done all image sets that do not fail.

    Parameters
    ----------
    runs : ChunkRuns
    inspections : sequence of ImageSetInspection
        Of all image sets of the chunk; those with a reason are not run.

    Raises
    ------
    ChunkError
        If a process fails again and again, and no image set is the cause.
    """
    failures = {n: Failure(None, found.reason) for n, found in enumerate(inspections) if found.reason is not None}
    raised = unexplained = 0
    while True:
        left = [position for position in range(len(inspections)) if position not in failures]
        if not left:
            return ChunkOutcome(None, (), failures)
        attempt = runs.run(left, go_on=raised >= RAISES_BEFORE_SURVEY)
        found: Dict[int, Failure] = dict(attempt.failures)
        if attempt.tables is not None:
            found = changed_files(left, inspections)
            if not found:
                return ChunkOutcome(attempt.tables, tuple(left), failures)
        elif attempt.death is not None:
            culprits = find_culprits(left, attempt.suspect, runs.dies_of)
            found = {position: Failure("", how) for position, how in culprits.items()}
            unexplained += not found
        else:
            raised += 1
        if unexplained >= MOST_UNEXPLAINED_DEATHS:
            raise ChunkError(f"{attempt.death}, more than once, but not with any image set alone; make chunks smaller")
        failures.update(found)


def changed_files(positions: Sequence[int], inspections: Sequence[ImageSetInspection]) -> Dict[int, Failure]:
    """Find image sets of which a file is no longer the one that was checked."""
    changed: Dict[int, Failure] = {}
    for position in positions:
        for fact in inspections[position].images:
            try:
                now = os.stat(fact.path)
                same = (now.st_size, now.st_mtime_ns) == (fact.file_bytes, fact.changed_ns)
            except OSError:
                same = False
            if not same:
                changed[position] = Failure(None, f"{fact.name}: {fact.path}: the file was changed during the run")
    return changed
