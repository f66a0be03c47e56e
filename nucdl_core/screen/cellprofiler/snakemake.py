"""Snakemake: where it is found, and the command line that runs the jobs of a screen or a study."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional

from nucdl_core.config import require
from nucdl_core.screen.core.plan import ScreenError

SNAKEMAKE_VARIABLE = "NUCDL_SNAKEMAKE"
OWN_ENVIRONMENT = ".venv-screen"
"""Folder of the environment that a clone of the repository makes for Snakemake, beside the one of this Python."""
OLDEST_SNAKEMAKE = 9
CONFIGURATION = "workflow.json"
_HOW_TO_INSTALL = (
    f"install it: 'make screen' in a clone of the repository, otherwise pip install 'snakemake>={OLDEST_SNAKEMAKE}' "
    f"into a Python of its own (3.11 or later), and name its command with {SNAKEMAKE_VARIABLE}=path"
)


@dataclass(frozen=True)
class EngineOptions:
    """Where and how the jobs run: chunks of a screen, or trainings of a study.

    Attributes
    ----------
    cores : int or None
        Processes at once on this computer; None takes all cores, or leaves it to the profile.
    profile : str or None
        Snakemake profile (name or folder) that sends the jobs to a cluster or a cloud.
    gpus : int
        GPUs that there are; each job then holds one, on this computer for itself. 0 declares none.
    retries : int
        How often a job that fails is tried again.
    """

    cores: Optional[int] = None
    profile: Optional[str] = None
    gpus: int = 0
    retries: int = 1

    def __post_init__(self) -> None:
        require(self.cores is None or self.cores >= 1, f"the number of cores is {self.cores}; give at least 1")
        require(self.gpus >= 0, f"the number of GPUs is {self.gpus}; give 0 or more")
        require(self.retries >= 0, f"the number of retries is {self.retries}; give 0 or more")


def snakemake_command(snakemake: Path, snakefile: Path, work: Path, options: EngineOptions) -> List[str]:
    """Make Snakemake's command line, for a workflow in a folder that holds its `CONFIGURATION`.

    Its own lock is off, since ours also goes away with a killed process, and results are judged by us alone.
    """
    command = [str(snakemake), "--snakefile", str(snakefile), "--directory", str(work)]
    command += ["--configfile", str(work / CONFIGURATION), "--nolock", "--keep-going", "--rerun-incomplete"]
    command += ["--rerun-triggers", "mtime", "--nocolor"]
    if options.profile is not None:
        command += ["--profile", options.profile]
    if options.profile is None or options.cores is not None:
        command += ["--cores", str(options.cores or os.cpu_count() or 1)]
    if options.gpus:
        command += ["--resources", f"gpu={options.gpus}"]
    return command


def find_profile(profile: str) -> str:
    """Find a Snakemake profile, so that one that is missing is told before anything else is done.

    Parameters
    ----------
    profile : str
        A folder with a ``config.yaml`` (or such a file), or the name of one in this folder or in Snakemake's own.

    Returns
    -------
    str
        Its absolute path.

    Raises
    ------
    ScreenError
        If it is nowhere, naming where it was looked for.
    """
    places = [Path(profile).expanduser().absolute()]
    if os.sep not in profile:
        places += [folder / "snakemake" / profile for folder in _configuration_folders()]
    for place in places:
        if place.is_file() or any(place.glob("config*.yaml")):
            return str(place)
    looked = ", ".join(map(str, places))
    raise ScreenError(f"there is no Snakemake profile {profile!r}: no config.yaml in {looked}; correct name or folder")


def _configuration_folders() -> Iterator[Path]:
    """Yield where programs keep the settings of a person and of a computer, as Snakemake looks for them."""
    yield Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    if sys.platform == "darwin":
        yield from (root / "Library" / "Application Support" for root in (Path.home(), Path("/")))
    yield from (Path(each) for each in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep) if each)


def last_line(log: Path) -> str:
    """Return the last line of a log, and where the log is."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"{lines[-1] if lines else 'nothing was logged'}; see {log}"


def find_snakemake() -> Path:
    """Find Snakemake: where NUCDL_SNAKEMAKE points, or else the first one of `snakemake_places`.

    Raises
    ------
    ScreenError
        If there is none, or it is older than version 9; with the command that installs it.
    """
    given = os.environ.get(SNAKEMAKE_VARIABLE)
    if given:
        return _checked(Path(given))
    found = next((place for place in snakemake_places() if place.exists()), None)
    if found is None:
        raise ScreenError(f"there is no Snakemake, which runs the jobs of screens and studies; {_HOW_TO_INSTALL}")
    return _checked(found)


def snakemake_places() -> Iterator[Path]:
    """Yield where Snakemake may lie: beside this Python, in the environment beside that of this Python, on the PATH."""
    environment = Path(sys.prefix)
    yield environment / "bin" / "snakemake"
    yield environment.parent / OWN_ENVIRONMENT / "bin" / "snakemake"
    on_path = shutil.which("snakemake")
    if on_path:
        yield Path(on_path)


def _checked(snakemake: Path) -> Path:
    try:
        done = subprocess.run([str(snakemake), "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ScreenError(
            f"there is no Snakemake at {snakemake} ({error.strerror}), which runs the jobs of screens and studies; "
            f"{_HOW_TO_INSTALL}"
        ) from error
    found = re.match(r"(\d+)\.", done.stdout.strip())
    if found is None or int(found.group(1)) < OLDEST_SNAKEMAKE:
        lines = (done.stdout or done.stderr).strip().splitlines() or ["of an unknown version"]
        raise ScreenError(
            f"{snakemake} is Snakemake {lines[-1]}; {OLDEST_SNAKEMAKE} or later is needed; {_HOW_TO_INSTALL}"
        )
    return snakemake
