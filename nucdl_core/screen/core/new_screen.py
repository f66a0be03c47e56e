"""A new screen: whether its folder can be used, and all files of the plan, the plan itself last."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.files.writing import make_folder, write_atomically
from nucdl_core.screen.core.image_list import ImageList, write_chunks
from nucdl_core.screen.core.plan import Chunk, ScreenError, ScreenFolder, ScreenPlan, write_plan
from nucdl_core.screen.core.work import LOCK, lock_screen


def check_output(folder: ScreenFolder) -> None:
    """Refuse a folder that cannot be written or holds something other than a screen.

    Raises
    ------
    ScreenError
    """
    root = folder.root
    if root.exists() and not root.is_dir():
        raise ScreenError(f"{root} is a file; give a folder for the screen")
    existing = next(path for path in (root, *root.parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ScreenError(f"{existing} cannot be written; give another folder, or correct its permissions")
    if root.exists() and not folder.plan.exists():
        others = sorted(entry.name for entry in root.iterdir() if entry != folder.work)
        if others and not _planning_was_interrupted(folder, others):
            raise ScreenError(f"{root} holds {others[0]!r} and is not a screen; give a new or an empty folder")


def _planning_was_interrupted(folder: ScreenFolder, others: Sequence[str]) -> bool:
    """Tell whether what lies in a folder without a plan was written by a planning that did not end."""
    ours = {folder.chunks.name, folder.procedure.name}
    return (folder.work / LOCK).exists() and all(name in ours or name.endswith(".tmp") for name in others)


def write_screen(
    folder: ScreenFolder,
    plan: ScreenPlan,
    images: ImageList,
    cut: Tuple[NDArray[np.int64], List[Chunk]],
    procedure: str,
) -> None:
    """Write all files of a plan, the plan itself last.

    Parameters
    ----------
    folder : ScreenFolder
        Without a plan.
    plan : ScreenPlan
    images : ImageList
    cut : (int64 array (N,), list of Chunk)
        See `image_list.cut_into_chunks`.
    procedure : str
        Text of the file that says what is done to each image set.

    Raises
    ------
    ScreenError
        If the list was changed meanwhile, or another run holds the folder.
    NucDLError
        If a file cannot be written.
    """
    content = procedure.encode("utf-8")
    with lock_screen(folder):
        _clear_interrupted(folder)
        make_folder(folder.chunks)
        write_chunks(images, cut[0], cut[1], folder)
        write_atomically(folder.procedure, lambda stream: stream.write(content))
        write_plan(folder, plan)


def _clear_interrupted(folder: ScreenFolder) -> None:
    """Take out what an interrupted planning has left."""
    if folder.chunks.exists():
        shutil.rmtree(folder.chunks)
    leftovers: List[Path] = [folder.procedure, *folder.root.glob(".*.tmp")]
    for path in leftovers:
        path.unlink(missing_ok=True)
