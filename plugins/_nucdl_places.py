"""Where the engine is, if it is not in the Python that runs CellProfiler."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from _nucdl_errors import NucDLError

ENGINE_VARIABLE = "NUCDL_ENGINE"
"""Environment variable with the path of a `nucdl` command, of a Python, or of the folder of an environment."""
SETTINGS_FILE = Path(__file__).with_name("nucdl_engine.json")
"""Written beside the modules by `nucdl plugins install`: so it needs no home folder, and each copy has its engine."""

# In the folder of an environment, and in its folder of programs.
_COMMANDS = ("bin/nucdl", "Scripts/nucdl.exe", "nucdl", "nucdl.exe")
_PYTHONS = ("bin/python", "Scripts/python.exe", "python.exe", "python")
_AS_NUCDL = "import sys; sys.path[:] = filter(None, sys.path); from nucdl_core.cli.main import main; main()"


class EnginePlace(NamedTuple):
    """Where an engine is.

    Attributes
    ----------
    command : list of str
        What starts its process.
    named_by : str
        What says so.
    """

    command: List[str]
    named_by: str


def named_by_variable() -> Optional[EnginePlace]:
    """Return the engine that the environment variable names; raises `NucDLError` if there is none."""
    value = os.environ.get(ENGINE_VARIABLE)
    return EnginePlace(_command_of(value, f"the variable {ENGINE_VARIABLE}"), ENGINE_VARIABLE) if value else None


def engine_elsewhere() -> Optional[EnginePlace]:
    """Look for an engine: the variable, the file beside the modules, the PATH.

    Raises
    ------
    NucDLError
        If the variable or the file names something that is no engine: another one would be a surprise.
    """
    by_variable = named_by_variable()
    if by_variable is not None:
        return by_variable
    if SETTINGS_FILE.exists():
        return EnginePlace(_command_of(_read_settings(), str(SETTINGS_FILE)), str(SETTINGS_FILE))
    on_path = shutil.which("nucdl")
    return EnginePlace([on_path, "worker"], "the PATH") if on_path else None


def _read_settings() -> str:
    try:
        return str(json.loads(SETTINGS_FILE.read_text(encoding="utf-8"))["engine"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NucDLError(
            f"{SETTINGS_FILE} cannot be understood ({error}); write it anew with 'nucdl plugins install'"
        ) from error


def _command_of(value: str, named_by: str) -> List[str]:
    path = Path(os.path.expanduser(value))
    if path.is_dir():
        found = [path / name for name in (*_COMMANDS, *_PYTHONS) if (path / name).is_file()]
        if not found:
            raise NucDLError(
                f"{named_by} names the folder {path}, which holds neither a 'nucdl' command nor a Python; name the "
                "folder of the environment in which NucDL is installed"
            )
        path = found[0]
    if not path.is_file():
        raise NucDLError(f"{named_by} names {path}, which is not there; name the 'nucdl' command or its Python")
    is_python = path.name.lower().startswith("python")
    return [str(path), "-c", _AS_NUCDL, "worker"] if is_python else [str(path), "worker"]


def environment_for_engine() -> Dict[str, str]:
    """Return the variables of the engine's process: without those by which CellProfiler finds its own libraries.

    The window gives its worker processes the folder of its libraries on the PYTHONPATH, and the downloaded app that of
    its programs as LD_LIBRARY_PATH: another Python would load what it cannot use.
    """
    environment: Dict[str, Any] = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
    homes = [os.path.realpath(home) for home in (sys.prefix, sys.base_prefix, getattr(sys, "_MEIPASS", sys.prefix))]
    parts = environment.pop("PYTHONPATH", "").split(os.pathsep)
    kept = [part for part in parts if part and not any(_lies_in(part, home) for home in homes)]
    if kept:
        environment["PYTHONPATH"] = os.pathsep.join(kept)
    if getattr(sys, "frozen", False):
        for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
            before = environment.pop(f"{name}_ORIG", None)
            environment.pop(name, None)
            if before:
                environment[name] = before
    return environment


def _lies_in(path: str, home: str) -> bool:
    return os.path.realpath(path).startswith(home + os.sep)
