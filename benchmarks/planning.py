"""Planning large screens: seconds and memory for lists of image sets whose files exist, without CellProfiler's part.

    .venv/bin/python benchmarks/planning.py --output benchmark_output/planning 50000 1000000

CellProfiler's check of the pipeline comes once on top, whatever the size of the list. Files are empty: planning looks
up whether they exist, it does not open them.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import click

from nucdl_core.screen.cellprofiler.planner import USUAL_COSTS, chunk_size
from nucdl_core.screen.core.image_list import cut_into_chunks, scan_list, write_chunks
from nucdl_core.screen.core.plan import ScreenFolder

SITES, WELLS = 9, 384


def make_list(folder: Path, image_sets: int) -> Path:
    """Make empty image files, a folder for each plate, and the list of them."""
    folder.mkdir(parents=True)
    lines = ["Image_FileName_DNA,Image_PathName_DNA,Metadata_Plate,Metadata_Well,Metadata_Site"]
    for number in range(image_sets):
        plate, place = divmod(number, WELLS * SITES)
        well, site = divmod(place, SITES)
        words = f"P{plate:04d}", f"{chr(65 + well // 24)}{well % 24 + 1:02d}", site + 1
        images = folder / words[0]
        if place == 0:
            images.mkdir()
        name = "{}_{}_s{}_w1.tif".format(*words)
        (images / name).touch()
        lines.append(",".join([name, str(images), *map(str, words)]))
    path = folder / "list.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def peak_memory() -> float:
    """Peak memory of this process in MB; Linux counts a parent's in what `resource` tells."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def plan(path: Path, grouping: list[str]) -> None:
    """In a process of its own: check the list and write the chunks; print what it took."""
    start, cpu = time.perf_counter(), time.process_time()
    images = scan_list(path, grouping)
    scanned = time.perf_counter()
    size = chunk_size(USUAL_COSTS, len(images.starts))
    order, chunks = cut_into_chunks(images.groups, bool(grouping), size)
    folder = ScreenFolder(path.parent / f"screen_{'_'.join(grouping)}")
    folder.chunks.mkdir(parents=True)
    write_chunks(images, order, chunks, folder)
    end, cpu = time.perf_counter(), time.process_time() - cpu
    memory = peak_memory()
    print(
        f"| {len(images.starts):,} | {', '.join(grouping) or 'none'} | {len(chunks):,} | {scanned - start:.1f} | "
        f"{end - scanned:.1f} | {cpu:.1f} | {memory:.0f} |"
    )


@click.command()
@click.argument("image_sets", nargs=-1, type=int, required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--child", default=None, hidden=True)
def main(image_sets: tuple[int, ...], output: Path, child: str | None) -> None:
    if child is not None:
        plan(output / f"{image_sets[0]}" / "list.csv", child.split(",") if child else [])
        return
    from machine import describe_machine

    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n")
    click.echo("| image sets | grouped by | chunks | checking, s | writing, s | processor, s | memory, MB |")
    click.echo("|---|---|---|---|---|---|---|")
    for count in image_sets:
        make_list(output / f"{count}", count)
        for grouping in ("", "Plate,Well"):
            command = [sys.executable, __file__, str(count), "--output", str(output), "--child", grouping]
            click.echo(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


if __name__ == "__main__":
    main()
