"""A simulated plate as a screen, against bare CellProfiler processes on the same lists and cores.

    .venv/bin/python benchmarks/screen.py --fields 3456 --size 520x696 --cores 2 [--pipeline pipelines/deep.cppipe]

Prints fields per hour, what checking, publishing and merging cost beside the bare processes, the peak memory, the time
of a resume that finds everything done, and that of a merge. The bare processes run first and write to the same disk;
they check nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List

import click
import pandas as pd
from machine import describe_machine

from nucdl_core.files import make_folder
from nucdl_core.headless import HeadlessRun, run_cellprofiler
from nucdl_core.plate import simulate_plate
from nucdl_core.screen.engine import EngineOptions, find_snakemake
from nucdl_core.screen.merge import collect_chunks
from nucdl_core.screen.plan import ScreenFolder, read_chunks
from nucdl_core.screen.planner import PlanRequest, plan_screen
from nucdl_core.screen.run import finish_screen, merge_again

REPOSITORY = Path(__file__).resolve().parents[1]
PLUGINS = REPOSITORY / "plugins"


def seconds_of_bare_processes(folder: ScreenFolder, output: Path, cores: int) -> float:
    """Run CellProfiler on each chunk's list, so many at once, and nothing else."""

    def run(number: int) -> None:
        chunk = chunks[number]
        place = output / chunk.name
        make_folder(place)
        run_cellprofiler(HeadlessRun(folder.pipeline, folder.chunk_csv(chunk), place, PLUGINS))

    chunks = read_chunks(folder)
    begun = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(run, range(len(chunks))))
    return time.perf_counter() - begun


def seconds_of(command: object, *arguments: object) -> float:
    """Time one call."""
    begun = time.perf_counter()
    command(*arguments)  # type: ignore[operator]
    return time.perf_counter() - begun


@click.command()
@click.option("--fields", default=24, show_default=True, help="Simulated fields.")
@click.option("--size", default="520x696", show_default=True, help="Height x width of a field in pixels.")
@click.option("--cores", default=2, show_default=True, help="Processes at once.")
@click.option("--chunk-size", type=int, default=None, help="Image sets per process [computed].")
@click.option("--pipeline", default=REPOSITORY / "pipelines" / "classic_basic.cppipe", type=Path, show_default=True)
@click.option("--keep", type=Path, default=None, help="Folder for everything that is written [temporary].")
def main(fields: int, size: str, cores: int, chunk_size: int, pipeline: Path, keep: Path) -> None:
    """Run the benchmark."""
    height, width = map(int, size.split("x"))
    place = keep or Path(tempfile.mkdtemp(prefix="nucdl_screen_"))
    simulate_plate(place / "plate", fields, (height, width), seed=1)
    folder = ScreenFolder(place.absolute() / "screen")
    request = PlanRequest(
        pipeline, folder.root, csv=place / "plate" / "load_data.csv", plugins=PLUGINS, chunk_size=chunk_size
    )
    planning = seconds_of(plan_screen, request)
    find_snakemake()
    bare = seconds_of_bare_processes(folder, place / "bare", cores)
    options = EngineOptions(cores=cores)
    whole = seconds_of(finish_screen, folder, options)
    again = seconds_of(finish_screen, folder, options)
    merging = seconds_of(merge_again, folder)
    manifests = [each.manifest for each in collect_chunks(folder)]
    checks = sum(manifest.seconds["inspection"] + manifest.seconds["checksums"] for manifest in manifests)
    objects = sum(manifest.tables.get("Nuclei", 0) for manifest in manifests)
    rows: List[tuple[str, str]] = [
        ("fields", f"{fields} of {size}, {objects} nuclei, {len(manifests)} chunks, {cores} at once"),
        ("planning", f"{planning:.1f} s"),
        ("bare CellProfiler processes", f"{bare:.1f} s, {3600 * fields / bare:.0f} fields per hour"),
        ("screen, to the report", f"{whole:.1f} s, {3600 * fields / whole:.0f} fields per hour"),
        ("more than the bare processes", f"{100 * (whole / bare - 1):.1f} %"),
        ("of that: strict reading and hashes", f"{checks / cores:.1f} s on {cores} cores"),
        ("of that: merge and report", f"{merging:.1f} s"),
        ("resume with nothing to do", f"{again:.1f} s"),
        ("largest CellProfiler process", f"{max(manifest.peak_memory_mb for manifest in manifests):.0f} MiB"),
    ]
    print(describe_machine())
    print(pd.DataFrame(rows, columns=["what", "figure"]).to_string(index=False))
    subprocess.run(["uptime"], check=False)
    if keep is None:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
