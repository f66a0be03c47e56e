"""Where models of one's own lie: the folders of an environment variable, then those of a file of preferences.

Each such folder is a bundle, or a folder of bundles. A model is called what its folder is called. Nothing here fails
because a folder or the file is missing, damaged or cannot be read: a cluster may have no home folder at all, and
what is wrong is told by `problem_of` and by the commands that change the file.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional, Tuple

from nucdl_core.config import from_mapping
from nucdl_core.errors import ConfigError, NucDLError
from nucdl_core.files.folders import PathLike
from nucdl_core.files.writing import make_folder, restore_folder, write_json

MODELS_VARIABLE = "NUCDL_MODELS"
"""Environment variable that names folders, parted as on the PATH."""
PREFERENCES = "preferences.json"
DESCRIPTION = "bundle.json"
"""The file that makes a folder a bundle."""


@dataclass(frozen=True)
class Preferences:
    """What a person prefers on this computer; ``preferences.json``.

    Attributes
    ----------
    model_folders : tuple of str
        Absolute paths of bundles and of folders of bundles, in the order in which they were added.
    """

    model_folders: Tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelPlace:
    """A folder in which models are looked for.

    Attributes
    ----------
    folder : Path
        Absolute: a bundle, or a folder of bundles; it need not exist.
    named_by : str
        What names it: `MODELS_VARIABLE`, or the path of the file of preferences.
    """

    folder: Path
    named_by: str


def absolute_folder(folder: PathLike) -> Path:
    """Return the full path of a folder as a person names it: from the current folder, or by ``~`` from the home one."""
    return Path(os.path.abspath(os.path.expanduser(folder)))


def preferences_file() -> Path:
    """Return where a person's preferences are kept, by the habits of the operating system; it need not exist.

    Relative where the account has no folder for settings: then there are none.
    """
    # A dependency of the engine that knows these habits. Imported late, since it is needed for this only.
    import click

    return Path(click.get_app_dir("nucdl"), PREFERENCES)


def read_preferences() -> Preferences:
    """Read a person's preferences; there are none where there is no file.

    Raises
    ------
    ConfigError
        If the file cannot be read or understood.
    """
    path = preferences_file()
    if not path.is_absolute():
        return Preferences()
    try:
        return from_mapping(Preferences, json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return Preferences()
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be used ({error}); repair or delete this file") from error


def model_places() -> Tuple[ModelPlace, ...]:
    """List the folders in which models are looked for beside the bundled ones, those of the variable first.

    Returns
    -------
    tuple of ModelPlace
        Each folder once. A file of preferences that cannot be used names none, see `problem_of_preferences`.
    """
    by_variable = [part for part in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if part.strip()]
    places = {absolute_folder(part): MODELS_VARIABLE for part in by_variable}
    with contextlib.suppress(ConfigError):
        for folder in read_preferences().model_folders:
            places.setdefault(Path(folder), str(preferences_file()))
    return tuple(ModelPlace(folder, named_by) for folder, named_by in places.items())


def problem_of_preferences() -> Optional[str]:
    """Say why the file of preferences cannot be used, or None where it can or is not there."""
    try:
        read_preferences()
    except ConfigError as error:
        return str(error)
    return None


def problem_of(place: ModelPlace) -> Optional[str]:
    """Say why there are no models in a place, or None where there are some."""
    if not os.path.exists(place.folder):
        return "there is no such folder; bring it back, or take it from the list"
    try:
        found = bundles_in(place.folder)
    except OSError as error:
        return f"it cannot be read ({error.strerror}); check the folder and the disk"
    return None if found else f"neither it nor a folder in it holds a {DESCRIPTION}"


def own_models() -> Tuple[Tuple[Path, ModelPlace], ...]:
    """List the folders of all own models, with the place of each, in the order in which they are looked for.

    Neither is a description read, nor are models of the same name left out.
    """
    found = []
    for place in model_places():
        try:
            found += [(folder, place) for folder in bundles_in(place.folder)]
        except OSError:
            continue
    return tuple(found)


def bundles_in(folder: Path) -> Tuple[Path, ...]:
    """List the bundles of a place: the folder itself if it is one, otherwise those in it, in alphabetical order.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    if is_bundle(folder):
        return (folder,)
    # What a run makes beside a bundle that it replaces begins with a dot.
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    return tuple(folder / name for name in names if is_bundle(folder / name))


def is_bundle(folder: Path) -> bool:
    """Tell whether a folder holds a description."""
    return os.path.isfile(folder / DESCRIPTION)


def own_model(name: str) -> Optional[Path]:
    """Find the first own model of a name, without reading it; None where there is none.

    A model that a killed training was about to replace is brought back.

    Raises
    ------
    NucDLError
        If it cannot be brought back.
    """
    if Path(name).name != name or name.startswith("."):
        return None
    for place in model_places():
        # A place that is a bundle holds no others.
        if place.folder.name == name and is_bundle(brought_back(place.folder)):
            return place.folder
        if not is_bundle(place.folder) and is_bundle(brought_back(place.folder / name)):
            return place.folder / name
    return None


def brought_back(folder: Path) -> Path:
    """Return a folder, after bringing it back where a killed run was about to replace it; see `restore_folder`."""
    # What cannot be looked at is not there, for whoever asks.
    with contextlib.suppress(OSError):
        if not folder.exists():
            restore_folder(folder)
    return folder


def add_model_folder(folder: PathLike) -> bool:
    """Add a folder to a person's preferences.

    Parameters
    ----------
    folder : str or path
        A bundle, or a folder that holds bundles or will hold some.

    Returns
    -------
    bool
        False if it was there already.

    Raises
    ------
    ConfigError
        If there is no such folder, or the file of preferences cannot be used.
    NucDLError
        If the file cannot be written.
    """
    path, preferences = absolute_folder(folder), read_preferences()
    if not path.is_dir():
        raise ConfigError(f"{path} is not a folder; give the folder of a model, or one that holds such folders")
    if str(path) in preferences.model_folders:
        return False
    _write(Preferences((*preferences.model_folders, str(path))))
    return True


def remove_model_folder(folder: PathLike) -> None:
    """Remove a folder from a person's preferences; the folder itself stays as it is, and need not exist.

    Raises
    ------
    ConfigError
        If it is not among them, or the file of preferences cannot be used.
    NucDLError
        If the file cannot be written.
    """
    path, preferences = str(absolute_folder(folder)), read_preferences()
    if path not in preferences.model_folders:
        listed = ", ".join(preferences.model_folders) or "no folder"
        raise ConfigError(
            f"{path} was not added by 'nucdl models add' (it names {listed}); a folder that {MODELS_VARIABLE} names is "
            "removed there"
        )
    _write(Preferences(tuple(each for each in preferences.model_folders if each != path)))


def _write(preferences: Preferences) -> None:
    path = preferences_file()
    if not path.is_absolute():
        raise NucDLError(
            f"this account has no home folder to keep {PREFERENCES} in (HOME or XDG_CONFIG_HOME names none); name the "
            f"folder in the environment variable {MODELS_VARIABLE} instead"
        )
    make_folder(path.parent)
    write_json(path, asdict(preferences))
