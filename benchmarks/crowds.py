"""What crowds made of sparse images gain: the table of docs/adaptation.md about artificial images.

    .venv/bin/python benchmarks/crowds.py --data ../shared/data/bbbc039 --output runs/crowds

Networks learn from the sparsest training fields of a collection, from chance or from the bundled model, without and
with artificial crowds, these as they are made or made natural by a pix2pix, and are scored on fields that they did not
see: all "validation" fields and the most crowded "training" ones. What has been measured is kept in ``results.csv``, so
that a benchmark that was stopped goes on.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import click
import numpy as np
import pandas as pd

from nucdl_core.adaptation.painting import learn_to_naturalize
from nucdl_core.adaptation.translation import TranslationConfig
from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.files.writing import make_folder, write_table
from nucdl_core.model.bundle import find_bundle, read_description
from nucdl_core.model.loading import load_model
from nucdl_core.overlap import overlap
from nucdl_core.scores.all_scores import all_overlap_scores
from nucdl_core.synthesis.appearance import appearance_of
from nucdl_core.training.artificial import artificial_sources
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.defaults import own_config
from nucdl_core.training.judging import find_nuclei
from nucdl_core.training.loop import train_network
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.recipe import Known, make_bundle
from nucdl_core.training.sources import AnnotatedImage, image_of, prepare, truth_of

TAUGHT, CROWDED = 6, 9
# The first one is without artificial images.
WAYS: Dict[str, Tuple[float, bool]] = {
    "natural": (0.0, False),
    "25 % artificial": (0.25, False),
    "50 % artificial": (0.5, False),
    "50 % by pix2pix": (0.5, True),
}
SHOWN = ("n_truth", "mean_f1", "f1_0.70", "missed_0.70", "merges", "splits", "kromp_under_segmented")


def parts_of_collection(data: Path) -> Tuple[List[AnnotatedImage], Dict[str, List[AnnotatedImage]]]:
    """Return the sparsest fields, to teach with, and those to score on."""
    index = pd.read_csv(data / "index.csv").set_index("id")
    sources = read_annotated_images(data)
    contact = {source.name: appearance_of(image_of(source), truth_of(source)).contact for source in sources}
    pool = [source for source in sources if index.split[source.name] == "training"]
    pool.sort(key=lambda source: contact[source.name])
    print("touching nuclei:", ", ".join(f"{contact[source.name]:.2f}" for source in pool))
    validation = [source for source in sources if index.split[source.name] == "validation"]
    return pool[:TAUGHT], {"validation": validation, "crowded": pool[-CROWDED:]}


def naturalized(sources: List[AnnotatedImage], folder: Path, seed: int, passes: int) -> List[AnnotatedImage]:
    """Make artificial images, and make them natural."""
    make_folder(folder)
    pairs = [(image_of(source), truth_of(source)) for source in sources]
    naturalizer = learn_to_naturalize(pairs, TranslationConfig(seed=1, epochs=passes), folder, "cpu")
    made = []
    for number, source in enumerate(artificial_sources(sources, seed)):
        image = naturalizer.naturalize(image_of(source), np.random.default_rng([seed, number]))
        made.append(prepare(source.name, image, truth_of(source), source.modality, synthetic=True))
    return made


def settings(start: str, steps: int, share: float, seed: int) -> TrainConfig:
    described = None if start == "chance" else read_description(find_bundle(start))
    chosen: Dict[str, Any] = {"falling": True, "validate_every": 0, "seed": seed, "steps": steps}
    chosen.update(synthetic_share=share, initial="" if described is None else start, superposed_share=0.0)
    if described is None:
        chosen.update(canonical_diameter=read_description(find_bundle(DEFAULT_MODEL)).canonical_diameter)
    return own_config("crowds", 0, described, **chosen)


def scores(model: Path, sources: List[AnnotatedImage]) -> Dict[str, float]:
    predictor, rows = load_model(model, "cpu"), []
    for source in sources:
        truth = truth_of(source)
        rows.append(all_overlap_scores(overlap(truth, find_nuclei(source, predictor)), truth.size))
    table = pd.DataFrame(rows)[list(SHOWN)]
    return {name: float(table[name].mean() if "f1" in name else table[name].sum()) for name in SHOWN}


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--start", default="chance", show_default=True, help="chance, or a model.")
@click.option("--steps", default=400, show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.option("--passes", default=TranslationConfig.epochs, show_default=True, help="Of the pix2pix over its images.")
def main(data: Path, output: Path, start: str, steps: int, repeats: int, passes: int) -> None:
    """Measure what artificial crowds gain."""
    make_folder(output)
    taught, tests = parts_of_collection(data)
    decision = read_description(find_bundle(DEFAULT_MODEL)).decision
    results = output / "results.csv"
    for repeat in range(repeats):
        for way, (share, natural) in WAYS.items():
            known = pd.read_csv(results) if results.exists() else pd.DataFrame(columns=["start", "way", "repeat"])
            if ((known.start == start) & (known.way == way) & (known.repeat == repeat)).any():
                continue
            folder = output / f"{start}_{way}_{repeat}".replace(" ", "_").replace("%", "percent")
            began = time.monotonic()
            make_folder(folder)
            config = settings(start, steps, share, seed=1 + repeat)
            extra = naturalized(taught, output / "pix2pix", repeat, passes) if natural else []
            extra = extra or (artificial_sources(taught, repeat) if share else [])
            checkpoint = train_network(config, [*taught, *extra], folder, "cpu")
            reached = {"validation": {}, "validation_images": 0, "decoders": {}}
            model = make_bundle(config, checkpoint, taught, folder / "model", taught, Known(decision, reached))
            rows = [
                {"start": start, "way": way, "repeat": repeat, "part": part, **scores(model, sources)}
                for part, sources in tests.items()
            ]
            minutes = round((time.monotonic() - began) / 60, 1)
            write_table(results, pd.concat([known, pd.DataFrame(rows).assign(minutes=minutes)]))
            print(pd.DataFrame(rows).to_string(), flush=True)
    print(pd.read_csv(results).groupby(["start", "part", "way"])[list(SHOWN)].mean().to_string())


if __name__ == "__main__":
    main()
