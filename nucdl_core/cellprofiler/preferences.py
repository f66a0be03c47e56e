"""CellProfiler's own preference that says where its plugins are.

CellProfiler 4.2 keeps it where wxPython keeps settings: on Linux and macOS in a text file, on Windows in the registry.
What was written here was read by CellProfiler on Linux; the places on the other two follow from the code of both
programs and were not tried.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, Tuple

from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import make_folder, write_bytes

PLUGIN_PREFERENCE = "PluginDirectoryCP4"
SETTINGS_NAME = "CellProfilerLocal.cfg"
_REGISTRY_KEY = rf"Software\{SETTINGS_NAME}"
# How such a file writes what would end a value.
_ESCAPED = {"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\""}


def set_plugin_folder(folder: Path) -> Tuple[str, str]:
    """Make a folder CellProfiler's folder of plugins, for this account.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    place : str
        Where the preference is kept.
    before : str
        What it was, "" where there was none.

    Raises
    ------
    NucDLError
        If the account has no folder for settings, or they cannot be written.
    """
    if sys.platform == "win32":
        return _set_in_registry(str(folder))
    path = preference_file()
    make_folder(path.parent)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    start = f"{PLUGIN_PREFERENCE}="
    # Settings of the file as a whole stand before its first group.
    end = next((number for number, line in enumerate(lines) if line.startswith("[")), len(lines))
    before = next((line[len(start) :] for line in lines[:end] if line.startswith(start)), "")
    kept = [line for line in lines[:end] if not line.startswith(start)]
    text = "\n".join([*kept, start + _escaped(str(folder)), *lines[end:], ""])
    write_bytes(path, text.encode("utf-8"))
    return str(path), _plain_value(before)


def preference_file() -> Path:
    """Return the file in which CellProfiler keeps preferences on Linux and macOS; it need not exist.

    Raises
    ------
    NucDLError
        If the account has no folder for settings.
    """
    home = Path(os.path.expanduser("~"))
    in_linux = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    folder = home / "Library" / "Preferences" if sys.platform == "darwin" else in_linux
    if not folder.is_absolute():
        raise NucDLError("this account has no folder for settings; start CellProfiler with --plugins-directory instead")
    return folder / SETTINGS_NAME


def _escaped(value: str) -> str:
    return "".join(_ESCAPED.get(letter, letter) for letter in value)


def _plain_value(value: str) -> str:
    letters = {written: letter for letter, written in _ESCAPED.items()}
    return re.sub(r"\\.", lambda found: letters.get(found.group(), found.group()), value)


def _set_in_registry(folder: str) -> Tuple[str, str]:
    import winreg

    registry: Any = winreg
    try:
        with registry.CreateKey(registry.HKEY_CURRENT_USER, _REGISTRY_KEY) as key:
            try:
                before = str(registry.QueryValueEx(key, PLUGIN_PREFERENCE)[0])
            except FileNotFoundError:
                before = ""
            registry.SetValueEx(key, PLUGIN_PREFERENCE, 0, registry.REG_SZ, folder)
    except OSError as error:
        raise NucDLError(f"the registry cannot be written ({error}); set it in CellProfiler's window") from error
    return rf"the registry, HKEY_CURRENT_USER\{_REGISTRY_KEY}", before
