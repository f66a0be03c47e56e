"""One training of a study: taught, finished as a model, and scored on test images and on images that taught it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pandas as pd
from torch import nn

from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.files.writing import make_folder, write_json, write_table
from nucdl_core.labels import relabel
from nucdl_core.model.bundle import find_bundle, read_description
from nucdl_core.model.loading import load_map_model, load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.model.registry import build_network, family_of
from nucdl_core.overlap import overlap
from nucdl_core.scores.all_scores import all_overlap_scores
from nucdl_core.steps.instances import Decision
from nucdl_core.study.folder import (
    FAILURE_FILE,
    RESULT_FILE,
    SCORES_FILE,
    TRAINED_MODEL,
    VIEWS_FILE,
    StudyFolder,
    read_images,
    read_study_plan,
)
from nucdl_core.study.images import POOL_PART, VALIDATION_PART, Images, images_for
from nucdl_core.study.results import TEST_PART, TRAINING_PART
from nucdl_core.training.artificial import with_artificial
from nucdl_core.training.checkpoint import looks_in
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.judging import find_nuclei, mean_f1
from nucdl_core.training.loop import LOG, Watch, train_network
from nucdl_core.training.recipe import Known, draft_description, learning_predictor, make_bundle
from nucdl_core.training.runs import read_log
from nucdl_core.training.sources import AnnotatedImage, image_of, truth_of

# With views, as `config.SegmentConfig` calls them.
ONE_VIEW, SEVERAL_VIEWS = "none", "flips"


def teach(folder: StudyFolder, name: str, device: str = "cpu") -> None:
    """Do a training of a study, going on where it was stopped; one that is finished stays as it is.

    Parameters
    ----------
    folder : StudyFolder
    name : str
        Of the training.
    device : str
        "cpu" or "cuda".

    Raises
    ------
    NucDLError
        If something cannot be used or written; see `training.loop.train_network`.
    """
    if folder.is_finished(name):
        return
    plan = read_study_plan(folder)
    cell, own = plan.trainings()[name], folder.training(name)
    make_folder(own)
    (own / FAILURE_FILE).unlink(missing_ok=True)
    config = plan.design.config(cell)
    parts = {part: images_for(cell, plan.images, part) for part in (POOL_PART, VALIDATION_PART)}
    parts[TEST_PART] = [each for each, image in plan.images.items() if image.part == TEST_PART]
    sources = read_images(folder, [each for names in parts.values() for each in names])
    taught, judges, tested = ([sources[each] for each in names] for names in parts.values())
    watch = Watch(ViewsLook(config, judges, own / VIEWS_FILE, device))
    checkpoint = train_network(config, with_artificial(taught, config), own, device, workers=0, watch=watch)
    make_bundle(config, checkpoint, judges, own / TRAINED_MODEL, taught, Known(first_decision(config)))
    predictor = load_model(own / TRAINED_MODEL, device)
    scored = {TEST_PART: tested, TRAINING_PART: taught[: plan.design.scored_training_images]}
    rows = [row for part, sources in scored.items() for row in score(sources, predictor, part, plan.images)]
    table = pd.DataFrame(rows)
    write_table(own / SCORES_FILE, table.drop(columns="seconds"))
    # Last of all: with it a training counts as finished.
    write_json(own / RESULT_FILE, result_of(config, checkpoint, taught, table))


def first_decision(config: TrainConfig) -> Decision:
    """Return the decision that calibration begins with: that of the model to start from, or the family's usual one."""
    if config.initial:
        start = read_description(find_bundle(config.initial))
        if start.family == config.architecture:
            return start.decision
    return Decision(**family_of(config.architecture).decision)


def diameter_in(source: AnnotatedImage, device: str) -> float:
    """Estimate the diameter of nuclei in pixels by the bundled model, which is the same for all networks."""
    return load_map_model(find_bundle(DEFAULT_MODEL), device).estimate_diameters(image_of(source))[0]


def score(sources: Sequence[AnnotatedImage], predictor: Predictor, part: str, images: Images) -> List[Dict[str, Any]]:
    """Let a model find the nuclei of images as users will, and return all scores of each."""
    rows = []
    for source in sources:
        start = time.perf_counter()
        found = find_nuclei(source, predictor, diameter=diameter_in(source, predictor.device))
        seconds = time.perf_counter() - start
        truth = relabel(truth_of(source))
        scores = all_overlap_scores(overlap(truth, found), truth.size)
        rows.append(
            {"part": part, "kind": images[source.name].kind, "image": source.name, "seconds": seconds, **scores}
        )
    return rows


def result_of(
    config: TrainConfig, checkpoint: Path, taught: Sequence[AnnotatedImage], scores: pd.DataFrame
) -> Dict[str, Any]:
    """Return what is to be told about a training beside its scores."""
    network = build_network(config.architecture, config.arguments)
    best = max(looks_in(checkpoint), key=lambda look: look[1])
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "minutes": read_log(checkpoint.parent / LOG)[-1]["seconds"] / 60,
        "steps": best[0],
        "seconds_per_image": float(scores.loc[scores["part"] == TEST_PART, "seconds"].mean()),
        "taught_images": len(taught),
        "taught_nuclei": int(sum(len(source.sizes) - 1 for source in taught)),
    }


class ViewsLook:
    """Scores a network on the validation images without and with several views, and keeps both in a table.

    Parameters
    ----------
    config : TrainConfig
    judges : sequence of AnnotatedImage
    table : Path
        CSV file; it goes on where a training does.
    device : str
    """

    def __init__(self, config: TrainConfig, judges: Sequence[AnnotatedImage], table: Path, device: str) -> None:
        self.config, self.judges, self.table, self.device = config, judges, table, device

    def __call__(self, network: nn.Module, step: int) -> float:
        """Return the mean F1 without views."""
        predictor = learning_predictor(self.config, draft_description(self.config), network, self.device)
        row = {"step": step, **{views: self._score(predictor, views) for views in (ONE_VIEW, SEVERAL_VIEWS)}}
        known = pd.read_csv(self.table) if self.table.is_file() else pd.DataFrame({"step": []})
        # A training that was killed after a look and before its checkpoint looks again.
        write_table(self.table, pd.concat([known[known["step"] != step], pd.DataFrame([row])], ignore_index=True))
        return float(row[ONE_VIEW])

    def _score(self, predictor: Predictor, views: str) -> float:
        scores = []
        for source in self.judges:
            found = find_nuclei(source, predictor, views, diameter_in(source, self.device))
            scores.append(mean_f1(truth_of(source), found))
        return sum(scores) / len(scores)
