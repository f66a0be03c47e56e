"""Snakemake, which runs the chunks: where it is found, how it is called, how it is stopped."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from nucdl_core.config import require
from nucdl_core.files.writing import make_folder, write_json
from nucdl_core.screen.cellprofiler.gpus import visible_gpus
from nucdl_core.screen.core.plan import Chunk, ScreenError, ScreenFolder, ScreenPlan, read_chunks, read_plan
from nucdl_core.screen.core.process import die_with_parent
from nucdl_core.screen.core.publish import is_published
from nucdl_core.screen.core.work import MARKERS, read_error, remove_leftovers, running_chunks

REPOSITORY = Path(__file__).resolve().parents[3]
ENVIRONMENT = REPOSITORY / ".venv-screen"
INSTALLER = REPOSITORY / "tools" / "install.sh"
SNAKEFILE = Path(__file__).parent / "workflow" / "Snakefile"
VARIABLE = "NUCDL_SNAKEMAKE"
OLDEST_VERSION = 9
LOG = "snakemake.log"
CONFIGURATION = "workflow.json"
POLL_SECONDS = 0.5
STOP_SECONDS = 4.0
"""How long Snakemake may take to stop its jobs, and how long these may take to put themselves in order."""
MEMORY_BESIDE_MB = 1024
"""Memory of the process beside CellProfiler, which reads every image."""

Progress = Callable[[int], None]
"""Called with the number of chunks that are finished."""


@dataclass(frozen=True)
class EngineOptions:
    """Where and how the chunks run.

    Attributes
    ----------
    cores : int or None
        Processes at once on this computer; None takes all cores, or leaves it to the profile.
    profile : str or None
        Snakemake profile (name or folder) that sends the chunks to a cluster or a cloud.
    gpus : int
        GPUs that there are; each chunk then holds one, on this computer for itself. 0 declares none.
    threads : int
        Cores of one chunk.
    retries : int
        How often a chunk that fails is tried again.
    """

    cores: Optional[int] = None
    profile: Optional[str] = None
    gpus: int = 0
    threads: int = 1
    retries: int = 1

    def __post_init__(self) -> None:
        require(self.cores is None or self.cores >= 1, f"{self.cores} cores are none; give at least 1")
        require(self.gpus >= 0, f"{self.gpus} GPUs were declared; give 0 or more")
        require(self.threads >= 1, f"{self.threads} threads are none; give at least 1")
        require(self.retries >= 0, f"{self.retries} retries were asked for; give 0 or more")


def missing_chunks(folder: ScreenFolder) -> List[Chunk]:
    """List the chunks that are not finished.

    Raises
    ------
    ScreenError
        If the folder holds no plan.
    """
    return [chunk for chunk in read_chunks(folder) if not is_published(folder.result(chunk), chunk)]


def run_missing_chunks(
    folder: ScreenFolder, options: EngineOptions, progress: Optional[Progress] = None
) -> List[Chunk]:
    """Run all chunks that are not finished; the lock of the screen must be held.

    Parameters
    ----------
    folder : ScreenFolder
    options : EngineOptions
    progress : callable, optional
        See `Progress`.

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
    command = snakemake_command(find_snakemake(), folder, options)
    make_folder(folder.work / MARKERS)
    for chunk in missing:
        (folder.work / MARKERS / chunk.name).unlink(missing_ok=True)
    write_json(folder.work / CONFIGURATION, workflow_configuration(folder, plan, missing, options))
    code = _run_snakemake(command, folder, progress)
    left = missing_chunks(folder)
    if code != 0 and len(left) == len(missing) and not any(read_error(folder, chunk.name) for chunk in left):
        raise ScreenError(f"Snakemake ended with code {code} without any chunk: {_last_line(folder.work / LOG)}")
    return left


def workflow_configuration(
    folder: ScreenFolder, plan: ScreenPlan, missing: List[Chunk], options: EngineOptions
) -> Dict[str, Any]:
    """Return what the Snakefile needs to know."""
    return {
        "missing": [chunk.name for chunk in missing],
        "output": str(folder.root),
        "python": sys.executable,
        "threads": options.threads,
        "retries": options.retries,
        "memory_mb": plan.limits.memory_mb + MEMORY_BESIDE_MB,
        # The longest time that a chunk may take without being stuck.
        "minutes": math.ceil((plan.chunk_size + 2) * plan.limits.seconds / 60),
        "gpu": 1 if options.gpus else 0,
        # With a profile the scheduler shows each job its GPU.
        "gpus_here": options.gpus if options.profile is None else 0,
    }


def snakemake_command(snakemake: Path, folder: ScreenFolder, options: EngineOptions) -> List[str]:
    """Make Snakemake's command line.

    Its own lock is off, since ours also goes away with a killed process, and results are judged by us alone.
    """
    command = [str(snakemake), "--snakefile", str(SNAKEFILE), "--directory", str(folder.work)]
    command += ["--configfile", str(folder.work / CONFIGURATION), "--nolock", "--keep-going", "--rerun-incomplete"]
    command += ["--rerun-triggers", "mtime", "--nocolor"]
    if options.profile is not None:
        command += ["--profile", options.profile]
    if options.profile is None or options.cores is not None:
        command += ["--cores", str(options.cores or os.cpu_count() or 1)]
    if options.gpus:
        command += ["--resources", f"gpu={options.gpus}"]
    return command


def _run_snakemake(command: List[str], folder: ScreenFolder, progress: Optional[Progress]) -> int:
    # Nothing may depend on the home folder, which clusters like to replace.
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder.work / ".cache")}
    with (folder.work / LOG).open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent if sys.platform.startswith("linux") else None,
        )
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=POLL_SECONDS)
            if progress is not None:
                progress(sum(1 for path in folder.results.glob("*")))
    finally:
        if process.poll() is None:
            _stop(process, folder)


def _stop(process: subprocess.Popen[bytes], folder: ScreenFolder) -> None:
    """Ask Snakemake to cancel its jobs; those on this computer also stop by themselves once it is gone."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=STOP_SECONDS / 2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    until = time.monotonic() + STOP_SECONDS / 2
    while running_chunks(folder) and time.monotonic() < until:
        time.sleep(POLL_SECONDS / 5)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"{lines[-1] if lines else 'nothing was logged'}; see {log}"


def find_snakemake() -> Path:
    """Find Snakemake: where NUCDL_SNAKEMAKE points, in the environment of this repository, or on the PATH.

    Where there is none and this is a clone of the repository, the environment is made.

    Raises
    ------
    ScreenError
        If there is none of version 9 or later.
    """
    given = os.environ.get(VARIABLE)
    own = ENVIRONMENT / "bin" / "snakemake"
    if given:
        return _checked(Path(given))
    if not own.exists():
        on_path = shutil.which("snakemake")
        if on_path:
            return _checked(Path(on_path))
        _install()
    return _checked(own)


def _install() -> None:
    """Make the environment; what it does is shown, for it takes a minute."""
    if INSTALLER.is_file():
        subprocess.run(["bash", str(INSTALLER), "screen"], stdin=subprocess.DEVNULL, check=False)


def _checked(snakemake: Path) -> Path:
    try:
        done = subprocess.run([str(snakemake), "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ScreenError(
            f"there is no Snakemake at {snakemake} ({error.strerror}), which runs the chunks; install it (pip install"
            f" 'snakemake>={OLDEST_VERSION}', Python 3.11 or later) and name it with {VARIABLE}=path"
        ) from error
    found = re.match(r"(\d+)\.", done.stdout.strip())
    if found is None or int(found.group(1)) < OLDEST_VERSION:
        version = done.stdout.strip() or done.stderr.strip().splitlines()[-1:]
        raise ScreenError(f"{snakemake} is Snakemake {version}; {OLDEST_VERSION} or later is needed, see {VARIABLE}")
    return snakemake
