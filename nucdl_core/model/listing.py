"""All models that can be used on this computer, and why others that lie there cannot.

The window asks at every key press: only descriptions are read, each once as long as it stays as it is.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple

from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import BundleDescription, find_bundle, list_bundles, read_description
from nucdl_core.model.places import DESCRIPTION, own_models
from nucdl_core.model.registry import family_of

BUNDLED = "NucDL"


@dataclass(frozen=True)
class ListedModel:
    """A model that lies where models are looked for.

    Attributes
    ----------
    name : str
        That of its folder, by which `bundle.find_bundle` finds it.
    folder : Path
    named_by : str
        "NucDL" for a bundled model, otherwise what names its place, see `places.ModelPlace`.
    problem : str or None
        Why it cannot be used by its name.
    """

    name: str
    folder: Path
    named_by: str
    problem: Optional[str] = None


def list_models() -> Tuple[ListedModel, ...]:
    """List the models of this computer: the bundled ones, then own ones in the order in which they are looked for.

    Returns
    -------
    tuple of ListedModel
        Also those that cannot be used. The same folder is listed once.
    """
    folders = [(find_bundle(name), BUNDLED) for name in list_bundles()]
    folders += [(folder, place.named_by) for folder, place in own_models()]
    first: Dict[str, Path] = {}
    seen: Set[str] = set()
    models: List[ListedModel] = []
    for folder, named_by in folders:
        real = os.path.realpath(folder)
        if real in seen and folder.name == Path(real).name:
            continue
        seen.add(real)
        before = first.setdefault(folder.name, folder)
        problem = problem_of_model(folder) if before == folder else _hidden_by(before)
        models.append(ListedModel(folder.name, folder, named_by, problem))
    return tuple(models)


def problem_of_model(folder: Path) -> Optional[str]:
    """Say why a model cannot be used, as far as its description and the presence of its files tell; None if it can."""
    if not folder.name.isprintable() or folder.name != folder.name.strip():
        return f"a pipeline cannot hold the name {folder.name!r}; rename its folder"
    try:
        status = os.stat(folder / DESCRIPTION)
        return _problem(folder, (status.st_size, status.st_mtime_ns), os.stat(folder).st_mtime_ns)
    except OSError as error:
        return f"{folder / DESCRIPTION} cannot be read ({error.strerror}); check the folder and the disk"


@functools.lru_cache(maxsize=1024)
def _problem(folder: Path, description_stamp: Tuple[int, int], folder_time: int) -> Optional[str]:
    try:
        description: BundleDescription = read_description(folder)
        family_of(description.family)
    except BundleError as error:
        return str(error)
    missing = [name for name in description.files if not os.path.isfile(folder / name)]
    return f"{folder / missing[0]} is missing; copy the model again" if missing else None


def _hidden_by(folder: Path) -> str:
    return f"{folder} has the same name and comes first; rename one of the two folders, or give the path of this one"
