"""The plugins, pipelines and training recipes that come with NucDL, and their way into CellProfiler."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import make_folder, write_atomically, write_json
from nucdl_core.model.places import preferences_file

SUPPLIED = Path(__file__).resolve().parents[1] / "supplied"
"""Where a wheel has them; without one they lie in the repository, beside the package."""
ENGINE_FILE = "nucdl_engine.json"
"""Beside copied plugins: where their engine is, see ``plugins/_nucdl_places.py``."""
_EXAMPLES = {"pipelines": "*.cppipe", "training": "**/*.json"}
"""What is copied into subfolders, for people to start from."""


@dataclass(frozen=True)
class CopiedPlugins:
    """What was copied.

    Attributes
    ----------
    folder : Path
        CellProfiler's folder of plugins.
    files : int
        How many files it got.
    engine : str
        What the plugins will start where the engine is not in CellProfiler's own Python.
    """

    folder: Path
    files: int
    engine: str


def supplied_folder(name: str) -> Path:
    """Return the folder "plugins", "pipelines" or "training" of this NucDL.

    Raises
    ------
    NucDLError
        If it is missing.
    """
    places = [SUPPLIED / name, SUPPLIED.parents[1] / name]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise NucDLError(f"neither {places[0]} nor {places[1]} is there; install NucDL again, from its wheel")
    return found


def account_folder() -> Path:
    """Return the folder for plugins of this account, beside NucDL's preferences.

    Raises
    ------
    NucDLError
        If the account has no folder for settings, as on many clusters.
    """
    folder = preferences_file().with_name("cellprofiler_plugins")
    if not folder.is_absolute():
        raise NucDLError("this account has no folder for settings; name one to which the modules are to be copied")
    return folder


def engine_command() -> str:
    """Return what starts this engine elsewhere: the ``nucdl`` command beside this Python, or this Python."""
    folder = Path(sys.executable).parent
    beside = (folder / name for name in ("nucdl", "nucdl.exe"))
    return str(next((command for command in beside if command.is_file()), sys.executable))


def copy_plugins(folder: Path) -> CopiedPlugins:
    """Copy plugins, pipelines and recipes into a folder, and write down where their engine is.

    Plugins of others that lie there stay; earlier ones of NucDL are replaced, and removed if they are no more.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    NucDLError
        If it is the folder that would be copied, or cannot be written.
    """
    source = supplied_folder("plugins")
    if folder.resolve() == source.resolve():
        raise NucDLError(f"{folder} is where the modules come from; name another folder to copy them to")
    files = sorted(source.glob("*.py"))
    make_folder(folder)
    for old in folder.glob("_nucdl_*.py"):
        if not (source / old.name).exists():
            old.unlink()
    for file in files:
        _copy(file, folder / file.name)
    for name, pattern in _EXAMPLES.items():
        examples = supplied_folder(name)
        for file in sorted(examples.glob(pattern)):
            target = folder / name / file.relative_to(examples)
            make_folder(target.parent)
            _copy(file, target)
    engine = engine_command()
    write_json(folder / ENGINE_FILE, {"engine": engine})
    return CopiedPlugins(folder, len(files), engine)


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as content:
        write_atomically(target, lambda file: shutil.copyfileobj(content, file))
