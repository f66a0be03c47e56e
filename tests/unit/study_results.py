"""Made-up results of a study, whose numbers can be checked by eye."""

from __future__ import annotations

import pandas as pd

from nucdl_core.scores.matching import THRESHOLDS
from nucdl_core.study.results import StudyResults

USUAL = {
    "network": "unet",
    "start": "chance",
    "kinds": "cells",
    "images": 10,
    "augmentation": "all",
    "rescaled": True,
    "cycles": 1.0,
    "regions": 0,
    "simulated": 0.0,
    "artificial": 0.0,
}
N_TRUTH = 20
VIEWS = ("training", "step", "none", "flips")


def training(name, replicate=0, failed="", **factors):
    """Give a row of the table of trainings."""
    numbers = {"parameters": 2_000_000, "minutes": 1.5, "steps": 100, "seconds_per_image": 0.25, "taught_nuclei": 300}
    if failed:
        numbers = dict.fromkeys(numbers, float("nan"))
    return {"training": name, **USUAL, **factors, "replicate": replicate, **numbers, "failed": failed}


def image_score(name, f1, image="a", kind="cells", part="test"):
    """Give a row of the table of scores: F1 0.2 lower at IoU 0.95 than at 0.50; 2 missed, 1 merge, no split."""
    f1s = {f"f1_{threshold:.2f}": f1 + 0.1 - 0.2 * (threshold - 0.5) / 0.45 for threshold in THRESHOLDS}
    errors = {"missed_0.70": 2, "merges": 1, "splits": 0, "n_truth": N_TRUTH, "n_prediction": N_TRUTH}
    return {"training": name, "part": part, "kind": kind, "image": image, "mean_f1": f1, **f1s, **errors}


def study(trainings, scores, grids=None, views=()):
    """Make a study of rows; without grids, one of all trainings."""
    grids = {"all": [row["training"] for row in trainings]} if grids is None else grids
    columns = [*image_score("", 0.0)]
    tables = (pd.DataFrame(trainings), pd.DataFrame(scores, columns=columns), pd.DataFrame(views, columns=VIEWS))
    return StudyResults(*tables, grids)


def varied(factor, levels, replicates=2, images="abc", **others):
    """Make a study that varies one factor; each level is 0.1 better than the one before, replicates differ by 0.02."""
    trainings, scores = [], []
    for place, level in enumerate(levels):
        for replicate in range(replicates):
            name = f"{factor}{place}_{replicate}"
            trainings.append(training(name, replicate, **{**others, factor: level}))
            f1 = 0.4 + 0.1 * place + 0.02 * replicate
            scores += [image_score(name, f1 + 0.01 * number, image) for number, image in enumerate(images)]
            scores.append(image_score(name, f1 + 0.05, "taught", part="training"))
    return study(trainings, scores)
