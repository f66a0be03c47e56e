"""Image sets that the process of the fast path dies of, kept in the folder of the screen: they are not tried again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict

from nucdl_core.screen.core.plan import ScreenError, ScreenFolder

BLAME = "blamed.json"


def read_blame(folder: ScreenFolder) -> Dict[int, str]:
    """Return the global numbers of the image sets that are to blame, and how the process died of each.

    Raises
    ------
    ScreenError
        If the file was altered.
    """
    path = _place(folder)
    try:
        return {int(number): str(how) for number, how in json.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise ScreenError(f"{path} cannot be understood ({error}); delete it and repeat the command") from error


def add_blame(folder: ScreenFolder, number: int, how: str) -> None:
    """Remember an image set by its global number.

    Raises
    ------
    NucDLError
        If it cannot be written.
    """
    # Late, so that the process that watches stays small.
    from nucdl_core.files.writing import write_json

    write_json(_place(folder), {str(each): words for each, words in {**read_blame(folder), number: how}.items()})


def forget_blame(folder: ScreenFolder) -> None:
    """Forget all, so that they are tried again."""
    _place(folder).unlink(missing_ok=True)


def _place(folder: ScreenFolder) -> Path:
    return folder.work / BLAME
