"""What a few annotated images of one's own are worth: the tables of docs/training.md.

    .venv/bin/python benchmarks/own_images.py fields --data ../shared/data/bbbc039 --output runs/fields
    .venv/bin/python benchmarks/own_images.py pretrain --data ../shared/data/dsb2018/train --output runs/kinds
    .venv/bin/python benchmarks/own_images.py kinds --data ../shared/data/dsb2018/train --output runs/kinds

`fields` teaches models with 2 to 25 of the fields that `index.csv` calls "training" and scores them on those that it
calls "validation", which no training sees. `pretrain` makes a model that has never seen three kinds of images, told by
their shape, and `kinds` teaches it with some images of one of them and scores it on others. What has been measured is
kept in ``results.csv``, so that a benchmark that was stopped goes on; the tables are printed at the end.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import click
import numpy as np
import pandas as pd
from machine import describe_machine
from process_tree import cost_of

from nucdl_core.batch.segment_files import segment_files
from nucdl_core.cellprofiler.classic import CLASSIC_NAME, classic_nuclei
from nucdl_core.config import DEFAULT_MODEL, SegmentConfig
from nucdl_core.files.folders import LABEL_SUFFIX, image_files
from nucdl_core.files.reading import read_labels
from nucdl_core.files.writing import make_folder, write_labels, write_table
from nucdl_core.labels import areas, drop, relabel
from nucdl_core.reports.methods import Inputs, evaluate_methods
from nucdl_core.training.checkpoint import looks_in
from nucdl_core.training.loop import CHECKPOINT, train_network
from nucdl_core.training.plan import APART, working_folder
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.recipe import make_bundle, read_train_config, split
from nucdl_core.training.split import draw_of

RECIPE = Path(__file__).resolve().parents[1] / "training" / "nuclei_unet.json"
KINDS = ((360, 360), (260, 347), (512, 640))
PRETRAINED = "without_three_kinds"
# Annotators of some collections outline specks of debris, too; a second score leaves out what is smaller than this.
SPECK = 25
SHOWN = ("mean_f1", "f1_0.50", "f1_0.70", "f1_0.90", "missed_0.70", "merges", "splits")

Files = List[Tuple[Path, Path]]
"""Images with their masks."""

Way = Callable[[Path], Tuple[str, Dict[str, Any]]]
"""Makes a model in a folder that holds the chosen images; returns the model and what is to be told about it."""


@dataclasses.dataclass(frozen=True)
class Study:
    """Images to teach with and to score on, and where everything goes."""

    pool: Files
    test: Files
    output: Path
    start: str

    @property
    def results(self) -> Path:
        return self.output / "results.csv"

    def known(self) -> pd.DataFrame:
        return pd.read_csv(self.results) if self.results.exists() else pd.DataFrame()

    def measure(self, method: str, fields: int, repeat: int, make: Way) -> None:
        """Make a model in a folder of its own and score it, unless that has been done."""
        known = self.known()
        if len(known) and ((known.method == method) & (known.fields == fields) & (known.repeat == repeat)).any():
            return
        folder = self.output / f"{method.replace(' ', '_')}_{fields}_{repeat}"
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        chosen = choose(self.pool, fields, repeat)
        copy_files(chosen, folder / "data")
        model, facts = make(folder)
        row = {"method": method, "fields": fields, "repeat": repeat, "nuclei": nuclei_in(chosen), **facts}
        row.update(self.scores(model, folder / "found"))
        write_table(self.results, pd.concat([known, pd.DataFrame([row])]))
        print(row, flush=True)

    def scores(self, model: str, folder: Path) -> Dict[str, Any]:
        """Score a model, or the classic pipeline, on the test images, with and without specks."""
        copy_files(self.test, folder / "test")
        if model == CLASSIC_NAME:
            make_folder(folder / "labels")
            for name, labels in classic_nuclei(folder / "test" / "images").items():
                write_labels(folder / "labels" / f"{name}{LABEL_SUFFIX}", labels)
        else:
            files = image_files([folder / "test" / "images"])
            segment_files(files, folder / "labels", SegmentConfig(model=model, device="cpu"))
        without_specks(folder / "test" / "masks", folder / "masks_large")
        without_specks(folder / "labels", folder / "labels_large")
        row = means_of(folder / "test" / "masks", folder / "labels")
        row["mean_f1_large"] = means_of(folder / "masks_large", folder / "labels_large")["mean_f1"]
        return row


def means_of(truth: Path, found: Path) -> Dict[str, Any]:
    row = evaluate_methods(Inputs(truth, [("it", found)])).overall("it")
    return {name: row[name] for name in SHOWN}


def without_specks(labels: Path, copy: Path) -> None:
    make_folder(copy)
    for path in image_files_with_labels(labels):
        numbered = relabel(read_labels(path))
        write_labels(copy / f"{path.stem}.tif", drop(numbered, areas(numbered) < SPECK))


def image_files_with_labels(folder: Path) -> List[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix == ".tif")


def choose(pool: Files, count: int, repeat: int) -> Files:
    """Choose images, others in each repeat as far as there are others."""
    order = sorted(pool, key=lambda files: draw_of(f"{files[0].stem}{repeat}"))
    return order[:count]


def copy_files(files: Files, folder: Path) -> None:
    for kind, position in (("images", 0), ("masks", 1)):
        make_folder(folder / kind)
        for pair in files:
            shutil.copyfile(pair[position], folder / kind / pair[position].name)


def nuclei_in(files: Files) -> int:
    return sum(int(relabel(read_labels(mask)).max()) for _, mask in files)


def pairs_of(data: Path, names: Sequence[str]) -> Files:
    masks = {path.stem: path for path in image_files([data / "masks"])}
    return [(path, masks[path.stem]) for path in image_files([data / "images"]) if path.stem in set(names)]


def teach(start: str, minutes: Optional[float]) -> Way:
    """Run `nucdl train` as a person would, and say what it took."""

    def make(folder: Path) -> Tuple[str, Dict[str, Any]]:
        output = folder / "mine"
        command = ["train", "--data", folder / "data", "--output", output, "--start", start, "--device", "cpu"]
        if minutes is not None:
            command += ["--max-minutes", minutes]
        cost = cost_of(lambda: run(command))
        working = working_folder(output)
        logs = [looks_in(path) for path in working.glob(f"run1*/{CHECKPOINT}")]
        looks = [max(log, key=lambda look: look[1]) for log in logs if log]
        facts = {"minutes": cost.wall / 60, "memory": cost.memory, "steps": np.mean([step for step, _ in looks])}
        return str(output if output.exists() else working / APART), {**facts, "recommended": output.exists()}

    return make


def tune(start: str) -> Way:
    def make(folder: Path) -> Tuple[str, Dict[str, Any]]:
        command = ["tune", "--data", folder / "data", "--output", folder / "tuned", "--model", start, "--device", "cpu"]
        cost = cost_of(lambda: run(command))
        return str(folder / "tuned"), {"minutes": cost.wall / 60, "memory": cost.memory}

    return make


def run(command: Sequence[Any]) -> None:
    nucdl = Path(sys.executable).with_name("nucdl")
    subprocess.run([str(part) for part in (nucdl, *command)], check=True, stderr=subprocess.DEVNULL)


def print_tables(study: Study) -> None:
    """Print means over the repeats, with the range of the mean F1."""
    known = study.known()
    print(f"\n{describe_machine()}\n{len(study.test)} test images\n")
    header = (
        "model | images | nuclei | mean F1 (range) | without specks | F1 at 0.5 | 0.7 | 0.9 | missed | merges | splits"
    )
    print(f"| {header} | steps | minutes | MiB |\n" + "| --- " * 14 + "|")
    for (method, fields), rows in known.groupby(["method", "fields"], sort=False):
        mean = rows.mean(numeric_only=True)
        spread = f" ({rows.mean_f1.min():.3f}-{rows.mean_f1.max():.3f})" if len(rows) > 1 else ""
        cells = [method, fields or "", f"{mean.nuclei:.0f}" if fields else "", f"{mean.mean_f1:.3f}{spread}"]
        cells += [f"{mean[name]:.3f}" for name in ("mean_f1_large", "f1_0.50", "f1_0.70", "f1_0.90")]
        cells += [f"{mean[name]:.0f}" for name in ("missed_0.70", "merges", "splits")]
        cells += [f"{mean[name]:{form}}" if name in mean and mean[name] == mean[name] else "" for name, form in _COSTS]
        print("| " + " | ".join(map(str, cells)) + " |")


_COSTS = (("steps", ".0f"), ("minutes", ".1f"), ("memory", ".0f"))


@click.group()
def main() -> None:
    """Measure what a few annotated images of one's own are worth."""


_DATA = click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
_OUTPUT = click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True)
_REPEATS = click.option("--repeats", default=3, show_default=True)


@main.command()
@_DATA
@_OUTPUT
@_REPEATS
@click.option("--counts", default="2,4,8,16,25", show_default=True, help="Numbers of fields.")
@click.option("--methods", default="fine-tuned,tuned,from chance", show_default=True)
@click.option("--chance-minutes", default=10.0, show_default=True, help="Time limit of a training from chance.")
def fields(data: Path, output: Path, repeats: int, counts: str, methods: str, chance_minutes: float) -> None:
    """Teach with some fields of one collection."""
    index = pd.read_csv(data / "index.csv")
    pool, test = (pairs_of(data, index.id[index.split == part]) for part in ("training", "validation"))
    study = Study(pool, test, output, DEFAULT_MODEL)
    study.measure("bundled", 0, 0, lambda folder: (DEFAULT_MODEL, {}))
    study.measure(CLASSIC_NAME, 0, 0, lambda folder: (CLASSIC_NAME, {}))
    ways = {
        "fine-tuned": teach(DEFAULT_MODEL, None),
        "tuned": tune(DEFAULT_MODEL),
        "from chance": teach("none", chance_minutes),
    }
    for method in methods.split(","):
        for repeat in range(repeats):
            for count in map(int, counts.split(",")):
                study.measure(method, count, repeat, ways[method])
    print_tables(study)


@main.command()
@_DATA
@_OUTPUT
@click.option("--steps", default=3000, show_default=True)
def pretrain(data: Path, output: Path, steps: int) -> None:
    """Make a model that has never seen images of the three kinds."""
    settings = {"name": PRETRAINED, "steps": steps, "checkpoint_every": 100, "averaging": 0.998}
    config = dataclasses.replace(read_train_config(RECIPE), **settings)
    sources = [source for source in read_annotated_images(data) if kind_of(source) not in KINDS]
    training, validation = split(sources, config)
    make_folder(output)
    checkpoint = train_network(config, training, output, "cpu")
    print(make_bundle(config, checkpoint, validation, output / PRETRAINED, len(training)))


def kind_of(source: Any) -> Tuple[int, ...]:
    """Return the shape of a fluorescence image; others are of no kind."""
    return tuple(source.labels.shape[-2:]) if source.modality == "fluorescence" else ()


@main.command()
@_DATA
@_OUTPUT
@_REPEATS
def kinds(data: Path, output: Path, repeats: int) -> None:
    """Teach the model of `pretrain` with some images of a kind that it has never seen."""
    index = pd.read_csv(data / "index.csv")
    index = index[index.modality == "fluorescence"]
    start = str(output / PRETRAINED)
    for height, width in KINDS:
        names = sorted(index.id[(index.height == height) & (index.width == width)], key=draw_of)
        judges = max(1, min(20, len(names) // 3))
        pool, test = pairs_of(data, names[judges:]), pairs_of(data, names[:judges])
        study = Study(pool, test, output / f"{height}x{width}", start)
        make_folder(study.output)
        study.measure("before", 0, 0, lambda folder: (start, {}))
        for repeat in range(repeats):
            for count in (count for count in (2, 4, 8, 16) if count <= len(pool)):
                study.measure("fine-tuned", count, repeat, teach(start, None))
        print(f"\n## {height} x {width}")
        print_tables(study)


if __name__ == "__main__":
    main()
