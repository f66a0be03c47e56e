"""One run of a training on own images: a network per part of the images, each finished as a model."""

from __future__ import annotations

import dataclasses
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

import numpy as np

from nucdl_core.files.writing import make_folder, replaced_folder, write_bytes
from nucdl_core.steps.instances import Decision
from nucdl_core.training.artificial import with_artificial
from nucdl_core.training.checkpoint import looks_in
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.loop import LOG, Watch, train_network
from nucdl_core.training.plan import RUN
from nucdl_core.training.recipe import Known, draft_description, make_bundle, validation_look
from nucdl_core.training.sources import AnnotatedImage
from nucdl_core.training.split import Part

MODEL = "model"


@dataclass(frozen=True)
class Workshop:
    """What all runs of a training share.

    Attributes
    ----------
    config : TrainConfig
    parts : sequence of Part
    sources : mapping of str to AnnotatedImage
        All annotated images by name.
    folder : Path
        Of the training.
    device : str
        "cpu" or "cuda".
    workers : int
        Processes that make crops.
    seconds : float
        How long each network may learn.
    decision : Decision or None
        The decision to begin calibration with; None searches it from the ground.
    before : mapping of str to float
        Mean F1 of the model before on each validation image.
    """

    config: TrainConfig
    parts: Sequence[Part]
    sources: Mapping[str, AnnotatedImage]
    folder: Path
    device: str
    workers: int
    seconds: float
    decision: Optional[Decision]
    before: Mapping[str, float]

    def images(self, names: Sequence[str]) -> List[AnnotatedImage]:
        """Return the images of these names."""
        return [self.sources[name] for name in names]


@dataclass(frozen=True)
class Run:
    """What came of a run.

    Attributes
    ----------
    name : str
    models : list of Path
        A model per part of the images.
    score : float
        Best mean F1 on the validation images, averaged over the parts.
    steps : int
        After how many steps that was, averaged over the parts.
    curves : dict of str to list of dict
        Lines of the log by the name of what was trained.
    """

    name: str
    models: List[Path]
    score: float
    steps: int
    curves: Dict[str, List[Dict[str, float]]]


def train_run(shop: Workshop, number: int) -> Run:
    """Train a network on each part of the images, with chance of its own for each run.

    Parameters
    ----------
    shop : Workshop
    number : int
        From 0.

    Returns
    -------
    Run
    """
    config = dataclasses.replace(shop.config, seed=shop.config.seed + number)
    name = f"{RUN}{number + 1}"
    models, best, curves = [], [], {}
    for half, part in enumerate(shop.parts, start=1):
        folder = shop.folder / (name if len(shop.parts) == 1 else f"{name}_half{half}")
        make_folder(folder)
        validation = shop.images(part.validation)
        watch = watch_of(config, validation, shop)
        training = shop.images(part.training)
        checkpoint = train_network(config, with_artificial(training, config), folder, shop.device, shop.workers, watch)
        best.append(max(looks_in(checkpoint), key=lambda look: look[1]))
        # Halves are judged by the decision that the model from all images will have.
        halves = len(shop.parts) > 1 and shop.decision is not None
        reached = {"validation": {"mean_f1": best[-1][1]}, "validation_images": len(validation), "decoders": {}}
        model, told = folder / MODEL, reached if halves else None
        known = None if shop.decision is None else Known(shop.decision, told)
        models.append(make_bundle(config, checkpoint, validation, model, training, known))
        curves[folder.name] = read_log(folder / LOG)
    return Run(
        name, models, float(np.mean([score for _, score in best])), round(np.mean([step for step, _ in best])), curves
    )


def train_on_everything(shop: Workshop, run: Run) -> Path:
    """Train on all images for as many steps as were best where each image judged once; return the checkpoint."""
    folder = shop.folder / f"{run.name}_all_{run.steps}"
    make_folder(folder)
    # Its length is known, and nobody looks at it: with a falling rate it does not end at a chance state.
    config = dataclasses.replace(shop.config, steps=max(1, run.steps), validate_every=0, falling=True)
    everything = with_artificial(list(shop.sources.values()), config)
    return train_network(config, everything, folder, shop.device, shop.workers)


def copy_model(model: Path, folder: Path) -> None:
    """Put a copy of a finished model in its place, where one of that name is replaced once the copy is complete."""
    with replaced_folder(folder) as new:
        for path in model.iterdir():
            write_bytes(new / path.name, path.read_bytes())


def watch_of(config: TrainConfig, validation: Sequence[AnnotatedImage], shop: Workshop) -> Watch:
    """Let a training be watched on its validation images, by the decision that calibration begins with."""
    description = draft_description(config)
    if shop.decision is not None:
        description = dataclasses.replace(description, decision=shop.decision)
    start = float(np.mean([shop.before[source.name] for source in validation]))
    return Watch(functools.partial(validation_look, config, description, validation, shop.device), start, shop.seconds)


def read_log(path: Path) -> List[Dict[str, float]]:
    """Read the log of a training, a line for each step that was logged; of repeated steps the last one.

    A line that was being written when the training was killed is passed over.
    """
    by_step: Dict[int, Dict[str, float]] = {}
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        by_step[line["step"]] = line
    return [by_step[step] for step in sorted(by_step)]
