r"""Reading a ``.cppipe`` file without running it.

CellProfiler evaluates what stands in the square brackets of each module as Python, so that a pipeline file is a
program. Here the file is taken apart exactly as CellProfiler 4.2 does it (`Pipeline.setup_modules`), including its
unescaping, and whatever would be evaluated must be a plain literal.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from nucdl_core.screen.core.plan import ScreenError

FIRST_LINE = "CellProfiler Pipeline: http://www.cellprofiler.org"
LARGEST_FILE = 50_000_000
"""Bytes; pipelines have some ten thousand."""
NEWEST_VERSION = 5
ATTRIBUTES = {
    "module_num": int,
    "svn_version": str,
    "variable_revision_number": int,
    "show_window": bool,
    "notes": list,
    "batch_state": object,
    "enabled": bool,
    "wants_pause": bool,
}
_MODULE_NAME = re.compile(r"[A-Za-z_][\w.]*")
_NOTES = re.compile(r"(?P<note>\|notes:\[.*?\]\|)")
_BATCH_STATE = re.compile(r"array\(\[[\d,.\s]*\], dtype=uint8\)")


@dataclass(frozen=True)
class PipelineModule:
    """One module of a pipeline.

    Attributes
    ----------
    name : str
        Such as "IdentifyPrimaryObjects".
    number : int
        Its place, from 1.
    revision : int
        Revision of its settings.
    enabled : bool
    settings : tuple of (str, str)
        Text and value of each setting as CellProfiler understands them.
    raw : tuple of str
        The same as lines of the file.
    """

    name: str
    number: int
    revision: int
    enabled: bool
    settings: Tuple[Tuple[str, str], ...]
    raw: Tuple[str, ...]

    def value(self, text: str) -> Optional[str]:
        """Return the value of the first setting with this text, or None."""
        return next((value for name, value in self.settings if name == text), None)

    def __str__(self) -> str:
        return f"module {self.number}, {self.name}"


def parse_pipeline(path: Path) -> Tuple[PipelineModule, ...]:
    """Read the modules of a pipeline file; nothing of it is executed.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple of PipelineModule
        All, also disabled ones.

    Raises
    ------
    ScreenError
        If the file cannot be read, is not a pipeline, is cut off or damaged, or holds code.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ScreenError(f"it has more than {LARGEST_FILE} bytes and is not a pipeline; export the pipeline alone")
        text = path.read_bytes().decode("utf-8")
        return _parse(text)
    except ScreenError as error:
        raise ScreenError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise ScreenError(f"{path}: it is not in UTF-8; export the pipeline (.cppipe) from CellProfiler 4") from error
    except OSError as error:
        raise ScreenError(f"{path}: it cannot be read ({error.strerror}); check the name") from error


def _parse(text: str) -> Tuple[PipelineModule, ...]:
    lines = (line.strip() for line in io.StringIO(text, newline=None))
    if next(lines, "") != FIRST_LINE:
        raise ScreenError("this is not a pipeline; export one (.cppipe) from CellProfiler")
    if not text.endswith("\n"):
        raise ScreenError("the last line has no end, the file is cut off; export the pipeline again")
    head = _read_head(lines)
    if int(head.get("Version", "0")) > NEWEST_VERSION:
        raise ScreenError(f"the file has version {head['Version']}; export it from CellProfiler 4 (version 5)")
    count = int(head.get("ModuleCount", "0"))
    modules = []
    for number in range(1, count + 1):
        line = next(lines, None)
        if not line:
            raise ScreenError(f"it has {number - 1} of {count} modules, the file is cut off; export the pipeline again")
        modules.append(_read_module(line, lines, number))
    if not modules:
        raise ScreenError("the pipeline has no modules; export it again")
    if head.get("HasImagePlaneDetails") != "True" and any(lines):
        raise ScreenError(f"more follows after {count} modules; the file is damaged, export the pipeline again")
    return tuple(modules)


def _read_head(lines: Iterator[str]) -> Dict[str, str]:
    head: Dict[str, str] = {}
    for line in lines:
        if not line:
            return head
        name, colon, value = line.partition(":")
        number = name in ("Version", "ModuleCount")
        if not colon or (number and not value.isdecimal()):
            raise ScreenError(f"line {line[:60]!r} is not understood; export the pipeline again")
        head[name] = value
    raise ScreenError("the file ends before the first module, it is cut off; export the pipeline again")


def _read_module(line: str, lines: Iterator[str], number: int) -> PipelineModule:
    name, colon, attributes = line.partition(":")
    if not colon or not _MODULE_NAME.fullmatch(name.strip()):
        raise ScreenError(f"module {number} begins with {line[:60]!r}, the file is damaged; export the pipeline again")
    values = _read_attributes(attributes, f"module {number}, {name}")
    if "variable_revision_number" not in values:
        raise ScreenError(f"module {number}, {name}, lacks the revision of its settings; export the pipeline again")
    settings: List[Tuple[str, str]] = []
    raw: List[str] = []
    for setting in lines:
        if not setting:
            break
        text, colon, value = setting.partition(":")
        if not colon:
            raise ScreenError(f"module {number}, {name}: {setting[:60]!r} is not a setting; export the pipeline again")
        settings.append((text, _unescape(value)))
        raw.append(setting)
    revision, enabled = values["variable_revision_number"], values.get("enabled", True)
    return PipelineModule(name.strip(), number, revision, enabled, tuple(settings), tuple(raw))


def _unescape(value: str) -> str:
    """Undo the escaping of a setting as CellProfiler does it."""
    if r"\\\\g<" in value:
        value = value.replace(r"\x7C\\\\g<", r"|\g<") if r"\x7C" in value else value.replace(r"\\\\g<", r"\g<")
    if "\\x" in value:
        with contextlib.suppress(UnicodeDecodeError):
            value = value.encode("utf-8").decode("unicode_escape")
    return value.replace("\x00", "").strip("ÿþ") if len(value) > 1 else value


def _read_attributes(text: str, module: str) -> Dict[str, Any]:
    """Read what stands in the square brackets, where only literals are allowed."""
    if len(text) < 2 or text[0] != "[" or text[-1] != "]":
        raise ScreenError(f"{module}: its first line does not end with ']', the file is damaged or cut off")
    values = {}
    for part in _split_attributes(text.replace("dtype='|S", "dtype='S")):
        try:
            part = part.encode("utf-8").decode("unicode_escape") if part.isascii() else part.replace("\\", "")
        except UnicodeDecodeError as error:
            raise ScreenError(f"{module}: {part[:60]!r} cannot be unescaped; export the pipeline again") from error
        name, colon, value = part.partition(":")
        if not colon or name not in ATTRIBUTES:
            raise ScreenError(f"{module}: {part[:60]!r} is not an attribute of a module; export the pipeline again")
        values[name] = _literal(name, value, module)
    return values


def _split_attributes(text: str) -> List[str]:
    around_notes = _NOTES.split(text)
    if len(around_notes) == 3:
        before, notes, after = around_notes
        return [*before[1:].split("|"), notes[1:-1], *after[:-1].split("|")]
    return text[1:-1].split("|")


def _literal(name: str, text: str, module: str) -> Any:
    """Return the value of a literal; anything that Python would have to run is refused."""
    if name == "batch_state" and _BATCH_STATE.fullmatch(text):
        return None
    try:
        value = ast.literal_eval(text)
    except SyntaxError as error:
        # CellProfiler takes notes that are not Python apart by hand, and evaluating them fails without running.
        if name == "notes":
            return []
        raise ScreenError(f"{module}: {name} is {text[:60]!r}, the file is damaged; export it again") from error
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ScreenError(
            f"{module}: {name} is {text[:60]!r}, which is code that CellProfiler would run; do not use this pipeline "
            "unless you know its origin, and take the code out"
        ) from error
    if not isinstance(value, ATTRIBUTES[name]):
        raise ScreenError(f"{module}: {name} is {text[:60]!r}, not {ATTRIBUTES[name].__name__}; export it again")
    return value


def format_pipeline(modules: Sequence[PipelineModule]) -> str:
    """Write modules as a pipeline file.

    Parameters
    ----------
    modules : sequence of PipelineModule
        They are numbered anew.

    Returns
    -------
    str
        The settings are those of `PipelineModule.raw`, line by line. What CellProfiler would evaluate is written
        anew, without notes, so that nothing of a file's own is evaluated even where `parse_pipeline` errs.
    """
    head = (FIRST_LINE, "Version:5", "DateRevision:428", "GitHash:", f"ModuleCount:{len(modules)}")
    return "\n".join([*head, "HasImagePlaneDetails:False", ""]) + "".join(
        _format_module(module, number) for number, module in enumerate(modules, start=1)
    )


def _format_module(module: PipelineModule, number: int) -> str:
    attributes = (
        f"module_num:{number}|svn_version:'Unknown'|variable_revision_number:{module.revision}|show_window:False|"
        f"notes:[]|batch_state:array([], dtype=uint8)|enabled:{module.enabled}|wants_pause:False"
    )
    return "\n".join([f"\n{module.name}:[{attributes}]", *(f"    {line}" for line in module.raw)]) + "\n"
