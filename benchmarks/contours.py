"""In which order objects are cleaned up and outlines corrected: the published one against correcting first.

Each image is predicted once; what is found is then refined in both orders, with the published numbers and the
threshold of the model, and scored against the annotation. The images are training images that no decision was
calibrated on. Two further columns tell what the correction of outlines does at all, and what its last number, the mean
probability below which an object is dropped, adds.

    python benchmarks/contours.py --data ../shared/data/dsb2018/train
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List

import click
import numpy as np
from machine import describe_machine
from tqdm import tqdm

from nucdl_core.arrays import Floats, Labels
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.model.registry import FAMILIES, default_model
from nucdl_core.scores.matching import image_scores
from nucdl_core.scores.significance import compare_paired
from nucdl_core.steps.contours import (
    PUBLISHED,
    Refinement,
    clean_up,
    correct_contours,
    drop_improbable,
    refine_objects,
)
from nucdl_core.training.calibrate import PredictedTruth
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.split import is_validation
from nucdl_core.training.tune import predict_twice

# As in the configurations that made the bundled models.
VALIDATION_PARTS, MODALITY = 8, "fluorescence"
Way = Callable[[Labels, Floats, Refinement], Labels]


def corrected_first(labels: Labels, probability: Floats, refinement: Refinement) -> Labels:
    """Correct the outlines, and then clean up and drop what is improbable."""
    cleaned = clean_up(correct_contours(labels, probability, refinement), refinement)
    return drop_improbable(cleaned, probability, refinement)


def without_last(labels: Labels, probability: Floats, refinement: Refinement) -> Labels:
    """Refine in the published order, but drop nothing for its mean probability."""
    return refine_objects(labels, probability, replace(refinement, mean_probability=0))


def outlines_only(labels: Labels, probability: Floats, refinement: Refinement) -> Labels:
    return correct_contours(labels, probability, refinement)


def nothing(labels: Labels, probability: Floats, refinement: Refinement) -> Labels:
    return labels


WAYS: Dict[str, Way] = {
    "cleaned up first (published)": refine_objects,
    "corrected first": corrected_first,
    "published, without the mean probability": without_last,
    "outlines only": outlines_only,
    "nothing": nothing,
}


def compare(name: str, predicted: List[PredictedTruth], predictor: Predictor) -> None:
    """Print the mean F1 of each way and how it compares with the published one."""
    threshold = predictor.size_model.description.decision.foreground
    refinement, decision = replace(PUBLISHED, threshold=threshold), predictor.description.decision
    scores: Dict[str, List[float]] = {way: [] for way in WAYS}
    for image in tqdm(predicted, desc=name, unit="image"):
        found = predictor.find(image.prediction, decision).labels
        for way, refine in WAYS.items():
            refined = refine(found, np.asarray(image.finer), refinement)
            scores[way].append(float(image_scores(image.truth, refined)["mean_f1"]))
    first = np.array(next(iter(scores.values())))
    for way, values in scores.items():
        pair = compare_paired(first, np.array(values))
        click.echo(
            f"| {name} | {way} | {np.mean(values):.4f} | {-pair.difference:+.4f} "
            f"[{-pair.high:+.4f}, {-pair.low:+.4f}] | "
            f"{pair.worse} / {pair.better} | {pair.p_value:.2g} |"
        )


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), required=True, help="Annotated training images.")
@click.option("--every", default=3, show_default=True, help="Take one image of so many.")
def main(data: Path, every: int) -> None:
    sources = [source for source in read_annotated_images(data) if source.modality == MODALITY]
    chosen = [source for source in sources if not is_validation(source.name, VALIDATION_PARTS)][::every]
    click.echo(f"{' '.join(sys.argv)}\n{describe_machine()}\n{len(chosen)} training images\n")
    click.echo("| model | way | mean F1 | against the published order [95 %] | better / worse | Wilcoxon p |")
    click.echo("|---|---|---|---|---|---|")
    for family in FAMILIES:
        predictor = load_model(find_bundle(default_model(family)), "cpu")
        predicted = [predict_twice(source, predictor) for source in tqdm(chosen, desc=family, unit="image")]
        compare(default_model(family), predicted, predictor)


if __name__ == "__main__":
    main()
