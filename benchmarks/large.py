"""Memory and time of large images: peak memory above the image itself, and seconds per megapixel.

    .venv/bin/python benchmarks/large.py --output benchmark_output/large

Each image is laid out of one simulated field, written as an uncompressed 16-bit TIFF, and segmented by ``nucdl
segment`` in a process of its own, whose peak memory the operating system reports.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd
import tifffile
from machine import describe_machine

from nucdl_core.field import FieldConfig
from nucdl_core.simulate import simulate_field

FIELD = 1000
SIDES = (1000, 5000, 10000, 20000)
NUCDL = "import sys; from nucdl_core.cli import main; main(sys.argv[1:])"


def write_image(path: Path, side: int) -> None:
    """Repeat one field of 700 nuclei until the image is filled."""
    config = FieldConfig(size=(FIELD, FIELD), count=700, diameter=24.0, bits=16)
    field = simulate_field(config, np.random.default_rng(1)).image
    times = -(-side // FIELD)
    tifffile.imwrite(path, np.tile(field, (times, times))[:side, :side], photometric="minisblack", metadata=None)


def peak_memory_of_children() -> float:
    """Highest memory of any process that has ended, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9


def segment(image: Path, output: Path) -> float:
    """Run the command on one image; return its seconds."""
    start = time.perf_counter()
    command = [sys.executable, "-c", NUCDL, "segment", str(image), "--output", str(output)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A new folder.")
def main(output: Path) -> None:
    output.mkdir(parents=True)
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n")
    click.echo("| image | nuclei | seconds | seconds per megapixel | peak memory, GB | of it above the image |")
    click.echo("|---|---|---|---|---|---|")
    # From small to large, because the operating system tells the highest memory of all processes so far.
    for side in SIDES:
        path = output / f"{side}.tif"
        write_image(path, side)
        seconds = segment(path, output / str(side))
        nuclei = len(pd.read_csv(output / str(side) / "objects.csv", usecols=["ObjectNumber"]))
        memory, pixels = peak_memory_of_children(), side**2
        click.echo(
            f"| {side} x {side} | {nuclei} | {seconds:.0f} | {seconds / pixels * 1e6:.2f} | {memory:.2f} | "
            f"{memory - 2 * pixels / 1e9:.2f} |"
        )
        path.unlink()


if __name__ == "__main__":
    main()
