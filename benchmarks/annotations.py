"""How well annotations fit their images and each other: what no model can reach on them.

    .venv/bin/python benchmarks/annotations.py --data ../shared/data/dsb2018

For the validation images (in ``train``) and the test images (in ``test``), by kind of image, prints

* how far the annotation is displaced against the image, in pixels down and to the right: the shift at which the mask of
  all nuclei correlates best with the intensities, found without any model;
* how much larger the radius of found nuclei is than that of the annotated ones they match, in pixels: below 0,
  annotators drew wider than the model learnt to;
* mean F1 as it is, with annotations that are displaced by half a pixel or more moved back, and with the threshold that
  is best for each image (chosen by the truth, which no user has: an upper bound for outlines of this kind).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import click
import numpy as np
import pandas as pd
from machine import describe_machine
from network import VALIDATION_PARTS, read_annotated

from nucdl_core.arrays import Floats, Labels
from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.labels import areas, relabel
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.overlap import overlap
from nucdl_core.scores.matching import image_scores
from nucdl_core.training.calibrate import predict_image
from nucdl_core.training.split import is_validation

REACH = 3
DISPLACED = 0.5
# Nuclei with a higher IoU than this are taken for the same one.
SAME = 0.6
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SETS = {"validation": "train", "test": "test"}


def annotated_images(data: Path, name: str) -> Iterator[Tuple[str, Floats, Labels]]:
    """Yield kind (shape), image and truth of the validation or the test images."""
    chosen = read_annotated(data / SETS[name], lambda stem: name == "test" or is_validation(stem, VALIDATION_PARTS))
    for image, truth in chosen:
        yield f"{image.shape[0]} x {image.shape[1]}", image[:, :], truth


def displacement(image: Floats, truth: Labels) -> Tuple[float, float]:
    """Find the shift of the truth, in pixels down and to the right, at which it fits the image best."""
    bright, mask = np.minimum(image, 1), (truth > 0).astype(np.float32)
    return _best_shift(bright, mask, 0), _best_shift(bright, mask, 1)


def _best_shift(bright: Floats, mask: Floats, axis: int) -> float:
    inner = (slice(REACH, -REACH),) * 2
    shifts = np.arange(-REACH, REACH + 1)
    fit = [np.corrcoef(bright[inner].ravel(), np.roll(mask, s, axis)[inner].ravel())[0, 1] for s in shifts]
    top = int(np.argmax(fit))
    if top in (0, len(fit) - 1):
        return float(shifts[top])
    before, at, after = fit[top - 1 : top + 2]
    # The top of the parabola through the best shift and its neighbours.
    return float(shifts[top] + 0.5 * (before - after) / (before - 2 * at + after))


def moved(truth: Labels, down: float, right: float) -> Labels:
    """Move a label image by whole pixels; what comes in at the border is background."""
    labels, (height, width) = np.zeros_like(truth), truth.shape
    rows, cols = round(down), round(right)
    target = (slice(max(rows, 0), height + min(rows, 0)), slice(max(cols, 0), width + min(cols, 0)))
    source = (slice(max(-rows, 0), height + min(-rows, 0)), slice(max(-cols, 0), width + min(-cols, 0)))
    labels[target] = truth[source]
    return relabel(labels)


def radius_difference(truth: Labels, found: Labels) -> float:
    """Return the mean of found less annotated radius over the nuclei that agree, in pixels; NaN where none does."""
    pairs = overlap(truth, found)
    same = pairs.iou > SAME
    radii = [np.sqrt(areas(labels) / np.pi) for labels in (truth, found)]
    differences = radii[1][pairs.second[same] - 1] - radii[0][pairs.first[same] - 1]
    return float(differences.mean()) if same.any() else float("nan")


def examine(image: Floats, truth: Labels, predictor: Predictor) -> Dict[str, float]:
    """Return one row: how an annotation fits its image and what the model finds there."""
    decision = predictor.description.decision
    prediction = predict_image(image, truth, predictor).prediction

    def score(threshold: float, labels: Labels) -> float:
        found = predictor.find(prediction, replace(decision, foreground=threshold)).labels
        return float(image_scores(labels, found)["mean_f1"])

    down, right = displacement(image, truth)
    as_it_is = score(decision.foreground, truth)
    displaced = max(abs(down), abs(right)) >= DISPLACED
    return {
        "down": down,
        "right": right,
        "displaced": displaced,
        "radius": radius_difference(truth, predictor.find(prediction, decision).labels),
        "mean F1": as_it_is,
        "moved back": score(decision.foreground, moved(truth, down, right)) if displaced else as_it_is,
        "best threshold": max(as_it_is, *(score(threshold, truth) for threshold in THRESHOLDS)),
    }


def markdown(table: pd.DataFrame) -> str:
    """Format each kind, and all of a set, as a Markdown table: medians of the displacement, means of the rest."""
    header = ["images", "number", "down", "right", "displaced", "radius", "mean F1", "moved back", "best threshold"]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    groups: List[Tuple[str, pd.DataFrame]] = []
    for name, rows in table.groupby("set", sort=False):
        groups += [(f"{name}, {kind}", each) for kind, each in rows.groupby("kind")]
        groups.append((f"{name}, all", rows))
    for title, rows in groups:
        offsets = [f"{rows[key].median():+.2f}" for key in ("down", "right")]
        scores = [f"{rows[key].mean():.3f}" for key in header[6:]]
        cells = [
            title,
            str(len(rows)),
            *offsets,
            str(rows["displaced"].sum()),
            f"{rows['radius'].mean():+.2f}",
            *scores,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="Holds train and test.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True)
def main(data: Path, model: str) -> None:
    predictor = load_model(find_bundle(model), "cpu")
    rows = [
        {"set": name, "kind": kind, **examine(image, truth, predictor)}
        for name in SETS
        for kind, image, truth in annotated_images(data, name)
    ]
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n")
    click.echo(markdown(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
