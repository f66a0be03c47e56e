"""A folder from which NucDL is installed on a computer without internet."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import make_folder, write_bytes

SNAKEMAKE = "snakemake>=9"
_INSTALL = """#!/bin/sh
# Makes an environment of NucDL in the folder TARGET, without internet: sh install.sh TARGET
# Made for Python {version} on {system}. PYTHON=path chooses the Python.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${{1:?"sh install.sh TARGET: the folder of the new environment is missing"}}
python=${{PYTHON:-python{version}}}
make() {{
    "$python" -m venv "$1"
    "$1/bin/python" -m pip install --no-index --find-links "$here/wheels" --disable-pip-version-check --quiet "$2"
}}
make "$target" '{requirement}'
{snakemake}echo "NucDL is in $target. Next: $target/bin/nucdl doctor, $target/bin/nucdl plugins install FOLDER"
"""
_SNAKEMAKE_TOO = """make "$target-snakemake" '{requirement}'
echo "Screens: export NUCDL_SNAKEMAKE=$target-snakemake/bin/snakemake"
"""


@dataclass(frozen=True)
class OfflineBundle:
    """What is collected.

    Attributes
    ----------
    folder : Path
        Made if it is not there.
    wheel : Path
        NucDL's own.
    extras : str
        Of NucDL, parted by commas; "" for none.
    index : str or None
        A further index of packages, for PyTorch's builds.
    snakemake : bool
        Whether the environment for screens by CellProfiler is collected as well.
    """

    folder: Path
    wheel: Path
    extras: str = ""
    index: Optional[str] = None
    snakemake: bool = False


def collect_wheels(bundle: OfflineBundle) -> Tuple[int, float]:
    """Collect the wheels and write ``install.sh``.

    Parameters
    ----------
    bundle : OfflineBundle

    Returns
    -------
    count : int
        How many wheels there are.
    megabytes : float
        How large they are together.

    Raises
    ------
    NucDLError
        If pip cannot fetch them, with its last line.
    """
    wheels = bundle.folder / "wheels"
    make_folder(wheels)
    named = f"[{bundle.extras}]" if bundle.extras else ""
    _fetch(wheels, f"{bundle.wheel.absolute()}{named}", bundle.index)
    shutil.copy(bundle.wheel, wheels)
    if bundle.snakemake:
        _fetch(wheels, SNAKEMAKE, None)
    text = _INSTALL.format(
        version=f"{sys.version_info[0]}.{sys.version_info[1]}",
        system=f"{platform.system()} {platform.machine()}",
        requirement=f"nucdl{named}",
        snakemake=_SNAKEMAKE_TOO.format(requirement=SNAKEMAKE) if bundle.snakemake else "",
    )
    write_bytes(bundle.folder / "install.sh", text.encode("utf-8"))
    sizes = [path.stat().st_size for path in wheels.glob("*.whl")]
    return len(sizes), sum(sizes) / 1e6


def _fetch(wheels: Path, requirement: str, index: Optional[str]) -> None:
    """Let pip collect a package and all that it needs; what has no wheel is built."""
    further: List[str] = [] if index is None else ["--extra-index-url", index]
    command = [sys.executable, "-m", "pip", "wheel", "--wheel-dir", str(wheels), *further, requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise NucDLError(f"pip cannot fetch {requirement}: {last}; is there internet, and a pip in {sys.executable}?")
