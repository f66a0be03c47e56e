"""CellProfiler on some image sets of a chunk, in one process, and what can be learned when it fails."""

from __future__ import annotations

import csv
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Mapping, Optional, Sequence

from nucdl_core.cellprofiler.headless import (
    DONE_NAME,
    LOG_NAME,
    HeadlessRun,
    cellprofiler_command,
    cellprofiler_environment,
)
from nucdl_core.screen.cellprofiler.gpus import VISIBLE_GPUS
from nucdl_core.screen.cellprofiler.log import GrowingLog, find_finished_modules, find_module_failures, last_error
from nucdl_core.screen.core.disk import full_disk
from nucdl_core.screen.core.outcome import ChunkError, Failure
from nucdl_core.screen.core.plan import ScreenFolder, ScreenPlan
from nucdl_core.screen.core.process import Ending, Program, supervise
from nucdl_core.screen.core.verify import VerifiedTables, verify_tables

ALWAYS_CONTINUE = "--always-continue"
RESULT_FOLDER, TEMPORARY, LIST = "result", "tmp", "load_data.csv"
# Of these no image is the cause.
_SURROUNDINGS = re.compile(
    r"No space left on device|Disk quota exceeded|Read-only file system|Stale file handle|CUDA error|CUDA driver"
)


@dataclass(frozen=True)
class Attempt:
    """What became of one process.

    Attributes
    ----------
    tables : VerifiedTables or None
        Where it did all its work.
    failures : dict of int to Failure
        Positions of image sets (from 0, in the chunk) in which a module raised an error.
    death : str or None
        How it ended, where neither is so.
    suspect : int or None
        Position of the image set that it was at then.
    """

    tables: Optional[VerifiedTables] = None
    failures: Mapping[int, Failure] = field(default_factory=dict)
    death: Optional[str] = None
    suspect: Optional[int] = None


class ChunkRuns:
    """Runs CellProfiler on parts of a chunk.

    Parameters
    ----------
    plan : ScreenPlan
    folder : ScreenFolder
    rows : sequence of mapping
        The chunk's list.
    work : Path
        Private folder.
    parent : int or None
        Process without which a run stops, too.
    gpu : str or None
        The only GPU that CellProfiler sees, see `gpus.hold_gpu`; None changes nothing.
    """

    def __init__(
        self,
        plan: ScreenPlan,
        folder: ScreenFolder,
        rows: Sequence[Mapping[str, str]],
        work: Path,
        parent: Optional[int] = None,
        gpu: Optional[str] = None,
    ) -> None:
        self.rows = rows
        self.work = work
        self.processes = 0
        self.peak_memory_mb = 0.0
        self._plan = plan
        self._pipeline = folder.procedure
        self._parent = parent
        self._variables = {"TMPDIR": str(work / TEMPORARY), **({} if gpu is None else {VISIBLE_GPUS: gpu})}

    def run(self, positions: Sequence[int], go_on: bool = False) -> Attempt:
        """Run the pipeline on some image sets.

        Parameters
        ----------
        positions : sequence of int
            From 0, in the chunk.
        go_on : bool
            Whether to go on after an image set that fails, to learn of all that fail.

        Raises
        ------
        ChunkError
            If something other than an image set is the cause.
        UnusableResultsError
            If CellProfiler reports success, but the tables are incomplete.
        HeadlessError
            If CellProfiler or Java is missing.
        """
        self.processes += 1
        run = self._prepare(positions)
        done, log = self.work / DONE_NAME, run.output / LOG_NAME
        done.unlink(missing_ok=True)
        command = cellprofiler_command(run, done, *([ALWAYS_CONTINUE] if go_on else []))
        environment = {**cellprofiler_environment(), **self._variables}
        # What a crash leaves behind (hs_err_pid*.log of Java) goes with the temporary files.
        program = Program(command, environment, self.work / TEMPORARY, log)
        limits = self._plan.limits
        ending = supervise(program, GrowingLog(log, limits.seconds), limits.memory_mb, self._parent)
        self.peak_memory_mb = max(self.peak_memory_mb, ending.peak_memory_mb)
        messages = log.read_text(encoding="utf-8", errors="replace")
        status = done.read_text().strip() if done.exists() else "no final note"
        return self._judge(positions, run.output, ending, status, messages)

    def dies_of(self, positions: Sequence[int]) -> Optional[str]:
        """Run some image sets for the sole purpose of seeing whether the process survives; see `culprits.Trial`."""
        return self.run(positions).death

    def _prepare(self, positions: Sequence[int]) -> HeadlessRun:
        """Make empty folders, and the list of these image sets."""
        output, no_plugins = self.work / RESULT_FOLDER, self.work / "no_plugins"
        for path in (output, self.work / TEMPORARY):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        no_plugins.mkdir(exist_ok=True)
        data_file = self.work / LIST
        write_rows(data_file, [self.rows[position] for position in positions])
        # Without a folder of its own CellProfiler would take the one that somebody chose in its window.
        plugins = Path(self._plan.plugins) if self._plan.plugins else no_plugins
        return HeadlessRun(self._pipeline, data_file, output, plugins)

    def _judge(self, positions: Sequence[int], output: Path, ending: Ending, status: str, messages: str) -> Attempt:
        found = find_module_failures(messages)
        failures = {positions[number - 1]: self._anonymous(failure) for number, failure in found.items()}
        self._refuse_surroundings(ending, messages)
        if ending.code == 0 and status == "Complete" and not failures:
            rows = [self.rows[position] for position in positions]
            return Attempt(verify_tables(output, rows, self._plan.procedure.tables))
        if failures and not ending.by_force:
            return Attempt(failures=failures)
        suspect = self._at(positions, ending, messages)
        return Attempt(death=f"CellProfiler {ending.describe()}", suspect=suspect)

    def _at(self, positions: Sequence[int], ending: Ending, messages: str) -> int:
        """Find the position of the image set that the process was at, from the last step that it finished."""
        finished = find_finished_modules(messages)
        if not finished:
            raise ChunkError(f"CellProfiler {ending.describe()} before the first image set: {last_error(messages)}")
        done = finished[-1].image - (finished[-1].module != self._plan.procedure.steps[-1])
        if done >= len(positions):
            raise ChunkError(f"CellProfiler {ending.describe()} after the last image set: {last_error(messages)}")
        return positions[done]

    def _refuse_surroundings(self, ending: Ending, messages: str) -> None:
        """Raise if the disk or the GPU is the cause of a failure."""
        if ending.code == 0 and not find_module_failures(messages):
            return
        found = _SURROUNDINGS.search(messages)
        if found:
            line = next(line for line in messages.splitlines() if found.group() in line)
            raise ChunkError(f"CellProfiler {ending.describe()}: {line.strip()[:500]}")
        full = full_disk(self.work)
        if full:
            raise ChunkError(f"CellProfiler {ending.describe()}, and {full}")

    def _anonymous(self, failure: Failure) -> Failure:
        """Take the private folder, which differs from try to try, out of a reason."""
        return Failure(failure.module, failure.reason.replace(f"{self.work}/", ""))


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write image sets as a list for LoadData, as text, file names unchanged."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
