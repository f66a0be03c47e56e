"""Running CellProfiler without its window, and finding out whether it really did its work.

CellProfiler's exit code does not tell: a pipeline whose module is missing, or a full disk during the export, ends
with 0. So a run counts as successful only if the tables are there, complete, and agree with each other.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, TextIO, Union

from nucdl_core.errors import NucDLError
from nucdl_core.progress import ModuleProgress

if TYPE_CHECKING:
    import pandas as pd

LOG_NAME = "cellprofiler.log"
DONE_NAME = "cellprofiler_done.txt"
JAVA_FOLDER = Path("/usr/lib/jvm")
IMAGE_TABLE = "Image.csv"
CELLPROFILER_VARIABLE = "NUCDL_CELLPROFILER"
"""Environment variable with the path of the ``cellprofiler`` command, or of the folder that it is in."""

STEP = re.compile(r"Image # (\d+), module (\w+) #")
"""Line of CellProfiler's log after each module of each image set: the image set's number, the module's name."""
REASON = re.compile(r"^[\w.]*(?:Error|Exception)\b.*")
"""Line of CellProfiler's log that says why it failed."""


class HeadlessError(NucDLError, RuntimeError):
    """CellProfiler could not be started, failed, or did not leave the results that it should."""


@dataclass(frozen=True)
class HeadlessRun:
    """One run of CellProfiler over a list of images.

    Attributes
    ----------
    pipeline : Path
        The ``.cppipe`` file.
    data_file : Path
        LoadData's list of images (CSV).
    output : Path
        Folder for the results; it must exist.
    plugins : Path
        Folder with NucDL's modules.
    """

    pipeline: Path
    data_file: Path
    output: Path
    plugins: Path


def run_cellprofiler(run: HeadlessRun, progress: Optional[ModuleProgress] = None) -> None:
    """Run a pipeline to its end; its messages go to ``cellprofiler.log`` in the output folder.

    Parameters
    ----------
    run : HeadlessRun
    progress : callable, optional
        Called after each module of each image set.

    Raises
    ------
    HeadlessError
        If CellProfiler or Java is missing, or CellProfiler reports a failure. Success is not proven by its
        absence: see `check_tables`.
    """
    for path in (run.pipeline, run.data_file, run.output, run.plugins):
        if not path.exists():
            raise HeadlessError(f"{path} does not exist; CellProfiler needs it")
    done = run.output / DONE_NAME
    # CellProfiler does not remove the note of an earlier run, which could then pass for a success of this one.
    done.unlink(missing_ok=True)
    log_path = run.output / LOG_NAME
    with open(log_path, "w", encoding="utf-8") as log:
        code = _follow(cellprofiler_command(run, done), log, progress)
    status = done.read_text().strip() if done.exists() else "no final note"
    if code != 0 or status != "Complete":
        raise HeadlessError(f"CellProfiler ended with code {code} and {status!r}: {_reason(log_path)}; see {log_path}")


def cellprofiler_command(run: HeadlessRun, done: Path, *switches: str) -> List[str]:
    """Make the command line of a run without a window.

    Parameters
    ----------
    run : HeadlessRun
    done : Path
        Where CellProfiler leaves its final note, "Complete" or "Failure".
    *switches : str
        Further options, such as ``--always-continue``.

    Returns
    -------
    list of str

    Raises
    ------
    HeadlessError
        If there is no CellProfiler.
    """
    options = {
        "-p": run.pipeline,
        "--data-file": run.data_file,
        "-o": run.output,
        "-d": done,
        "--plugins-directory": run.plugins,
    }
    command = [str(find_cellprofiler()), "-c", "-r", *switches]
    for option, path in options.items():
        command += [option, str(path.resolve())]
    return command


def cellprofiler_environment() -> Dict[str, str]:
    """Return the variables of the environment that CellProfiler runs in.

    Raises
    ------
    HeadlessError
        If there is no Java.
    """
    environment = {**os.environ, "JAVA_HOME": str(find_java_home()), "PYTHONUTF8": "1"}
    if sys.platform.startswith("linux"):
        # In the C locale Java cannot open files with other than ASCII characters in their names.
        environment["LC_ALL"] = "C.UTF-8"
    return environment


def _follow(command: Sequence[str], log: TextIO, progress: Optional[ModuleProgress]) -> int:
    with subprocess.Popen(
        command,
        env=cellprofiler_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                log.write(line)
                step = STEP.search(line)
                if step and progress:
                    progress(int(step.group(1)), step.group(2))
            return process.wait()
        finally:
            # CellProfiler still runs here only if this process was interrupted.
            if process.poll() is None:
                process.terminate()


def _reason(log_path: Path) -> str:
    reasons = [line for line in log_path.read_text(encoding="utf-8").splitlines() if REASON.match(line)]
    return reasons[-1] if reasons else "no error was logged"


def find_cellprofiler() -> Path:
    """Find the ``cellprofiler`` command: by the variable `CELLPROFILER_VARIABLE`, beside this Python, or on the PATH.

    Raises
    ------
    HeadlessError
        If there is none, or the variable names none.
    """
    named = os.environ.get(CELLPROFILER_VARIABLE)
    if named:
        command = Path(named).expanduser()
        command = command / "cellprofiler" if command.is_dir() else command
        if not command.is_file():
            raise HeadlessError(
                f"{CELLPROFILER_VARIABLE} is {named}, where no 'cellprofiler' is; correct it or unset it"
            )
        return command.absolute()
    beside = Path(sys.executable).parent / "cellprofiler"
    found: Union[str, Path, None] = beside if beside.exists() else shutil.which("cellprofiler")
    if found is None:
        raise HeadlessError(
            f"no 'cellprofiler' command beside {sys.executable} or on the PATH; install CellProfiler, or name the "
            f"command of one that lies elsewhere by the variable {CELLPROFILER_VARIABLE}"
        )
    return Path(found)


def find_java_home() -> Path:
    """Find the folder of a Java that CellProfiler can read images with.

    JAVA_HOME where it is set, otherwise the Java of the ``java`` command, otherwise one in `JAVA_FOLDER`.

    Raises
    ------
    HeadlessError
        If there is none, or JAVA_HOME does not hold one.
    """
    given = os.environ.get("JAVA_HOME")
    if given:
        if not _holds_java(Path(given)):
            raise HeadlessError(f"JAVA_HOME is {given}, which holds no Java; correct it or unset it")
        return Path(given)
    command = shutil.which("java")
    candidates = [Path(command).resolve().parents[1]] if command else []
    candidates += sorted(JAVA_FOLDER.glob("*"), reverse=True)
    for candidate in candidates:
        if _holds_java(candidate):
            return candidate
    raise HeadlessError(
        "no Java was found, which CellProfiler reads images with; install a JDK (17 works) or set JAVA_HOME"
    )


def _holds_java(home: Path) -> bool:
    return any(home.glob("lib/server/libjvm.*")) or any(home.glob("jre/lib/*/server/libjvm.*"))


def check_tables(output: Path, image_sets: int, objects: Sequence[str]) -> pd.DataFrame:
    """Check that CellProfiler's tables are complete and agree with each other.

    Parameters
    ----------
    output : Path
        Folder with ``Image.csv`` and one table per kind of object.
    image_sets : int
        How many images were given.
    objects : sequence of str
        Names of the objects that the pipeline makes.

    Returns
    -------
    DataFrame
        ``Image.csv``: one row per image.

    Raises
    ------
    HeadlessError
        If a table is missing, rows or counts are missing, or an object table has not as many rows as were counted.
    """
    images = _read_table(output / IMAGE_TABLE)
    if len(images) != image_sets:
        raise HeadlessError(f"{output / IMAGE_TABLE} has {len(images)} rows for {image_sets} images; run again")
    for name in objects:
        counts = images.get(f"Count_{name}")
        if counts is None or counts.isna().any():
            raise HeadlessError(
                f"{output / IMAGE_TABLE} lacks counts of {name}: a module failed or is missing; see {output / LOG_NAME}"
            )
        rows = len(_read_table(output / f"{name}.csv"))
        if rows != int(counts.sum()):
            raise HeadlessError(f"{output / name}.csv has {rows} rows for {int(counts.sum())} nuclei; run again")
    return images


def _read_table(path: Path) -> pd.DataFrame:
    # Imported late, so that a process that only watches others needs little memory.
    import pandas as pd

    try:
        return pd.read_csv(path)
    except FileNotFoundError as error:
        raise HeadlessError(f"{path} was not written: a module failed or is missing; see {LOG_NAME}") from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise HeadlessError(f"{path} is incomplete ({error}); is the disk full?") from error


def execution_seconds(images: pd.DataFrame, module: str) -> pd.Series:
    """Take the processor time of a module from the image table.

    Parameters
    ----------
    images : DataFrame
        ``Image.csv``.
    module : str
        Name of a module that the pipeline holds once.

    Returns
    -------
    Series of float64 (rows,)
        Seconds per image, summed over the threads.

    Raises
    ------
    HeadlessError
        If the module is not in the table, or more than once.
    """
    columns = [name for name in images.columns if re.fullmatch(rf"ExecutionTime_\d+{re.escape(module)}", name)]
    if len(columns) != 1:
        raise HeadlessError(f"the image table has {len(columns)} times of {module} instead of one")
    return images[columns[0]].astype("float64")
