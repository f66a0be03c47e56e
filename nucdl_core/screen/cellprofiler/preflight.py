"""Whether this machine can run a pipeline: Java, CellProfiler, its modules and plugins, the names in the settings."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from nucdl_core.cellprofiler.headless import HeadlessError, cellprofiler_environment, find_cellprofiler
from nucdl_core.screen.cellprofiler.pipeline_file import PipelineModule, format_pipeline
from nucdl_core.screen.core.plan import ScreenError

PROGRAM = Path(__file__).with_name("cellprofiler_check.py")
LONGEST_CHECK = 600.0
"""Seconds; loading all modules takes some, on a cold network drive a minute."""
SHOWN_ERRORS = 3


@dataclass(frozen=True)
class Preflight:
    """What CellProfiler says of a pipeline that it could run.

    Attributes
    ----------
    tables : tuple of str
        Kinds of objects that are measured; each gets a CSV table of this name.
    channels : tuple of str
        Images that modules take, from the list or from other modules.
    aggregating : tuple of str
        Modules that combine several image sets.
    """

    tables: Tuple[str, ...]
    channels: Tuple[str, ...]
    aggregating: Tuple[str, ...]


def check_pipeline(modules: Sequence[PipelineModule], list_start: str, plugins: Optional[Path]) -> Preflight:
    """Let CellProfiler load a pipeline and check its settings, without running it.

    Parameters
    ----------
    modules : sequence of PipelineModule
        As they will be run.
    list_start : str
        Header and first row of the list of image sets.
    plugins : Path or None

    Returns
    -------
    Preflight

    Raises
    ------
    ScreenError
        If Java or CellProfiler is missing, a module or an image or object name is, a plugin cannot be imported, or
        settings are cut, newer than the code, or refused by their module.
    """
    try:
        python, environment = cellprofiler_python(), cellprofiler_environment()
    except HeadlessError as error:
        raise ScreenError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="nucdl_") as folder:
        data_file, request, result = (Path(folder, name) for name in ("list.csv", "request.json", "result.json"))
        data_file.write_text(list_start, encoding="utf-8")
        request.write_text(json.dumps(_request(modules, data_file, plugins)), encoding="utf-8")
        # Python looks for modules beside its program first, where some bear names of the standard library's.
        program = shutil.copy(PROGRAM, folder)
        found = _run([str(python), str(program), str(request), str(result)], environment, result)
    if found["errors"]:
        raise ScreenError(_describe(found["errors"]))
    return Preflight(tuple(found["tables"]), tuple(found["channels"]), tuple(found["aggregating"]))


def _request(modules: Sequence[PipelineModule], data_file: Path, plugins: Optional[Path]) -> Dict[str, Any]:
    described = [
        {
            "number": number,
            "name": module.name,
            "revision": module.revision,
            "settings": [value for _, value in module.settings],
        }
        for number, module in enumerate(modules, start=1)
    ]
    return {
        "pipeline": format_pipeline(modules),
        "modules": described,
        "data_file": str(data_file),
        "plugins": None if plugins is None else str(plugins.resolve()),
    }


def _run(command: List[str], environment: Dict[str, str], result: Path) -> Any:
    try:
        ended = subprocess.run(
            command,
            env=environment,
            cwd=result.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LONGEST_CHECK,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ScreenError(
            f"CellProfiler did not load its modules within {LONGEST_CHECK:g} s; is a plugin waiting for something?"
        ) from error
    except OSError as error:
        raise ScreenError(f"{command[0]} cannot be started ({error.strerror}); reinstall CellProfiler") from error
    if ended.returncode != 0 or not result.exists():
        lines = ended.stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing was reported"]
        raise ScreenError(f"CellProfiler cannot load the pipeline (exit code {ended.returncode}): {lines[-1][:500]}")
    return json.loads(result.read_text(encoding="utf-8"))


def _describe(errors: Sequence[Dict[str, Any]]) -> str:
    shown = [f"module {error['number']}, {error['name']}: {error['reason']}" for error in errors[:SHOWN_ERRORS]]
    more = [f"and {len(errors) - SHOWN_ERRORS} more"] if len(errors) > SHOWN_ERRORS else []
    # What modules and imports say may have several lines.
    return " ".join("; ".join(shown + more).split())


def cellprofiler_python() -> Path:
    """Find the Python that the ``cellprofiler`` command runs in.

    Raises
    ------
    HeadlessError
        If there is no ``cellprofiler`` command, or it is not a Python program.
    """
    command = find_cellprofiler()
    beside = command.parent / "python"
    if beside.exists():
        return beside
    with command.open("rb") as stream:
        first = stream.readline(1000)
    named = first[2:].decode("utf-8", "replace").strip().split(" ")[0] if first.startswith(b"#!") else ""
    if "python" not in Path(named).name or not Path(named).exists():
        raise HeadlessError(
            f"{command} does not say which Python it runs in; screens need a CellProfiler that was installed by pip or "
            "conda, not the downloaded app: name its 'cellprofiler' by the variable NUCDL_CELLPROFILER"
        )
    return Path(named)
