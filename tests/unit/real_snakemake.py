"""The real Snakemake, for tests that run it."""

import subprocess
from pathlib import Path

import pytest

from nucdl_core.screen.cellprofiler.snakemake import find_snakemake
from nucdl_core.screen.core.plan import ScreenError

REPOSITORY = Path(__file__).resolve().parents[2]


def need_snakemake():
    """Make the environment of Snakemake where there is none yet; skip the test where that is not possible."""
    try:
        find_snakemake()
    except ScreenError:
        command = ["bash", str(REPOSITORY / "tools" / "install.sh"), "screen"]
        made = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if made.returncode != 0:
            pytest.skip(f"there is no Snakemake, and it cannot be installed: {(made.stderr or made.stdout)[-300:]}")
        find_snakemake()
