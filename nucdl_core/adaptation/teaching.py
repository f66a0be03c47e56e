"""A model taught further with synthetic images, beside images of the kinds that it knows."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from nucdl_core.config import require
from nucdl_core.files.writing import make_folder
from nucdl_core.model.bundle import ZOO, Bundle, read_card
from nucdl_core.model.card import adapted_card
from nucdl_core.simulate.field import random_config
from nucdl_core.synthesis.artificial import SyntheticImage
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.defaults import own_config
from nucdl_core.training.defocus import simulate_annotated
from nucdl_core.training.loop import Watch, train_network
from nucdl_core.training.recipe import Known, draft_description, make_bundle, validation_look
from nucdl_core.training.runs import MODEL
from nucdl_core.training.sources import AnnotatedImage, prepare

JUDGES = 5
"""One synthetic image of so many does not teach."""
USUAL_FIELDS, USUAL_SIDE = 24, 256


@dataclass(frozen=True)
class TeachConfig:
    """How a model is taught with synthetic images.

    Attributes
    ----------
    share : float
        Of the crops that show synthetic images (Hollandi et al.: 0.1 to 0.5). The others show what the model was made
        for: images that it learnt from, where they are given, or else simulated fields of all kinds.
    steps : int
    seed : int
    name : str
        What the new model is called; empty takes the name of the one before.
    """

    share: float = 0.5
    steps: int = 150
    seed: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        require(0 < self.share <= 1, f"share is {self.share}; it lies above 0 and up to 1")
        require(self.steps >= 1, f"steps is {self.steps}; it must be at least 1")


@dataclass(frozen=True)
class Lessons:
    """What a model is taught with, and what it is tried on.

    Attributes
    ----------
    teaching, judging : sequence of AnnotatedImage
        Synthetic images.
    known : sequence of AnnotatedImage
        Images that it learnt from before; may be empty.
    """

    teaching: Sequence[AnnotatedImage]
    judging: Sequence[AnnotatedImage]
    known: Sequence[AnnotatedImage] = ()


def lessons_of(styles: Sequence[Sequence[SyntheticImage]], known: Sequence[AnnotatedImage] = ()) -> Lessons:
    """Part the synthetic images of each style: one of `JUDGES` does not teach.

    Parameters
    ----------
    styles : sequence of sequences of SyntheticImage
    known : sequence of AnnotatedImage

    Returns
    -------
    Lessons
        Each style is a group, so that all count the same.
    """
    parts: Tuple[List[AnnotatedImage], List[AnnotatedImage]] = ([], [])
    for style, pairs in enumerate(styles, start=1):
        for number, pair in enumerate(pairs):
            name = f"style{style}_{number}"
            source = prepare(name, pair.image, pair.labels, group=f"style {style}", synthetic=True)
            parts[number % JUDGES == 0].append(source)
    return Lessons(*parts, known)


def teach_further(
    start: Bundle,
    lessons: Lessons,
    config: TeachConfig,
    folder: Path,
    device: str,
    workers: int = 1,
    seconds: float = math.inf,
) -> Path:
    """Teach a model further, going on where an interrupted training stopped.

    Parameters
    ----------
    start : Bundle
    lessons : Lessons
        With at least one image on each side.
    config : TeachConfig
    folder : Path
        Of the training; its folder ``model`` is the new model.
    device : str
        "cpu" or "cuda".
    workers : int
        Processes that make crops.
    seconds : float
        How long it may take.

    Returns
    -------
    Path
        Of the new model. It has the decision of the one before: synthetic images do not tell how annotators decide.

    Raises
    ------
    BundleError, NucDLError
        See `training.loop.train_network`.
    """
    make_folder(folder)
    settings = settings_of(start, config, bool(lessons.known))
    description = dataclasses.replace(draft_description(settings), decision=start.description.decision)
    look = functools.partial(validation_look, settings, description, lessons.judging, device)
    watch = Watch(look, seconds=seconds)
    sources = [*lessons.known, *lessons.teaching]
    checkpoint = train_network(settings, sources, folder, device, workers, watch)
    # What it reaches on synthetic images says little, and stands in the report of the adaptation.
    reached: Dict[str, Any] = {"validation": {}, "validation_images": 0, "decoders": {}}
    card = functools.partial(adapted_card, card=read_card(start.folder))
    known = Known(start.description.decision, reached, card)
    return make_bundle(settings, checkpoint, lessons.judging, folder / MODEL, lessons.teaching, known)


def settings_of(start: Bundle, config: TeachConfig, has_known: bool) -> TrainConfig:
    """Return the settings of the training.

    Parameters
    ----------
    start : Bundle
    config : TeachConfig
    has_known : bool
        Whether images that the model learnt from stand beside the synthetic ones; otherwise simulated fields do.
    """
    chosen: Dict[str, Any] = {
        "initial": start.description.name if start.folder.parent == ZOO else str(start.folder),
        "steps": config.steps,
        "seed": config.seed,
        "falling": True,
        "validate_every": 0,
        "plain_share": TrainConfig.plain_share,
        "simulated_share": 0.0 if has_known else 1 - config.share,
        "synthetic_share": config.share,
        "description": "Nuclei in images like those that it was adapted to",
        "licence": start.description.licence,
    }
    return own_config(config.name or start.description.name, 0, start.description, **chosen)


def usual_fields(seed: int = 0) -> List[AnnotatedImage]:
    """Simulate fields of all kinds, which no training sees, to tell whether a model forgets."""
    fields = []
    for number in range(USUAL_FIELDS):
        rng = np.random.default_rng([seed, 7, number])
        field = simulate_annotated(random_config(rng, (USUAL_SIDE, USUAL_SIDE), (12.0, 60.0)), rng)
        if field.labels.any():
            fields.append(prepare(f"usual{number}", field.image, field.labels, simulated=True))
    return fields
