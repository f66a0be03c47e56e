"""One chunk of a screen, from its list to its published folder.

The program ``python -m nucdl_core.screen.cellprofiler.chunk OUTPUT NUMBER`` does one.

Every image is checked first; one CellProfiler process does what passed. An image set that fails in it is named, and
the process repeated without it, so that the tables always come from one process that ended well.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from nucdl_core.cellprofiler.headless import LOG_NAME
from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import file_sha256, make_folder, write_table
from nucdl_core.model.bundle import find_bundle, read_bundle
from nucdl_core.screen.cellprofiler.attempt import RESULT, ChunkError, ChunkRuns
from nucdl_core.screen.cellprofiler.gpus import hold_gpu
from nucdl_core.screen.core.culprits import find_culprits
from nucdl_core.screen.core.inspection import ImageSetInspection, inspect_image_set
from nucdl_core.screen.core.plan import (
    Chunk,
    ScreenError,
    ScreenFolder,
    ScreenPlan,
    read_chunks,
    read_plan,
    read_rows,
)
from nucdl_core.screen.core.process import Failure, StopRequest, stop_on_signals
from nucdl_core.screen.core.publish import FAILED, INSPECTION, Manifest, is_published, publish
from nucdl_core.screen.core.records import Finished, Stopwatch, describe_chunk, failure_table, inspection_table
from nucdl_core.screen.core.work import forget_error, keep_error, private_folder

RAISES_BEFORE_SURVEY = 2
"""After so many processes that ended with a module's error, one goes on after errors, to learn of all of them."""
UNEXPLAINED_DEATHS = 2
"""So often a process may die without an image set to blame before the chunk is given up."""


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
        If the chunk cannot be finished, and no image set is to blame; why is also left in ``work/errors``.
    NucDLError
        If something is missing, or the disk is full.
    StopRequest
        If the process is asked to stop by a signal.
    """
    plan, chunk = read_plan(folder), find_chunk(folder, number)
    target = folder.result(chunk)
    if is_published(target, chunk):
        return target
    with private_folder(folder, chunk.name) as work, hold_gpu(folder, gpus, parent) as gpu:
        # What is there without a whole manifest was damaged after it had been published.
        if target.exists():
            os.rename(target, work / "damaged")
        try:
            check_plan(folder, plan)
            runs = ChunkRuns(plan, folder, read_rows(folder.chunk_csv(chunk)), work, parent, gpu)
            publish(work / RESULT, do_chunk(folder, plan, chunk, runs), target)
        except NucDLError as error:
            keep_error(folder, chunk.name, str(error), work / RESULT / LOG_NAME)
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


def check_plan(folder: ScreenFolder, plan: ScreenPlan) -> None:
    """Refuse to work with another pipeline or model than was planned.

    Raises
    ------
    ScreenError
        Naming what was changed.
    BundleError
        If a model is missing or damaged.
    """
    if file_sha256(folder.pipeline) != plan.pipeline.sha256:
        raise ScreenError(f"{folder.pipeline} was altered after planning; plan into a new folder")
    for model in plan.models:
        now = read_bundle(find_bundle(model.name)).sha256
        if now != model.sha256:
            raise ScreenError(
                f"the model {model.name} was changed since the screen was planned ({model.sha256[:12]}, now"
                f" {now[:12]}); bring it back, or plan into a new folder"
            )


def do_chunk(folder: ScreenFolder, plan: ScreenPlan, chunk: Chunk, runs: ChunkRuns) -> Manifest:
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
        finished = run_image_sets(runs, inspections)
    with watch.step("checksums"):
        result = runs.work / RESULT
        if finished.attempt is None:
            # Nothing that a failed process may have left is a result.
            shutil.rmtree(result, ignore_errors=True)
            result.mkdir()
        write_table(result / FAILED, failure_table(chunk, runs.rows, finished.failures))
        write_table(result / INSPECTION, inspection_table(chunk, inspections))
        description = describe_chunk(folder, plan, chunk, finished, result)
        # Once more, for a model may have been swapped meanwhile.
        check_plan(folder, plan)
    return Manifest(
        **description,
        begun=begun,
        seconds=watch.seconds,
        processes=runs.processes,
        peak_memory_mb=round(runs.peak_memory_mb, 1),
    )


def run_image_sets(runs: ChunkRuns, inspections: Sequence[ImageSetInspection]) -> Finished:
    """Run CellProfiler until one process has done all image sets that do not fail.

    Parameters
    ----------
    runs : ChunkRuns
    inspections : sequence of ImageSetInspection
        Of all image sets of the chunk; those with a reason are not run.

    Raises
    ------
    ChunkError
        If no image set is to blame for a failure.
    """
    failures = {n: Failure(None, found.reason) for n, found in enumerate(inspections) if found.reason is not None}
    raised = unexplained = 0
    while True:
        left = [position for position in range(len(inspections)) if position not in failures]
        if not left:
            return Finished(None, (), failures)
        attempt = runs.run(left, go_on=raised >= RAISES_BEFORE_SURVEY)
        found: Dict[int, Failure] = dict(attempt.failures)
        if attempt.tables is not None:
            found = changed_files(left, inspections)
            if not found:
                return Finished(attempt, tuple(left), failures)
        elif attempt.death is not None:
            culprits = find_culprits(left, attempt.suspect, runs.dies_of)
            found = {position: Failure("", how) for position, how in culprits.items()}
            unexplained += not found
        else:
            raised += 1
        if unexplained >= UNEXPLAINED_DEATHS:
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


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one chunk; return the exit code: 0 if it is published, whether image sets failed or not."""
    parser = argparse.ArgumentParser(
        prog="python -m nucdl_core.screen.cellprofiler.chunk", description="Run one chunk of a screen."
    )
    parser.add_argument("output", type=Path, help="folder of the screen")
    parser.add_argument("number", type=int, help="number of the chunk, from 1")
    parser.add_argument("--marker", type=Path, help="file to make once the chunk is published")
    parser.add_argument("--with-parent", action="store_true", help="stop when the process that started this one ends")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of this computer, of which it takes one for itself")
    given = parser.parse_args(arguments)
    parent = os.getppid() if given.with_parent else None
    try:
        with stop_on_signals():
            run_chunk(ScreenFolder(given.output.absolute()), given.number, parent, given.gpus)
            if given.marker is not None:
                make_folder(given.marker.parent)
                given.marker.touch()
    except StopRequest as request:
        return request.code
    except NucDLError as error:
        sys.stderr.write(f"chunk {given.number}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
