"""The steps that made the default network fast, and what the number format and the scale of prediction cost.

    .venv/bin/python benchmarks/network.py --data ../shared/data/dsb2018 [--figure docs/images/scale.png]

Prints, as tables for the documentation: the time of the network after each step, in one process and in turn; the time
of an image that is taken whole or in overlapping tiles; the accuracy of each number format on the public test images,
and how far it agrees with float32; the accuracy on the validation images and the time against the nucleus diameter that
images are rescaled to, which is drawn as well where a file for the figure is given.
"""

from __future__ import annotations

import copy
import csv
import functools
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import click
import numpy as np
import torch
from machine import describe_machine
from matplotlib.figure import Figure
from timing import matrix_rate, network_operations
from torch import Tensor, nn

from nucdl_core.config import DEFAULT_MODEL, SegmentConfig
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.model.bundle import RANGES, WEIGHTS, Bundle, find_bundle, read_bundle, read_tensors
from nucdl_core.model.device import NUMBER_FORMATS
from nucdl_core.model.loading import load_map_model, make_predictor
from nucdl_core.model.networks.int8 import Int8UNet
from nucdl_core.model.predictor import Predictor
from nucdl_core.model.registry import build_network
from nucdl_core.model.weights import fold_batch_norm, load_weights
from nucdl_core.scores.matching import image_scores
from nucdl_core.segment import Job, segment_normalized, segment_tiles
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.training.split import is_validation

SIDE, LARGE, TURNS = 512, 2160, 11
DIAMETERS = (16, 20, 24, 28, 32)
VALIDATION_PARTS = 8
SCORES = ("mean_f1", "f1_0.50", "f1_0.70", "f1_0.90")

Run = Callable[[], Any]
Annotated = Tuple[NormalizedImage, Any]


def steps(bundle: Bundle) -> Dict[str, Tuple[torch.dtype, Run]]:
    """The network as it is trained, and after each step, each ready to run on the same image."""
    image = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    trained = build_network(bundle.description.architecture, bundle.description.arguments).eval()
    load_weights(trained, read_tensors(bundle.folder / WEIGHTS), bundle.folder / WEIGHTS)
    folded = copy.deepcopy(trained)
    fold_batch_norm(folded)
    last: Dict[str, Any] = {"memory_format": torch.channels_last}
    reordered = copy.deepcopy(folded).to(**last)
    short = copy.deepcopy(folded).to(torch.bfloat16).to(**last)
    integers = Int8UNet(folded, read_tensors(bundle.folder / RANGES))  # type: ignore[arg-type]
    return {
        "float32, as trained": (torch.float32, runner(trained, image)),
        "batch norm folded": (torch.float32, runner(folded, image)),
        "channels last": (torch.float32, runner(reordered, image.contiguous(**last))),
        "bfloat16": (torch.bfloat16, runner(short, image.to(torch.bfloat16).contiguous(**last))),
        "8-bit integers": (torch.qint8, runner(integers, image)),
    }


def runner(network: nn.Module, image: Tensor) -> Run:
    """Return a function that runs a network on an image."""

    def run() -> None:
        with torch.inference_mode():
            network(image)

    return run


def seconds_in_turn(runs: Iterable[Run]) -> List[float]:
    """Median seconds of each function, all run in turn after one round that does not count."""
    taken: List[List[float]] = []
    for _ in range(TURNS + 1):
        row = []
        for run in runs:
            start = time.perf_counter()
            run()
            row.append(time.perf_counter() - start)
        taken.append(row)
    return [float(value) for value in np.median(taken[1:], axis=0)]


def show_steps(bundle: Bundle) -> None:
    """Print the time after each step, and the floor of its number format."""
    made = steps(bundle)
    seconds = seconds_in_turn([run for _, run in made.values()])
    rates = {dtype: matrix_rate(dtype) for dtype, _ in made.values()}
    operations = network_operations() * SIDE**2
    click.echo(f"{operations / 1e9:.1f} G operations on {SIDE} x {SIDE} px\n")
    click.echo("| the network | ms | of the first | floor, ms | times the floor |\n|---|---|---|---|---|")
    for (name, (dtype, _)), taken in zip(made.items(), seconds):
        floor = operations / rates[dtype]
        click.echo(
            f"| {name} | {1000 * taken:.0f} | {taken / seconds[0]:.2f} | {1000 * floor:.0f} | {taken / floor:.2f} |"
        )


def show_tiles() -> None:
    """Print the time of a typical screening image in overlapping tiles and whole."""
    config = FieldConfig(size=(LARGE, LARGE), count=1000, diameter=24.0, bits=16)
    image = NormalizedImage.of(simulate_field(config, np.random.default_rng(1)).image)
    predictor = load_map_model(find_bundle(DEFAULT_MODEL), "cpu")
    largest = predictor.tile_sides[0]
    # Only the largest side allows for the whole image.
    sides = {"in four overlapping tiles": largest - 1, "whole": largest}
    runs = [functools.partial(segment_tiles, image, predictor, SegmentConfig(), 24.0, side) for side in sides.values()]
    click.echo(f"\n{LARGE} x {LARGE} px\n\n| the image | s |\n|---|---|")
    for name, seconds in zip(sides, seconds_in_turn(runs)):
        click.echo(f"| {name} | {seconds:.2f} |")


def read_annotated(folder: Path, wanted: Callable[[str], bool]) -> List[Annotated]:
    """Read the fluorescence images of a folder whose names are wanted, normalized, with their true nuclei."""
    with open(folder / "index.csv", encoding="utf-8", newline="") as file:
        names = [row["id"] for row in csv.DictReader(file) if row["modality"] == "fluorescence"]
    return [
        (
            NormalizedImage.of(read_image(folder / "images" / f"{name}.png")),
            read_labels(folder / "masks" / f"{name}.tif"),
        )
        for name in names
        if wanted(name)
    ]


def scores(truth: Any, labels: Any) -> List[float]:
    """The scores of `SCORES`."""
    found = image_scores(truth, labels)
    return [float(found[score]) for score in SCORES]


def show_formats(bundle: Bundle, images: List[Annotated]) -> None:
    """Print the accuracy of each number format, and how far it agrees with float32."""
    predictors = {name: make_predictor(bundle, "cpu", dtype) for name, dtype in NUMBER_FORMATS.items()}
    reached: Dict[str, List[List[float]]] = {name: [] for name in predictors}
    agreed: Dict[str, List[float]] = {name: [] for name in predictors}
    for image, truth in images:
        found = {name: segment_normalized(Job(image, predictor)).labels for name, predictor in predictors.items()}
        for name, labels in found.items():
            reached[name].append(scores(truth, labels))
            agreed[name].append(scores(found["float32"], labels)[0])
    click.echo(f"\n{len(images)} test images\n")
    click.echo(f"| number format | {' | '.join(SCORES)} | mean F1 against float32 |\n|---|{'---|' * 5}")
    for name, rows in reached.items():
        values = " | ".join(f"{value:.4f}" for value in np.nanmean(rows, axis=0))
        click.echo(f"| {name} | {values} | {np.nanmean(agreed[name]):.4f} |")


def measure_scales(bundle: Bundle, images: List[Annotated]) -> Dict[int, List[float]]:
    """For each diameter that a typical nucleus may get: the scores of `SCORES` and the seconds per image."""
    reached = {}
    for diameter in DIAMETERS:
        predictor = at_diameter(bundle, diameter)
        start = time.perf_counter()
        rows = [scores(truth, segment_normalized(Job(image, predictor)).labels) for image, truth in images]
        seconds = (time.perf_counter() - start) / len(images)
        reached[diameter] = [*np.nanmean(rows, axis=0), seconds]
    return reached


def show_scales(reached: Dict[int, List[float]], images: int) -> None:
    """Print the accuracy and the time against the diameter that a typical nucleus gets, other things equal."""
    click.echo(f"\n{images} validation images\n")
    click.echo(f"| diameter, px | {' | '.join(SCORES)} | s per image |\n|---|{'---|' * 5}")
    for diameter, (*values, seconds) in reached.items():
        click.echo(f"| {diameter} | {' | '.join(f'{value:.4f}' for value in values)} | {seconds:.3f} |")


def draw_scales(reached: Dict[int, List[float]], path: Path) -> None:
    """Draw accuracy against time, a point for each diameter."""
    figure = Figure(figsize=(5.2, 3.6))
    axes = figure.subplots()
    seconds, mean_f1 = [values[-1] for values in reached.values()], [values[0] for values in reached.values()]
    axes.plot(seconds, mean_f1, "o-", color="#0072B2")
    for diameter, at, score in zip(reached, seconds, mean_f1):
        axes.annotate(f"{diameter} px", (at, score), xytext=(0, -14), textcoords="offset points", ha="center")
    axes.margins(x=0.2, y=0.2)
    axes.set(xlabel="seconds per image", ylabel="mean F1", title="A typical nucleus is rescaled to", xlim=(0, None))
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def at_diameter(bundle: Bundle, diameter: float) -> Predictor:
    """Return the model as if it had been made for nuclei of another diameter."""
    network = build_network(bundle.description.architecture, bundle.description.arguments)
    load_weights(network, read_tensors(bundle.folder / WEIGHTS), bundle.folder / WEIGHTS)
    octaves = float(np.log2(bundle.description.canonical_diameter / diameter))
    network.shift_size(octaves)  # type: ignore[operator]
    return Predictor(network, replace(bundle.description, canonical_diameter=diameter), "cpu", torch.float32)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="Folder with train and test.")
@click.option("--figure", type=click.Path(path_type=Path), help="PNG for accuracy against time.")
def main(data: Path, figure: Optional[Path]) -> None:
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n")
    bundle = read_bundle(find_bundle(DEFAULT_MODEL))
    show_steps(bundle)
    show_tiles()
    show_formats(bundle, read_annotated(data / "test", lambda name: True))
    validation = read_annotated(data / "train", lambda name: is_validation(name, VALIDATION_PARTS))
    reached = measure_scales(bundle, validation)
    show_scales(reached, len(validation))
    if figure is not None:
        draw_scales(reached, figure)


if __name__ == "__main__":
    main()
