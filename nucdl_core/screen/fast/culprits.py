"""Image sets that the process of the fast path dies of, kept in the folder of the screen: they are not tried again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict

from nucdl_core.screen.core.plan import ScreenError, ScreenFolder

CULPRITS = "blamed.json"
"""Earlier versions wrote this file as well, in which each image set has only the words of its reason."""


@dataclass(frozen=True)
class Culprit:
    """Why an image set is not tried again.

    Attributes
    ----------
    reason : str
        How the process died of it.
    reading : bool
        Whether that was while its image was read.
    """

    reason: str
    reading: bool = False


def read_culprits(folder: ScreenFolder) -> Dict[int, Culprit]:
    """Return the global numbers of the image sets that are not tried again, and why.

    Raises
    ------
    ScreenError
        If the file was altered.
    """
    path = _place(folder)
    try:
        return {int(number): _parse(value) for number, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ScreenError(f"{path} cannot be understood ({error}); delete it and repeat the command") from error


def _parse(value: Any) -> Culprit:
    return Culprit(value) if isinstance(value, str) else Culprit(str(value["reason"]), bool(value["reading"]))


def add_culprits(folder: ScreenFolder, found: Dict[int, Culprit]) -> None:
    """Remember image sets by their global numbers.

    Raises
    ------
    NucDLError
        If they cannot be written.
    """
    # Late, so that the process that watches stays small.
    from nucdl_core.files.writing import write_json

    values: Dict[str, Any] = {}
    for number, culprit in {**read_culprits(folder), **found}.items():
        values[str(number)] = {"reason": culprit.reason, "reading": True} if culprit.reading else culprit.reason
    write_json(_place(folder), values)


def forget_culprits(folder: ScreenFolder) -> None:
    """Forget all, so that they are tried again."""
    _place(folder).unlink(missing_ok=True)


def _place(folder: ScreenFolder) -> Path:
    return folder.work / CULPRITS
