"""The chunks that are missing, run by Snakemake: on this computer, on a cluster or in a cloud."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from nucdl_core.files.writing import make_folder, write_json
from nucdl_core.screen.cellprofiler.gpus import visible_gpus
from nucdl_core.screen.cellprofiler.snakemake import (
    CONFIGURATION,
    EngineOptions,
    find_snakemake,
    last_line,
    snakemake_command,
)
from nucdl_core.screen.core.finish import missing_chunks
from nucdl_core.screen.core.plan import Chunk, ScreenError, ScreenFolder, ScreenPlan, read_plan
from nucdl_core.screen.core.process import POLL_SECONDS, Program, supervise
from nucdl_core.screen.core.work import MARKER_FOLDER, read_error, remove_leftovers, running_chunks

SNAKEFILE = Path(__file__).parent / "workflow" / "Snakefile"
SNAKEMAKE_LOG = "snakemake.log"
STOP_SECONDS = 4.0
"""How long Snakemake may take to stop its jobs, and how long these may take to put themselves in order."""
MEMORY_BESIDE_MB = 1024
"""Memory of the process beside CellProfiler, which reads every image."""

ChunkProgress = Callable[[int], None]
"""Called with the number of chunks that are finished."""


def run_missing_chunks(
    folder: ScreenFolder, options: EngineOptions, progress: Optional[ChunkProgress] = None
) -> List[Chunk]:
    """Run all chunks that are not finished; the lock of the screen must be held.

    Parameters
    ----------
    folder : ScreenFolder
    options : EngineOptions
    progress : callable, optional
        See `ChunkProgress`.

    Returns
    -------
    list of Chunk
        Those that are still not finished.

    Raises
    ------
    ConfigError
        If more GPUs were declared than this computer may show, see `gpus.visible_gpus`.
    ScreenError
        If there is no Snakemake, or nothing came of any chunk: it could not begin, or a cluster killed all jobs.
    StopRequest
        If the program was asked to stop; the chunks that were running have been stopped then.
    """
    plan, missing = read_plan(folder), missing_chunks(folder)
    remove_leftovers(folder)
    if not missing:
        return []
    if options.profile is None:
        visible_gpus(options.gpus)
    command = snakemake_command(find_snakemake(), SNAKEFILE, folder.work, options)
    make_folder(folder.work / MARKER_FOLDER)
    for chunk in missing:
        (folder.work / MARKER_FOLDER / chunk.name).unlink(missing_ok=True)
    write_json(folder.work / CONFIGURATION, workflow_configuration(folder, plan, missing, options))
    code = _run_snakemake(command, folder, progress)
    left = missing_chunks(folder)
    if code != 0 and len(left) == len(missing) and not any(read_error(folder, chunk.name) for chunk in left):
        raise ScreenError(
            f"Snakemake ended with code {code} without any chunk: {last_line(folder.work / SNAKEMAKE_LOG)}"
        )
    return left


def workflow_configuration(
    folder: ScreenFolder, plan: ScreenPlan, missing: List[Chunk], options: EngineOptions
) -> Dict[str, Any]:
    """Return what the Snakefile needs to know."""
    return {
        "missing": [chunk.name for chunk in missing],
        "output": str(folder.root),
        "python": sys.executable,
        "retries": options.retries,
        "memory_mb": plan.limits.memory_mb + MEMORY_BESIDE_MB,
        # The longest time that a chunk may take without being stuck.
        "minutes": math.ceil((plan.chunk_size + 2) * plan.limits.seconds / 60),
        "gpu": 1 if options.gpus else 0,
        # With a profile the scheduler shows each job its GPU.
        "gpus_here": options.gpus if options.profile is None else 0,
    }


def _run_snakemake(command: List[str], folder: ScreenFolder, progress: Optional[ChunkProgress]) -> int:
    # Nothing may depend on the home folder, which clusters like to replace.
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder.work / ".cache")}
    program = Program(command, environment, log=folder.work / SNAKEMAKE_LOG)

    def look() -> None:
        if progress is not None:
            progress(sum(1 for _ in folder.results.glob("*")))

    return supervise(program, look, stop=lambda process: _stop(process, folder)).code


def _stop(process: subprocess.Popen[bytes], folder: ScreenFolder) -> None:
    """Ask Snakemake to cancel its jobs; those on this computer also stop by themselves once it is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_SECONDS / 2)
        process.kill()
        process.wait()
    until = time.monotonic() + STOP_SECONDS / 2
    while running_chunks(folder) and time.monotonic() < until:
        time.sleep(POLL_SECONDS / 2)
