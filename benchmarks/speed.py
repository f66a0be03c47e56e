"""Time of IdentifyNucleiDL beside IdentifyPrimaryObjects, in one process, in turn, on the same images.

    .venv/bin/python benchmarks/speed.py [--check docs/speed.json | --record docs/speed.json]

Images are simulated. Prints medians, ratios and where the time goes, as tables for the documentation. `--record` keeps
the ratios; `--check` compares with those that were kept and fails, saying what got slower, where one has grown by more
than a third: ratios of one run vary by a quarter on shared machines.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import click
import numpy as np
import torch
from machine import describe_machine
from timing import (
    CLASSIC,
    DEEP,
    Modules,
    Times,
    bandwidth,
    best_seconds,
    cold_start,
    matrix_rate,
    network_features,
    network_operations,
    stages,
    take_turns,
)

from nucdl_core.arrays import AnyArray
from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.loading import load_map_model
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

SLOWER = 4 / 3
NETWORK_SIDE = 512


class Case(NamedTuple):
    """An image to be timed, and how often."""

    height: int
    width: int
    nuclei: int
    bits: int
    turns: int
    presets: int = 1

    @property
    def name(self) -> str:
        """What tables and records call it."""
        return f"{self.height} x {self.width}, {self.nuclei} nuclei, {self.bits} bit"


CASES = (
    Case(520, 696, 200, 16, 9, presets=3),
    Case(520, 696, 200, 8, 5),
    Case(1080, 1080, 800, 16, 5, presets=3),
    Case(2160, 2160, 100, 16, 3),
    Case(2160, 2160, 1000, 16, 3),
    Case(2160, 2160, 3000, 16, 3, presets=3),
    Case(2160, 2160, 5000, 16, 3),
)
# Those of which the stages are listed.
STAGED = tuple(case for case in CASES if case.presets > 1)


def make_image(case: Case) -> AnyArray:
    """Simulate a field whose nuclei are as large as so many usually are."""
    config = FieldConfig(size=(case.height, case.width), count=case.nuclei, diameter=24.0, bits=case.bits)
    return simulate_field(config, np.random.default_rng(1)).image


def time_case(modules: Modules, case: Case) -> Dict[str, Times]:
    """Time the modules on the image of a case, as CellProfiler hands it to them."""
    image = make_image(case)
    pixels = image.astype(np.float32) / np.iinfo(image.dtype).max
    return take_turns(modules, [CLASSIC, *list(DEEP.values())[: case.presets]], pixels, case.turns)


def time_modules(modules: Modules) -> Dict[str, float]:
    """Print the table of modules; return the ratio of each row."""
    click.echo(
        "| image | preset | nuclei (classic, deep) | classic s | deep s | wall time, ratio | processor time, ratio |"
    )
    click.echo("|---|---|---|---|---|---|---|")
    ratios = {}
    for case in CASES:
        classic, *deep = time_case(modules, case).values()
        for preset, times in zip(DEEP.values(), deep):
            ratio = times.wall / classic.wall
            ratios[f"{case.name}, {preset}"] = round(ratio, 3)
            click.echo(
                f"| {case.name} | {preset} | {classic.nuclei}, {times.nuclei} | {classic.wall:.2f} | "
                f"{times.wall:.2f} | {ratio:.2f} | {times.processor / classic.processor:.2f} |"
            )
    return ratios


def time_threads(modules: Modules) -> None:
    """Print the times of the first case with one thread and with all."""
    click.echo("\n| threads | classic s | deep s | ratio |\n|---|---|---|---|")
    threads = torch.get_num_threads()
    for number in sorted({1, threads}):
        torch.set_num_threads(number)
        times = time_case(modules, CASES[0])
        classic, deep = times[CLASSIC].wall, times["fast"].wall
        click.echo(f"| {number} | {classic:.2f} | {deep:.2f} | {deep / classic:.2f} |")
    torch.set_num_threads(threads)


def show_stages() -> None:
    """Print where the time goes."""
    parts = {case.name: stages(make_image(case), case.turns) for case in STAGED}
    click.echo(f"\n| stage, ms | {' | '.join(parts)} |\n|---{'|---' * len(parts)}|")
    for stage in next(iter(parts.values())):
        click.echo(f"| {stage} | {' | '.join(f'{part[stage]:.0f}' for part in parts.values())} |")
    totals = {name: sum(part.values()) for name, part in parts.items()}
    after = {name: 1 - sum(list(part.values())[:4]) / totals[name] for name, part in parts.items()}
    click.echo(f"| share after the network | {' | '.join(f'{share:.0%}' for share in after.values())} |")


def show_floor() -> None:
    """Print how far the network is above the time that its operations would take as matrix products.

    And how long its features would take to be moved to and from memory, if no cache held any of them.
    """
    predictor = load_map_model(find_bundle(DEFAULT_MODEL), "cpu")
    operations, rate = network_operations() * NETWORK_SIDE**2, matrix_rate(predictor.dtype)
    image = np.zeros((NETWORK_SIDE, NETWORK_SIDE), np.float32)
    seconds = best_seconds(lambda: predictor.maps(image))
    click.echo(
        f"\nThe network on {NETWORK_SIDE} x {NETWORK_SIDE} px: {operations / 1e9:.1f} G operations in "
        f"{1000 * seconds:.0f} ms; at the rate of matrix products ({rate / 1e9:.0f} G operations/s) "
        f"{1000 * operations / rate:.0f} ms, so {seconds * rate / operations:.1f} times the floor."
    )
    moved, speed = network_features() * NETWORK_SIDE**2 * predictor.dtype.itemsize, bandwidth()
    click.echo(
        f"Its features are {moved / 1e6:.0f} MB read and written; at the rate of memory ({speed / 1e9:.1f} GB/s) "
        f"that is {1000 * moved / speed:.0f} ms."
    )


def show_cold_start() -> None:
    """Print how long a new process takes to the first result."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.npy")
        np.save(path, make_image(CASES[0]))
        runs = [cold_start(path) for _ in range(3)]
    steps = {step: float(np.median([run[step] for run in runs])) for step in runs[0]}
    listed = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in steps.items())
    click.echo(f"\nFirst result in a new process: {sum(steps.values()):.1f} s ({listed}).")


def slower(ratios: Dict[str, float], kept: Dict[str, float]) -> List[str]:
    """Name the rows whose ratio has grown too much."""
    return [
        f"{name}: {ratios[name]:.2f} instead of {ratio:.2f} times IdentifyPrimaryObjects"
        for name, ratio in kept.items()
        if name in ratios and ratios[name] > SLOWER * ratio
    ]


@click.command()
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), help="Keep the ratios in this file.")
@click.option("--check", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Compare with kept ratios.")
def main(record: Optional[Path], check: Optional[Path]) -> None:
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n")
    modules = Modules()
    ratios = time_modules(modules)
    time_threads(modules)
    show_stages()
    show_floor()
    show_cold_start()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    click.echo(f"\nPeak memory of this process, CellProfiler included: {peak:.1f} GB.")
    if record is not None:
        record.write_text(json.dumps(ratios, indent=2) + "\n", encoding="utf-8")
    if check is not None:
        found = slower(ratios, json.loads(check.read_text(encoding="utf-8")))
        if found:
            raise click.ClickException("slower than recorded: " + "; ".join(found))
        click.echo(f"\nNothing is slower than {check} says.")


if __name__ == "__main__":
    main()
