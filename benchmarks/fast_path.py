"""The fast path on a simulated plate, beside `nucdl segment FILES` and, on request, a screen with CellProfiler.

    .venv/bin/python benchmarks/fast_path.py --fields 384 --size 520x696 [--workers 1 --workers 2] [--screen]

Prints fields per hour, nuclei, and the peak memory of each way, every one in a process of its own that also loads the
model; the fast path's time includes checks, hashes, merge and report.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import click
import pandas as pd
from machine import describe_machine

from nucdl_core.simulate.plate import simulate_plate

REPOSITORY = Path(__file__).resolve().parents[1]
PIPELINE = REPOSITORY / "pipelines" / "deep.cppipe"


def timed(*arguments: object) -> float:
    """Run a command of NucDL; return its seconds."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", "from nucdl_core.cli.main import main; main()", *map(str, arguments)]
    subprocess.run(command, check=True, cwd=REPOSITORY)
    return time.perf_counter() - begun


def fast_path(plate: Path, output: Path, options: Sequence[object]) -> Tuple[float, int, float]:
    """Return seconds, nuclei, and peak memory in MiB of the fast path."""
    seconds = timed("segment", "--csv", plate / "load_data.csv", "--output", output, *options)
    report = json.loads((output / "merged" / "run_report.json").read_text(encoding="utf-8"))
    return seconds, int(sum(well["nuclei"] or 0 for well in report["wells"])), report["peak_memory_mb"]


def files_one_by_one(plate: Path, output: Path, options: Sequence[object]) -> Tuple[float, int]:
    """Return seconds and nuclei of the command for files."""
    seconds = timed("segment", plate / "images", "--output", output, *options)
    return seconds, len(pd.read_csv(output / "objects.csv"))


@click.command()
@click.option("--fields", default=24, show_default=True, help="Simulated fields.")
@click.option("--size", default="520x696", show_default=True, help="Height x width of a field in pixels.")
@click.option("--workers", type=int, multiple=True, help="Of the fast path, may be repeated [its own choice].")
@click.option("--labels", default="tiff", show_default=True, help="Label images of the fast path.")
@click.option("--device", default="auto", show_default=True, help="Where to compute.")
@click.option("--screen", is_flag=True, help="Also a screen with the pipeline deep.cppipe, on two cores.")
@click.option("--keep", type=Path, default=None, help="Folder for everything that is written [temporary].")
def main(
    fields: int, size: str, workers: Sequence[int], labels: str, device: str, screen: bool, keep: Optional[Path]
) -> None:
    """Run the benchmark."""
    height, width = map(int, size.split("x"))
    place = (keep or Path(tempfile.mkdtemp(prefix="nucdl_fast_"))).absolute()
    plate = place / "plate"
    simulate_plate(plate, fields, (height, width), seed=1)
    rows: List[Tuple[str, float, int, str]] = []
    seconds, nuclei = files_one_by_one(plate, place / "files", ["--device", device])
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    rows.append(("nucdl segment FILES", seconds, nuclei, f"{memory:.0f}"))
    for count in workers or [None]:
        options = ["--device", device, "--labels", labels, *([] if count is None else ["--workers", count])]
        seconds, nuclei, memory = fast_path(plate, place / f"fast_{count}", options)
        rows.append((f"nucdl segment --csv, workers: {count or 'chosen'}", seconds, nuclei, f"{memory:.0f}"))
        again = timed("segment", "--csv", plate / "load_data.csv", "--output", place / f"fast_{count}", *options)
        rows.append(("  the same command again, all done", again, nuclei, ""))
    if screen:
        options = ["--csv", plate / "load_data.csv", "--plugins", REPOSITORY / "plugins", "--cores", 2]
        seconds = timed("screen", "run", PIPELINE, "--output", place / "screen", *options)
        nuclei = len(pd.read_csv(place / "screen" / "merged" / "Nuclei.csv", usecols=["ImageNumber"]))
        rows.append(("nucdl screen run deep.cppipe", seconds, nuclei, ""))
    print(describe_machine())
    table = pd.DataFrame(rows, columns=["what", "seconds", "nuclei", "peak MiB"])
    table.insert(2, "fields per hour", (3600 * fields / table["seconds"]).round().astype(int))
    print(f"{fields} fields of {size}\n{table.round(1).to_string(index=False)}")
    subprocess.run(["uptime"], check=False)
    if keep is None:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
