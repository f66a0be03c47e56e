"""A laboratory's own images: from a few annotated fields to a model, and to the knowledge of how much better it is.

The folder ``NAME_training`` beside the model ``NAME`` holds all that comes about: the settings and the split
(``plan.json``), a folder per run with its checkpoint, log and model, the validation images with the nuclei of each
method, and the page (``report.html``). A training that was stopped goes on there.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional

from nucdl_core.config import DEFAULT_MODEL, require
from nucdl_core.errors import ConfigError
from nucdl_core.files.locks import hold_lock
from nucdl_core.files.writing import make_folder
from nucdl_core.model.bundle import ZOO, Bundle, find_bundle, list_bundles, read_bundle, read_description
from nucdl_core.model.device import resolve_device
from nucdl_core.model.loading import load_model
from nucdl_core.model.registry import DEFAULT_FAMILY, default_model, family_of
from nucdl_core.steps.instances import Decision
from nucdl_core.training.conclusion import Outcome, conclude
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.defaults import model_name, own_config
from nucdl_core.training.judging import OWN, Finder, Judging
from nucdl_core.training.plan import VALIDATION, Plan, digest_of, working_folder
from nucdl_core.training.reading import read_annotated
from nucdl_core.training.recipe import read_train_config, refuse_what_is_no_model, split
from nucdl_core.training.runs import Workshop, train_run
from nucdl_core.training.sources import AnnotatedImage
from nucdl_core.training.split import Part, parts_of

NO_START = "none"
# Hidden, as what does not belong to a training in its folder.
LOCK_FILE = ".lock"
# Share of the time, and seconds, that are left for reading, calibration, the comparison and the page.
LEFT_FOR_THE_END, SECONDS_FOR_THE_END = 0.2, 20.0


@dataclass(frozen=True)
class OwnImages:
    """What a person wants a model to be made of.

    Attributes
    ----------
    images, masks : Path
        See `reading.read_annotated`.
    output : Path
        Folder of the new model.
    start : str or None
        Model to begin with: a bundled one's name or a folder; "none" begins with chance, None with the bundled model of
        the architecture, or with chance where there is none.
    architecture : str or None
        A key of `model.registry.FAMILIES`; None takes that of the model to begin with.
    max_minutes : float or None
        How long it may take.
    validation_images : int or None
        How many images judge, see `split.parts_of`.
    repeats : int
        How often it is trained, each time with other chance; the best one becomes the model.
    augmentation : str
        See `augment.classes_of`.
    synthetic : float or None
        Share of crops that show artificial images, made of those that teach; see `artificial.artificial_sources`.
    config : Path or None
        A configuration file, whose settings are taken instead of those that follow from the number of nuclei.
    masks_format : str or None
        Format of the masks where it cannot be recognized.
    device : str
        "auto", "cpu" or "cuda".
    workers : int
        Processes that make crops.
    """

    images: Path
    masks: Path
    output: Path
    start: Optional[str] = None
    architecture: Optional[str] = None
    max_minutes: Optional[float] = None
    validation_images: Optional[int] = None
    repeats: int = 1
    augmentation: Optional[str] = None
    synthetic: Optional[float] = None
    config: Optional[Path] = None
    masks_format: Optional[str] = None
    device: str = "auto"
    workers: int = 1

    def __post_init__(self) -> None:
        require(
            self.output.name not in list_bundles(),
            f"the output is called {self.output.name}, as a bundled model, and --model {self.output.name} would take "
            "that one; name another output",
        )
        require(self.repeats >= 1, f"repeats is {self.repeats}; give at least 1")
        require(
            self.max_minutes is None or self.max_minutes > 0,
            f"max_minutes is {self.max_minutes}; give a positive number of minutes",
        )
        require(
            self.validation_images is None or self.validation_images >= 1,
            f"validation_images is {self.validation_images}; give at least 1",
        )

    @property
    def folder(self) -> Path:
        """Where everything but the finished model goes."""
        return working_folder(self.output)


def train_on_own_images(request: OwnImages, others: Mapping[str, Finder] = {}) -> Outcome:
    """Train a model on own images, judge it on images that it did not learn from, and report.

    Parameters
    ----------
    request : OwnImages
    others : mapping of str to Finder
        Other ways to find nuclei, to compare with, such as the classic pipeline, by the name they are shown with.

    Returns
    -------
    Outcome

    Raises
    ------
    ConfigError, BundleError, DeviceError
        If a setting, a model or the device cannot be used, or the output holds something else.
    ImageError
        If the annotated images cannot be used.
    NucDLError
        If something cannot be written.
    """
    # What is wrong is said before the images are read, and what is wrong with them before anything is computed.
    refuse_what_is_no_model(request.output)
    start, device = starting_model(request), resolve_device(request.device)
    settings_for(request, start, nuclei=1)
    sources = {source.name: source for source in read_annotated(request.images, request.masks, request.masks_format)}
    parts = parts_for(request, sources)
    config = settings_for(request, start, min(nuclei_of(sources[name] for name in part.training) for part in parts))
    before = start or read_bundle(find_bundle(model_beside(config.architecture)))
    make_folder(request.folder)
    with hold_lock(request.folder / LOCK_FILE) as is_ours:
        if not is_ours:
            raise ConfigError(
                f"another training works in {request.folder}; wait for it, end it, or name another output"
            )
        images = {name: digest_of(source) for name, source in sources.items()}
        Plan(config, parts, images, before.sha256).keep(request.folder)
        judging = Judging(request.folder / VALIDATION, [sources[name] for part in parts for name in part.validation])
        judging.find(before.description.name, load_model(before.folder, device))
        shop = Workshop(
            config=config,
            parts=parts,
            sources=sources,
            folder=request.folder,
            device=device,
            workers=request.workers,
            seconds=seconds_for_each(request, len(parts)),
            decision=known_decision(request, start, before, config),
            before=judging.scores(before.description.name),
        )
        runs = [train_run(shop, number) for number in range(request.repeats)]
        best = max(runs, key=lambda run: run.score)
        for part, folder in zip(parts, best.models):
            judging.find(OWN, load_model(folder, device), part.validation)
        return conclude(request.output, shop, judging, runs, before, others)


def starting_model(request: OwnImages) -> Optional[Bundle]:
    """Find the model to begin with; None begins with chance.

    Raises
    ------
    BundleError
        If there is no such model or architecture.
    ConfigError
        If the model is of another architecture than the one that is wanted, or lies in the folder of this training.
    """
    if request.architecture is not None:
        family_of(request.architecture)
    config = None if request.config is None else read_train_config(request.config)
    if config is not None and request.architecture not in (None, config.architecture):
        raise ConfigError(
            f"the architecture {request.architecture} is wanted, but {request.config} says {config.architecture}; "
            "say it in one place"
        )
    if request.start == NO_START:
        return None
    wanted = request.start
    if wanted is None and config is not None:
        wanted = config.initial
        if not wanted:
            return None
    if wanted is None and family_of(request.architecture or DEFAULT_FAMILY).bundled is None:
        return None
    bundle = read_bundle(find_bundle(wanted or default_model(request.architecture or DEFAULT_FAMILY)))
    if request.folder.resolve() in bundle.folder.resolve().parents:
        raise ConfigError(
            f"the model to begin with lies in {request.folder}, the folder of this training, which would remove it; "
            "copy it elsewhere, or name another output"
        )
    if request.architecture not in (None, bundle.description.architecture):
        raise ConfigError(
            f"the model {bundle.description.name} to begin with is a {bundle.description.architecture}, but the "
            f"architecture {request.architecture} is wanted; name a model of it, or begin with none"
        )
    if config is not None and config.architecture != bundle.description.architecture:
        raise ConfigError(
            f"the model {bundle.description.name} to begin with is a {bundle.description.architecture}, but "
            f"{request.config} says {config.architecture}; name a model of it, or begin with none"
        )
    return bundle


def settings_for(request: OwnImages, start: Optional[Bundle], nuclei: int) -> TrainConfig:
    """Put together the settings: what a person chose, else a configuration file, else what the nuclei suggest.

    Raises
    ------
    ConfigError
        If one of them cannot be used.
    """
    chosen: Dict[str, Any] = {}
    if request.augmentation is not None:
        chosen["augmentation"] = request.augmentation
    if request.synthetic is not None:
        chosen["synthetic_share"] = request.synthetic
    if request.validation_images is not None:
        chosen["validation_images"] = request.validation_images
    if request.start == NO_START:
        chosen["initial"] = ""
    if start is not None:
        bundled = start.folder.parent == ZOO
        chosen["initial"] = start.description.name if bundled else str(start.folder)
    if request.config is not None:
        return dataclasses.replace(read_train_config(request.config), **chosen)
    if start is None:
        family = request.architecture or DEFAULT_FAMILY
        bundled_one = read_description(find_bundle(model_beside(family)))
        chosen.update(architecture=family, canonical_diameter=bundled_one.canonical_diameter)
    return own_config(model_name(request.output.name), nuclei, None if start is None else start.description, **chosen)


def model_beside(family: str) -> str:
    """Name the bundled model that a model of a family begins with or is compared with: its own, or the default one."""
    return family_of(family).bundled or DEFAULT_MODEL


def known_decision(
    request: OwnImages, start: Optional[Bundle], before: Bundle, config: TrainConfig
) -> Optional[Decision]:
    """Return the decision that calibration begins with; None searches it from the ground."""
    if start is None and (request.config is not None or before.description.family != config.architecture):
        return None
    return before.description.decision


def parts_for(request: OwnImages, sources: Mapping[str, AnnotatedImage]) -> List[Part]:
    """Part the images: as a configuration file says, or see `split.parts_of`.

    Raises
    ------
    ImageError
        If there are too few.
    """
    wanted = request.validation_images
    if request.config is not None and wanted is None:
        config = read_train_config(request.config)
        if config.validation_images is None:
            training, validation = split(list(sources.values()), config)
            return [Part(tuple(source.name for source in training), tuple(source.name for source in validation))]
        wanted = config.validation_images
    return parts_of({name: source.group for name, source in sources.items()}, wanted)


def nuclei_of(sources: Iterable[AnnotatedImage]) -> int:
    """Count the annotated nuclei of images."""
    return sum(len(source.sizes) - 1 for source in sources)


def seconds_for_each(request: OwnImages, parts: int) -> float:
    """Return how long each network may learn, so that all of them and what follows keep the time that was given."""
    if request.max_minutes is None:
        return math.inf
    networks = request.repeats * parts + (1 if parts > 1 else 0)
    given = request.max_minutes * 60
    return max(given * (1 - LEFT_FOR_THE_END) - SECONDS_FOR_THE_END, given * LEFT_FOR_THE_END) / networks
