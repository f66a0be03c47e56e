"""The trainings that are missing, run by Snakemake: on this computer, or on a cluster."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

from nucdl_core.files.writing import make_folder, write_json
from nucdl_core.screen.cellprofiler.gpus import visible_gpus
from nucdl_core.screen.cellprofiler.snakemake import (
    CONFIGURATION,
    EngineOptions,
    find_snakemake,
    last_line,
    snakemake_command,
)
from nucdl_core.screen.core.plan import ScreenError
from nucdl_core.screen.core.process import Program, stop_on_signals, supervise
from nucdl_core.study.design import StudyDesign
from nucdl_core.study.folder import StudyFolder

WORKFLOW = Path(__file__).parent / "workflow" / "Snakefile"
MARKERS, WORKFLOW_LOG = "done", "snakemake.log"
SECONDS_TO_STOP = 10.0


def run_trainings(
    folder: StudyFolder,
    design: StudyDesign,
    missing: List[str],
    options: EngineOptions,
    progress: Callable[[int], object] = int,
) -> None:
    """Run trainings of a study; what came of each lies in its folder, whatever happened.

    Parameters
    ----------
    folder : StudyFolder
    design : StudyDesign
    missing : list of str
        Names of the trainings that are to be done.
    options : EngineOptions
    progress : callable
        Called now and then with the number of those that are finished.

    Raises
    ------
    ConfigError
        If more GPUs were declared than this computer may show.
    ScreenError
        If there is no Snakemake, or nothing came of any training: it could not begin.
    StopRequest
        If the program was asked to stop; trainings that were running go on from their checkpoints the next time.
    """
    if options.profile is None:
        visible_gpus(options.gpus)
    command = snakemake_command(find_snakemake(), WORKFLOW, folder.work, options)
    make_folder(folder.work / MARKERS)
    for name in missing:
        (folder.work / MARKERS / name).unlink(missing_ok=True)
    write_json(folder.work / CONFIGURATION, study_configuration(folder, design, missing, options))
    # Nothing may depend on the home folder, which clusters like to replace.
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder.work / ".cache")}
    log = folder.work / WORKFLOW_LOG
    program = Program(command, environment, log=log)

    def look() -> None:
        progress(sum(folder.is_finished(name) for name in missing))

    with stop_on_signals():
        code = supervise(program, look, stop=_stop).code
    if code != 0 and not any(folder.is_finished(name) or folder.reason(name) for name in missing):
        raise ScreenError(f"Snakemake ended with code {code} without any training: {last_line(log)}")


def study_configuration(
    folder: StudyFolder, design: StudyDesign, missing: List[str], options: EngineOptions
) -> Dict[str, Any]:
    """Return what the Snakefile needs to know."""
    return {
        "missing": missing,
        "output": str(folder.root),
        "python": sys.executable,
        "retries": options.retries,
        "threads": design.threads,
        "memory_mb": design.memory_mb,
        "minutes": design.minutes,
        "device": "cuda" if options.gpus else "cpu",
        "gpu": 1 if options.gpus else 0,
        # With a profile the scheduler shows each job its GPU.
        "gpus_here": options.gpus if options.profile is None else 0,
    }


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask Snakemake to cancel its jobs; those on this computer also end by themselves once it is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=SECONDS_TO_STOP)
        process.kill()
        process.wait()
