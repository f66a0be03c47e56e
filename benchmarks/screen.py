"""A simulated plate as a screen, against bare CellProfiler processes on the same lists and cores.

    .venv/bin/python benchmarks/screen.py --fields 3456 --size 520x696 --cores 2 [--pipeline pipelines/deep.cppipe]
        [--rounds 3]

Prints fields per hour, what the screen takes more than the bare processes, where that lies, and the peak memory of all
processes together. The screen is the command itself, from its start to the report; only the planning before it is told
apart. The bare processes get the same pipeline, lists, plugins and disk, as many run at once, and they check nothing.

So that the comparison is fair on a machine that does other things too: a screen of one field and a bare process come
first and do not count, so that no program and no image is read from the disk for the first time; whoever was second in
one round is first in the next; what was written is brought to the disk before the next one begins. Ratios are those of
one round, in time by the clock and in processor time, which others disturb less.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import click
import pandas as pd
from machine import describe_machine
from process_tree import Cost, cost_of

from nucdl_core.cellprofiler.headless import HeadlessRun, run_cellprofiler
from nucdl_core.files.writing import make_folder
from nucdl_core.screen.cellprofiler.planner import PlanRequest, plan_screen
from nucdl_core.screen.cellprofiler.snakemake import find_snakemake
from nucdl_core.screen.core.finish import merge_again
from nucdl_core.screen.core.merge import collect_chunks
from nucdl_core.screen.core.plan import ScreenFolder, read_chunks
from nucdl_core.simulate.plate import simulate_plate

REPOSITORY = Path(__file__).resolve().parents[1]
PLUGINS = REPOSITORY / "plugins"
LIST = Path("plate") / "load_data.csv"
BARE, SCREEN = "bare CellProfiler processes", "screen, to the report"


def run_bare_processes(folder: ScreenFolder, output: Path, cores: int) -> None:
    """Run CellProfiler on each chunk's list, so many at once, and nothing else."""

    def run(number: int) -> None:
        chunk = chunks[number]
        place = output / chunk.name
        make_folder(place)
        run_cellprofiler(HeadlessRun(folder.procedure, folder.chunk_csv(chunk), place, PLUGINS))

    chunks = read_chunks(folder)
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(run, range(len(chunks))))


def run_screen(folder: ScreenFolder, cores: int) -> None:
    """Run the command on a planned screen to its report, in a process of its own."""
    command = [sys.executable, "-c", "from nucdl_core.cli.main import main; main()", "screen", "resume"]
    options = ["--output", str(folder.root), "--cores", str(cores)]
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)


def plan(
    place: Path, name: str, pipeline: Path, image_list: Path, chunk_size: Optional[int] = None, cores: int = 1
) -> ScreenFolder:
    """Plan a screen."""
    folder = ScreenFolder(place / name)
    request = PlanRequest(pipeline, folder.root, csv=image_list, plugins=PLUGINS, chunk_size=chunk_size, cores=cores)
    plan_screen(request)
    return folder


def warm_up(place: Path, pipeline: Path) -> None:
    """Do one field in both ways, so that the programs have been read from the disk."""
    rows = (place / LIST).read_text(encoding="utf-8").splitlines()[:2]
    (place / "one.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    folder = plan(place, "one", pipeline, place / "one.csv")
    run_bare_processes(folder, place / "one_bare", 1)
    run_screen(folder, 1)


def take_turns(planned: ScreenFolder, place: Path, cores: int, rounds: int) -> Dict[str, List[Cost]]:
    """Run both ways in each round, the order alternating; the folder of the last screen is ``place / "screen"``."""
    costs: Dict[str, List[Cost]] = {BARE: [], SCREEN: []}
    folder, bare = ScreenFolder(place / "screen"), place / "bare"

    def bare_processes() -> None:
        run_bare_processes(planned, bare, cores)

    def screen() -> None:
        run_screen(folder, cores)

    ways: List[Tuple[str, Callable[[], None]]] = [(BARE, bare_processes), (SCREEN, screen)]
    for number in range(rounds):
        for path in (folder.root, bare):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(planned.root, folder.root)
        for name, way in ways if number % 2 == 0 else ways[::-1]:
            os.sync()
            costs[name].append(cost_of(way))
            print(f"round {number + 1}, {name}: {_describe(costs[name][-1])}", flush=True)
    return costs


def _describe(cost: Cost) -> str:
    memory = "" if cost.memory is None else f", peak memory of all processes {cost.memory:.0f} MiB"
    return f"{cost.wall:.1f} s, {cost.processor:.1f} processor seconds{memory}"


def compare(costs: Dict[str, List[Cost]], fields: int) -> List[Tuple[str, str]]:
    """Return the medians of each way, and the ratios, as rows of a table."""
    rows = []
    for name, each in costs.items():
        wall = statistics.median(cost.wall for cost in each)
        memory = max(cost.memory or 0 for cost in each)
        rows.append((name, f"{wall:.1f} s, {3600 * fields / wall:.0f} fields per hour"))
        rows.append(("  processor time", f"{statistics.median(cost.processor for cost in each):.1f} s"))
        rows.append(("  peak memory of all processes", f"{memory:.0f} MiB" if memory else "not known"))
    for words, part in (("by the clock", 0), ("in processor time", 1)):
        more = [100 * (screen[part] / bare[part] - 1) for bare, screen in zip(costs[BARE], costs[SCREEN])]
        rows.append((f"screen more than bare, {words}", _middle_and_range(more)))
    return rows


def _middle_and_range(percents: Sequence[float]) -> str:
    middle = f"{statistics.median(percents):.1f} %"
    return middle if len(percents) == 1 else f"{middle} ({min(percents):.1f} to {max(percents):.1f} %)"


def explain(folder: ScreenFolder, cores: int) -> List[Tuple[str, str]]:
    """Return where a finished screen's time went beside CellProfiler, as rows of a table."""
    seconds = [each.manifest.seconds for each in collect_chunks(folder)]
    inspection, checksums = (sum(each[step] for each in seconds) for step in ("inspection", "checksums"))
    largest = max(each.manifest.peak_memory_mb for each in collect_chunks(folder))
    begun = time.perf_counter()
    merge_again(folder)
    merging = time.perf_counter() - begun
    again = cost_of(lambda: run_screen(folder, cores))
    return [
        ("strict reading of the images", f"{inspection:.1f} s on {cores} cores"),
        ("checksums", f"{checksums:.1f} s on {cores} cores"),
        ("merge and report", f"{merging:.1f} s"),
        ("resume with nothing to do", f"{again.wall:.1f} s"),
        ("largest CellProfiler process", f"{largest:.0f} MiB"),
    ]


@click.command()
@click.option("--fields", default=24, show_default=True, help="Simulated fields.")
@click.option("--size", default="520x696", show_default=True, help="Height x width of a field in pixels.")
@click.option("--cores", default=2, show_default=True, help="Processes at once.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of both, in turns.")
@click.option("--chunk-size", type=int, default=None, help="Image sets per process [computed].")
@click.option("--pipeline", default=REPOSITORY / "pipelines" / "classic_basic.cppipe", type=Path, show_default=True)
@click.option("--keep", type=Path, default=None, help="Folder for everything that is written [temporary].")
def main(
    fields: int, size: str, cores: int, rounds: int, chunk_size: Optional[int], pipeline: Path, keep: Optional[Path]
) -> None:
    """Run the benchmark."""
    height, width = map(int, size.split("x"))
    place = (keep or Path(tempfile.mkdtemp(prefix="nucdl_screen_"))).absolute()
    simulate_plate(place / "plate", fields, (height, width), seed=1)
    find_snakemake()
    warm_up(place, pipeline)
    begun = time.perf_counter()
    planned = plan(place, "planned", pipeline, place / LIST, chunk_size, cores)
    planning = time.perf_counter() - begun
    costs = take_turns(planned, place, cores, rounds)
    folder = ScreenFolder(place / "screen")
    manifests = [each.manifest for each in collect_chunks(folder)]
    objects = sum(manifest.tables.get("Nuclei", 0) for manifest in manifests)
    rows = [
        ("fields", f"{fields} of {size}, {objects} nuclei, {len(manifests)} chunks, {cores} at once, {rounds} rounds"),
        ("planning", f"{planning:.1f} s"),
        *compare(costs, fields),
        *explain(folder, cores),
    ]
    print(describe_machine())
    print(pd.DataFrame(rows, columns=["what", "figure"]).to_string(index=False))
    subprocess.run(["uptime"], check=False)
    if keep is None:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
