"""How well the score without truth of ``nucdl try`` predicts the real one, and whether it finds the right treatment.

``measure`` tries treatments and models on annotated images of all kinds, and on half of them once more with a fault
(bad pixels, uneven light, dark rows, noise); the tables say how the score and the mean F1 go together. ``fields``
simulates fields that need one treatment, and counts how often it is put first.

    python benchmarks/try.py measure --data ../shared/data/dsb2018/train --output runs/try.csv
    python benchmarks/try.py fields --count 10
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import click
import numpy as np
import pandas as pd
from machine import describe_machine
from scipy.stats import spearmanr
from tqdm import tqdm

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.config import DEFAULT_MODEL, TREATMENTS, SegmentConfig
from nucdl_core.explore.ranking import score_without_truth
from nucdl_core.explore.signs import ImageSigns, Scene, agreement_of, agreements
from nucdl_core.explore.stages import SharedStages
from nucdl_core.explore.trial import Sample, TriedImages, try_variants
from nucdl_core.explore.variants import NO_TREATMENT, Grid
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.labels import relabel
from nucdl_core.simulate.faulty import FAULTS, FaultyField, simulate_faulty_field

SHARE, LARGEST = 0.25, 400
"""So much of each kind of image, and so many pixels of a larger one in height and width."""
SECOND_MODEL, ITS_TREATMENTS, EVERY = "nuclei_maskrcnn", (NO_TREATMENT, "median5", "background", "clahe"), 3
"""The slower model: on every third image."""
MADE_WORSE = ("salt", "slope", "rows", "noise")
PLAIN = "as it is"


@click.group()
def main() -> None:
    """Measure what nucdl try says without truth."""
    print(describe_machine())


@main.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="CSV; what is there is not done again.")
@click.option("--most", default=None, type=int, help="Images.")
def measure(data: Path, output: Path, most: Optional[int]) -> None:
    """Try variants on annotated images, and print how score and mean F1 go together."""
    table = pd.read_csv(output) if output.exists() else pd.DataFrame({"image": []})
    for number, name in enumerate(tqdm(chosen_images(data)[:most])):
        for fault in (PLAIN, MADE_WORSE[number // 2 % 4]) if number % 2 == 0 else (PLAIN,):
            if f"{number} {fault}" not in set(table["image"]):
                image, truth = annotated(data, name)
                image = image if fault == PLAIN else made_worse(image, fault, np.random.default_rng(number))
                rows = pd.DataFrame(tried(image, truth, with_second=number % EVERY == 0))
                table = pd.concat([table, rows.assign(image=f"{number} {fault}", fault=fault)], ignore_index=True)
                table.to_csv(output, index=False)
    tell(table)


def chosen_images(data: Path) -> List[str]:
    """Draw a part of each kind of image, in an order of chance."""
    kinds = pd.read_csv(data / "index.csv").groupby(["height", "width", "modality"])
    parts = [part.sample(min(len(part), max(4, round(len(part) * SHARE))), random_state=1) for _, part in kinds]
    return [str(name) for name in pd.concat(parts).sample(frac=1, random_state=2)["id"]]


def annotated(data: Path, name: str) -> Tuple[AnyArray, Labels]:
    """Read an image and its truth; of a large one the upper left part."""
    image, truth = read_image(data / "images" / f"{name}.png"), read_labels(data / "masks" / f"{name}.tif")
    if image.size > 200_000:
        image, truth = image[:LARGEST, :LARGEST], truth[:LARGEST, :LARGEST]
    return np.ascontiguousarray(image), relabel(np.ascontiguousarray(truth))


def made_worse(image: AnyArray, fault: str, rng: np.random.Generator) -> AnyArray:
    """Give an image a fault."""
    values = image.astype(np.float32)
    dark, bright = np.percentile(values, (1, 99.8))
    values = (values - dark) / max(bright - dark, 1)
    if fault == "slope":
        rows, cols = np.mgrid[0 : 1 : values.shape[0] * 1j, 0 : 1 : values.shape[1] * 1j]
        centre = rng.random(2)
        values = values * 0.2 + np.exp(-((rows - centre[0]) ** 2 + (cols - centre[1]) ** 2) / 0.3)
    else:
        values = np.clip(values, 0, 1)
    if fault == "salt":
        chance = rng.random(values.shape)
        values[chance < 0.04], values[chance > 0.96] = 1, 0
    elif fault == "rows":
        values[1::2] *= 0.25
    elif fault == "noise":
        values = values + rng.normal(0, 0.35, values.shape)
    return np.clip((values + 0.5) * 15000, 0, 60000).astype(np.uint16)


def tried(image: AnyArray, truth: Labels, with_second: bool) -> List[Dict[str, object]]:
    """Find nuclei in all ways; say for each what is seen without truth, and how good it is."""
    stages, ways, found = SharedStages(image), [], []
    for treatment in (NO_TREATMENT, *TREATMENTS):
        second = with_second and treatment in ITS_TREATMENTS
        # The rolling ball takes longer than all others together.
        for model in (DEFAULT_MODEL, *((SECOND_MODEL,) if second else ())) if treatment != "rolling_ball" else ():
            treatments = () if treatment == NO_TREATMENT else (treatment,)
            ways.append((treatment, model))
            found.append(stages.segment(SegmentConfig(model=model, treatments=treatments)).labels)
    scene = Scene(image)
    return [
        {
            "treatment": way[0],
            "model": way[1],
            "agreement": agreement,
            "light": scene.light(labels),
            "f1": agreement_of(truth, labels),
        }
        for way, labels, agreement in zip(ways, found, agreements(found))
    ]


def tell(table: pd.DataFrame) -> None:
    """Print how the score and its parts go with the mean F1, and what the first variant gains."""
    signs = [ImageSigns(*values) for values in table[["agreement", "light"]].itertuples(index=False)]
    table = table.assign(score=[score_without_truth(each) for each in signs])
    rows = []
    for fault, part in [*table.groupby("fault"), ("all", table)]:
        for sign in ("agreement", "light", "score"):
            rows.append({"images": fault, "sign": sign, **goes_with_f1(part, sign)})
    print(pd.DataFrame(rows).round(3).to_string(index=False))


def goes_with_f1(table: pd.DataFrame, sign: str) -> Dict[str, float]:
    """Compare a sign with the mean F1, over all results and within each image, and by what it puts first."""
    groups = [group for _, group in table.groupby("image")]
    within = [spearmanr(group[sign], group["f1"])[0] for group in groups if group["f1"].std() and group[sign].std()]
    usual = table[(table["treatment"] == NO_TREATMENT) & (table["model"] == DEFAULT_MODEL)]
    chosen = pd.Series([group.loc[group[sign].idxmax(), "f1"] for group in groups])
    return {
        "n": len(groups),
        "results": len(table),
        "pearson": float(np.corrcoef(table[sign], table["f1"])[0, 1]),
        "spearman_within": float(np.mean(within)),
        "f1_put_first": float(chosen.mean()),
        "f1_usual": float(usual["f1"].mean()),
        "f1_best": float(np.mean([group["f1"].max() for group in groups])),
    }


@main.command()
@click.option("--count", default=10, help="Fields of each kind.")
@click.option("--faults", default=",".join(FAULTS))
def fields(count: int, faults: str) -> None:
    """Count how often the right treatment or diameter of a simulated field is put first."""
    hits = {}
    for fault in faults.split(","):
        hits[fault] = [is_put_first(fault, seed) for seed in tqdm(range(count), desc=fault)]
        print(f"{fault}: {sum(hits[fault])} of {count}", flush=True)
    all_hits = [hit for each in hits.values() for hit in each]
    print(f"all: {sum(all_hits)} of {len(all_hits)} ({np.mean(all_hits):.0%})")


def is_put_first(fault: str, seed: int) -> bool:
    """Tell whether the right way is put first in one simulated field; what is put first instead is told."""
    field = simulate_faulty_field(fault, seed)
    grid = grid_for(field)
    variants = grid.variants()
    trial: TriedImages = try_variants([Sample(Path(f"{fault}{seed}.tif"), lambda: field.image)], variants)
    first = trial.ranked(variants)[0]
    treatments, diameter = treated(first.variant.config)
    right = bool({*treatments} & {*field.right}) if field.right else diameter in (None, round(field.diameter, 1))
    if not right:
        print(f"{fault} {seed}: {first.variant.name}", file=sys.stderr)
    return right


def treated(config: Optional[SegmentConfig]) -> Tuple[Tuple[str, ...], Optional[float]]:
    """Return the treatments and the diameter of a way."""
    return ((), None) if config is None else (config.treatments, config.diameter)


def grid_for(field: FaultyField) -> Grid:
    """Return what is tried: all treatments, or for binned images the usual, the right and the automatic diameter."""
    if field.right:
        # Nuclei are said to be bright, so that inverted images need the treatment.
        return Grid(polarity="bright")
    right = round(field.diameter, 1)
    return Grid(treatments=(NO_TREATMENT, "median3", "background"), diameters=(None, 3 * right, right))


if __name__ == "__main__":
    main()
