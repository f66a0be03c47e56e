"""Memory and time of large images: peak memory above the image itself, and seconds per megapixel.

    .venv/bin/python benchmarks/large.py --output benchmark_output/large

Each image is laid out of one simulated field, written as an uncompressed 16-bit TIFF, and segmented by ``nucdl
segment`` in a process of its own. Its peak memory is the highest resident set that the operating system has seen: its
own memory and what it has mapped of files. Where there is ``/proc`` (Linux), the highest memory of its own alone, which
no file backs, is sampled as well.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Tuple

import click
import numpy as np
import pandas as pd
import tifffile
from machine import describe_machine

from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

FIELD = 1000
SIDES = (1000, 5000, 10000, 20000)
NUCDL = "import sys; from nucdl_core.cli.main import main; main(sys.argv[1:])"
SECONDS_BETWEEN_SAMPLES = 0.05


@dataclass(frozen=True)
class Run:
    """One segmentation: seconds, highest resident set and highest own memory (None where it is not told) in GB."""

    seconds: float
    peak: float
    own: Optional[float]


def write_image(path: Path, side: int) -> None:
    """Repeat one field of 700 nuclei until the image is filled."""
    config = FieldConfig(size=(FIELD, FIELD), count=700, diameter=24.0, bits=16)
    field = simulate_field(config, np.random.default_rng(1)).image
    times = -(-side // FIELD)
    tifffile.imwrite(path, np.tile(field, (times, times))[:side, :side], photometric="minisblack", metadata=None)


def own_memory(process: int) -> float:
    """Memory of a running process that no file backs, in GB; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) * 1024 / 1e9
    return 0.0


def segment(image: Path, output: Path) -> Run:
    """Run the command on one image."""
    start, own = time.perf_counter(), 0.0
    command = [sys.executable, "-c", NUCDL, "segment", str(image), "--output", str(output)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    ended = 0
    while not ended:
        own = max(own, own_memory(process.pid))
        time.sleep(SECONDS_BETWEEN_SAMPLES)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise click.ClickException(f"nucdl segment ended with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(time.perf_counter() - start, usage.ru_maxrss * unit / 1e9, own or None)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--sides", "-s", multiple=True, type=int, default=SIDES, show_default=True, help="Of images, in pixels.")
def main(output: Path, sides: Tuple[int, ...]) -> None:
    output.mkdir(parents=True)
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n")
    click.echo("| image | nuclei | seconds | seconds per megapixel | peak memory, GB | above the image | own memory |")
    click.echo("|---|---|---|---|---|---|---|")
    for side in sides:
        path = output / f"{side}.tif"
        write_image(path, side)
        run = segment(path, output / str(side))
        nuclei = len(pd.read_csv(output / str(side) / "objects.csv", usecols=["ObjectNumber"]))
        own = "" if run.own is None else f"{run.own:.2f}"
        click.echo(
            f"| {side} x {side} | {nuclei} | {run.seconds:.0f} | {run.seconds / side**2 * 1e6:.2f} | {run.peak:.2f} | "
            f"{run.peak - 2 * side**2 / 1e9:.2f} | {own} |"
        )
        path.unlink()


if __name__ == "__main__":
    main()
