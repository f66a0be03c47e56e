"""What adaptation without annotation gains: the tables of docs/adaptation.md.

    .venv/bin/python benchmarks/own_images.py pretrain --data ../shared/data/dsb2018/train --output runs/kinds \\
        --steps 1800
    .venv/bin/python benchmarks/adaptation.py measure --data ../shared/data --start runs/kinds/without_three_kinds \\
        --output runs/adaptation
    .venv/bin/python benchmarks/adaptation.py tables --output runs/adaptation
    .venv/bin/python benchmarks/adaptation.py rule --output runs/adaptation

A model that has never seen a domain (a kind of image, a laboratory, a simulated one) is adapted to some of its images
in several ways and scored on them, by their annotation, which no adaptation sees but those called "true". What can be
said without truth is measured beside it. Finished rows are kept in ``results.csv`` and ``images.csv``; a benchmark that
was stopped goes on. `tables` prints them with paired tests. `rule` fits the rule by which adaptation is judged without
truth, and counts its errors on domains that it was not fitted to.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import click
import numpy as np
import pandas as pd

from nucdl_core.adaptation.evidence import Gains, gather_gains
from nucdl_core.adaptation.images import PlainImage, SeenImage, seen_images
from nucdl_core.adaptation.judgement import SIGNS, signs_in
from nucdl_core.adaptation.styles import Style, simulated_style, translated_style
from nucdl_core.adaptation.teaching import JUDGES, Lessons, TeachConfig, lessons_of, teach_further, usual_fields
from nucdl_core.adaptation.translation import TranslationConfig
from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.files.writing import make_folder, write_table
from nucdl_core.model.bundle import Bundle, find_bundle, read_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.scores.matching import image_scores
from nucdl_core.scores.significance import PairedComparison, compare_paired
from nucdl_core.simulate.field import random_config
from nucdl_core.simulate.image import simulate_field
from nucdl_core.steps.normalize import normalize
from nucdl_core.synthesis.nucleus_shapes import NucleusShapes, collect_shapes, shapes_from
from nucdl_core.training.judging import find_nuclei_in
from nucdl_core.training.reading import annotated_files
from nucdl_core.training.sources import prepare
from nucdl_core.training.split import draw_of

KINDS = ((360, 360), (260, 347), (512, 640))
MOST_IMAGES = 12
SIMULATED_DOMAINS, SIMULATED_FIELDS, SIMULATED_SIDE = 12, 8, 360
SHOWN = ("mean_f1", "f1_0.50", "f1_0.70", "f1_0.90", "missed_0.70", "merges", "splits")
# Of the images from which nucleus shapes are taken, since the shapes that come with NucDL know all kinds.
SHAPE_IMAGES = 60


@dataclass(frozen=True)
class Domain:
    """Images of one kind with their truth, and where they are from."""

    name: str
    images: List[Tuple[str, AnyArray, Labels]]


@dataclass(frozen=True)
class Bench:
    """What all adaptations share."""

    start: Bundle
    shapes: NucleusShapes
    output: Path
    config: TeachConfig
    translation: TranslationConfig


Way = Callable[[Bench, Domain, Path], Path]
"""Adapts the model to a domain in a folder, and returns the new one."""

Reader = Callable[[], Iterator[Tuple[str, AnyArray, Labels]]]


def domains(data: Path, names: Sequence[str]) -> Iterator[Domain]:
    """Find the domains; of each at most `MOST_IMAGES` images."""
    for height, width in KINDS:
        yield from _some(f"dsb {height}x{width}", _fluorescence(data / "dsb2018" / "train", (height, width)), names)
    for folder, column in (("mnfinder", "cell_line"), ("mouse_intestine", "extra")):
        root = data / folder
        index = pd.read_csv(root / "index.csv").fillna({column: "other"})
        for group, rows in index.groupby(column):
            yield from _some(f"{folder} {group}", functools.partial(_named, root, list(rows.id)), names)
    for number in range(SIMULATED_DOMAINS):
        yield from _some(f"simulated {number}", functools.partial(_simulated, number), names)


def _some(
    name: str, read: Callable[[], Iterator[Tuple[str, AnyArray, Labels]]], names: Sequence[str]
) -> Iterator[Domain]:
    if names and not any(name.startswith(wanted) for wanted in names):
        return
    images = sorted(read(), key=lambda each: draw_of(each[0]))[:MOST_IMAGES]
    if len(images) >= 3:
        yield Domain(name, images)


def _fluorescence(root: Path, shape: Tuple[int, int]) -> Reader:
    index = pd.read_csv(root / "index.csv")
    index = index[(index.modality == "fluorescence") & (index.height == shape[0]) & (index.width == shape[1])]
    return functools.partial(_named, root, list(index.id))


def _named(root: Path, names: Sequence[str]) -> Iterator[Tuple[str, AnyArray, Labels]]:
    chosen = sorted(names, key=draw_of)[:MOST_IMAGES]
    for file in annotated_files(root / "images", root / "masks", names=chosen):
        yield file.path.stem, file.image, file.labels


def _simulated(number: int) -> Iterator[Tuple[str, AnyArray, Labels]]:
    """Simulate the images of one microscope: all settings but places are the same."""
    rng = np.random.default_rng([77, number])
    config = random_config(rng, (SIMULATED_SIDE, SIMULATED_SIDE), (14.0, 50.0))
    config = dataclasses.replace(config, count=None, coverage=float(rng.uniform(0.1, 0.45)))
    for field in range(SIMULATED_FIELDS):
        made = simulate_field(config, np.random.default_rng([78, number, field]))
        if made.labels.any():
            yield f"simulated{number}_{field}", made.image, made.labels


def shapes_without(data: Path) -> NucleusShapes:
    """Take nucleus shapes of the images that are of none of the `KINDS`."""
    root = data / "dsb2018" / "train"
    index = pd.read_csv(root / "index.csv")
    known = index[(index.modality == "fluorescence") & ~pd.Series(list(zip(index.height, index.width))).isin(KINDS)]
    chosen = sorted(known.id, key=draw_of)[:SHAPE_IMAGES]
    files = annotated_files(root / "images", root / "masks", names=chosen)
    return shapes_from(shape for file in files for shape in collect_shapes(file.labels))


def looked_at(bench: Bench, domain: Domain, true: bool) -> List[SeenImage]:
    annotated = {name: labels for name, _, labels in domain.images} if true else {}
    plain = [PlainImage(name, image) for name, image, _ in domain.images]
    return seen_images(plain, load_model(bench.start.folder, "cpu"), annotated)


def by_simulator(bench: Bench, domain: Domain, folder: Path, true: bool = False) -> Path:
    style = simulated_style(looked_at(bench, domain, true), seed=0)
    return taught(bench, style, folder)


def by_pix2pix(bench: Bench, domain: Domain, folder: Path, true: bool = False) -> Path:
    seen = looked_at(bench, domain, true)
    style = translated_style(seen, 0, bench.translation, folder / "pix2pix", "cpu")
    return taught(bench, style, folder)


def by_nothing(bench: Bench, domain: Domain, folder: Path) -> Path:
    """Teach as much, with simulated fields of all kinds alone: what is gained by this is not adaptation."""
    usual = simulated_style(looked_at(bench, domain, False), seed=0)
    return taught(bench, usual, folder, share=1e-6)


def taught(bench: Bench, style: Style, folder: Path, share: Optional[float] = None) -> Path:
    print(f"  misfit {style.misfit:.2f}", flush=True)
    config = bench.config if share is None else dataclasses.replace(bench.config, share=share)
    return teach_further(bench.start, lessons_of([style.pairs(bench.shapes, seed=0)]), config, folder, "cpu")


WAYS: Dict[str, Way] = {
    "control": by_nothing,
    "simulator": by_simulator,
    "simulator, true masks": functools.partial(by_simulator, true=True),
    "pix2pix": by_pix2pix,
    "pix2pix, true masks": functools.partial(by_pix2pix, true=True),
}
BOUND = "annotated"
"""Taught with half of the annotated images and scored on the other half, each once: what annotation gains."""


def annotated_bound(bench: Bench, domain: Domain, folder: Path) -> Dict[str, Labels]:
    found: Dict[str, Labels] = {}
    sources = {name: prepare(name, image, labels, synthetic=True) for name, image, labels in domain.images}
    names = sorted(sources, key=draw_of)
    for half in range(2):
        judged = names[half::2]
        learnt = [sources[name] for name in names if name not in judged]
        lessons = Lessons(learnt, learnt[:1])
        model = teach_further(bench.start, lessons, bench.config, folder / f"half{half}", "cpu")
        images = {name: image for name, image, _ in domain.images}
        found.update({name: find_nuclei_in(normalize(images[name]), load_model(model, "cpu")) for name in judged})
    return found


def scores_of(domain: Domain, found: Mapping[str, Labels]) -> pd.DataFrame:
    rows = [{"image": name, **image_scores(truth, found[name])} for name, _, truth in domain.images]
    return pd.DataFrame(rows)[["image", *SHOWN]]


def found_by(predictor: Predictor, domain: Domain) -> Dict[str, Labels]:
    return {name: find_nuclei_in(normalize(image), predictor) for name, image, _ in domain.images}


def evidence_on(bench: Bench, domain: Domain, model: Path) -> Dict[str, float]:
    """Measure what can be said without truth; the synthetic images that judge are those of the simulator."""
    style = simulated_style(looked_at(bench, domain, False), seed=0)
    judging = lessons_of([style.pairs(bench.shapes, seed=1, count=2 * JUDGES)]).judging
    models = [load_model(bench.start.folder, "cpu"), load_model(model, "cpu")]
    second = load_model(find_bundle("nuclei_maskrcnn"), "cpu")
    images = [normalize(image) for _, image, _ in domain.images]
    evidence = gather_gains(images, models, second, judging, usual_fields())
    return {**dataclasses.asdict(evidence), "misfit": style.misfit}


def measure(bench: Bench, domain: Domain, way: str) -> None:
    """Adapt and score, unless that has been done."""
    results, images = bench.output / "results.csv", bench.output / "images.csv"
    known = pd.read_csv(results) if results.exists() else pd.DataFrame(columns=["domain", "way"])
    if ((known.domain == domain.name) & (known.way == way)).any():
        return
    print(f"{domain.name}: {way}", flush=True)
    folder = bench.output / domain.name.replace(" ", "_") / way.replace(", ", "_").replace(" ", "_")
    make_folder(folder)
    start, row = time.monotonic(), {"domain": domain.name, "way": way, "images": len(domain.images)}
    if way == "before":
        scores = scores_of(domain, found_by(load_model(bench.start.folder, "cpu"), domain))
    elif way == BOUND:
        scores = scores_of(domain, annotated_bound(bench, domain, folder))
    else:
        model = WAYS[way](bench, domain, folder)
        row["minutes"] = round((time.monotonic() - start) / 60, 1)
        scores = scores_of(domain, found_by(load_model(model, "cpu"), domain))
        row.update(evidence_on(bench, domain, model))
    row.update({name: scores[name].mean() if "f1" in name else scores[name].sum() for name in SHOWN})
    earlier = pd.read_csv(images) if images.exists() else pd.DataFrame()
    write_table(images, pd.concat([earlier, scores.assign(domain=domain.name, way=way)]))
    write_table(results, pd.concat([known, pd.DataFrame([row])]))
    print(row, flush=True)


@click.group()
def main() -> None:
    """Measure what adaptation without annotation gains."""


@main.command(name="measure")
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--start", required=True, help="The model that never saw the domains.")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--domains", "wanted", default="", help="Beginnings of their names, with commas.  [all]")
@click.option("--ways", default=",".join(("before", *WAYS, BOUND)).replace(", ", "; "), help="With commas.")
@click.option("--steps", default=TeachConfig.steps, show_default=True)
@click.option("--share", default=0.5, show_default=True)
@click.option("--passes", default=TranslationConfig.epochs, show_default=True, help="Of a pix2pix over its images.")
def measure_command(data: Path, start: str, output: Path, wanted: str, ways: str, passes: int, **teaching: Any) -> None:
    """Adapt to each domain in each way, and score."""
    make_folder(output)
    bundle = read_bundle(find_bundle(start))
    bench = Bench(bundle, shapes_without(data), output, TeachConfig(**teaching), TranslationConfig(epochs=passes))
    names = [name for name in wanted.split(",") if name]
    for domain in domains(data, names):
        for way in ways.split(","):
            measure(bench, domain, way.replace("; ", ", "))


@main.command()
@click.option("--output", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
def tables(output: Path) -> None:
    """Print what each way gains on each domain, and over all its images."""
    results, images = pd.read_csv(output / "results.csv"), pd.read_csv(output / "images.csv")
    before = results[results.way == "before"].set_index("domain")
    print("| domain | way | images | mean F1 | gain | better, worse | missed | merges | splits | minutes |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in results.to_dict("records"):
        found = gain_of(images, [row["domain"]], row["way"])
        gain = "" if row["way"] == "before" else f"{found.difference:+.3f}"
        sides = "" if row["way"] == "before" else f"{found.better}, {found.worse}"
        errors = " | ".join(f"{row[name]:.0f}" for name in ("missed_0.70", "merges", "splits"))
        minutes = "" if pd.isna(row["minutes"]) else f"{row['minutes']:.1f}"
        print(
            f"| {row['domain']} | {row['way']} | {row['images']:.0f} | {row['mean_f1']:.3f} | {gain} | {sides} "
            f"| {errors} | {minutes} |"
        )
    for real in (True, False):
        for way in [way for way in results.way.unique() if way != "before"]:
            chosen = [name for name in results[results.way == way].domain if name.startswith("simulated") != real]
            if not chosen:
                continue
            found, gains = gain_of(images, chosen, way), with_gains(results)
            gains = gains[(gains.way == way) & gains.domain.isin(chosen)].gain
            print(
                f"{way}, {len(chosen)} {'real' if real else 'simulated'} domains: {before.mean_f1[chosen].mean():.3f} "
                f"{gains.mean():+.3f}, {(gains > 0).sum()} of {len(gains)} domains better; {found.images} images: "
                f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}], better {found.better}, worse "
                f"{found.worse}, p {found.p_value:.2g}"
            )


def gain_of(images: pd.DataFrame, chosen: Sequence[str], way: str) -> PairedComparison:
    """Compare a way with the model before on all images of some domains."""
    table = images[images.domain.isin(chosen)].pivot_table(index=["domain", "image"], columns="way", values="mean_f1")
    known = table[[way, "before"]].dropna() if way != "before" else table[["before"]].assign(same=table.before)
    return compare_paired(known.iloc[:, 0].to_numpy(), known.iloc[:, 1].to_numpy())


@main.command()
@click.option("--output", "outputs", type=click.Path(exists=True, path_type=Path), multiple=True, required=True)
@click.option("--penalty", default=3.0, show_default=True, help="Of the ridge regression, on standardized signs.")
def rule(outputs: Sequence[Path], penalty: float) -> None:
    """Fit the rule that judges without truth, and count its errors on domains that it was not fitted to."""
    table = pd.concat([with_gains(pd.read_csv(output / "results.csv")).assign(of=output.name) for output in outputs])
    table = table[table.way.isin(list(WAYS))].reset_index(drop=True)
    signs = np.stack([signs_in(evidence_in(row)) for _, row in table.iterrows()])
    gains = table.gain.to_numpy()
    predicted = np.empty(len(table))
    for domain in table.domain.unique():
        own = (table.domain == domain).to_numpy()
        predicted[own] = apply_rule(fit_rule(signs[~own], gains[~own], penalty), signs[own])
    table["predicted"] = predicted
    print(table[["of", "domain", "way", "gain", "predicted"]].round(3).to_string())
    error = np.sqrt(np.mean((predicted - gains) ** 2))
    print(f"correlation {np.corrcoef(gains, predicted)[0, 1]:.2f}, root mean squared error {error:.3f}")
    for threshold in (0.0, 0.01, 0.02, 0.03):
        said, true = predicted >= threshold, gains > 0
        print(
            f"from {threshold}: {said.sum()} of {len(said)} recommended, {(said & ~true).sum()} of them wrongly, "
            f"{(~said & true).sum()} of {true.sum()} gains not recommended, mean gain {gains[said].mean():.3f}, of the "
            f"others {gains[~said].mean():.3f}"
        )
    intercept, *weights = fit_rule(signs, gains, penalty)
    print(f"intercept {intercept:.4f}", {name: round(float(weight), 4) for name, weight in zip(SIGNS, weights)})


def with_gains(table: pd.DataFrame) -> pd.DataFrame:
    before = table[table.way == "before"].set_index("domain").mean_f1
    return table.assign(gain=table.mean_f1 - table.domain.map(before))


def evidence_in(row: Any) -> Gains:
    return Gains(**{field.name: float(row[field.name]) for field in dataclasses.fields(Gains)})


def fit_rule(signs: AnyArray, gains: AnyArray, penalty: float) -> AnyArray:
    """Fit gains by ridge regression; return the intercept and a weight for each sign."""
    mean, spread = signs.mean(axis=0), np.maximum(signs.std(axis=0), 1e-6)
    standard = (signs - mean) / spread
    matrix = standard.T @ standard + penalty * np.eye(signs.shape[1])
    weights = np.linalg.solve(matrix, standard.T @ (gains - gains.mean())) / spread
    return np.concatenate([[gains.mean() - weights @ mean], weights])


def apply_rule(weights: AnyArray, signs: AnyArray) -> AnyArray:
    return weights[0] + signs @ weights[1:]


if __name__ == "__main__":
    main()
