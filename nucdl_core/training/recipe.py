"""From a configuration file and annotated images to a finished bundle."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import nn

from nucdl_core import __version__
from nucdl_core.arrays import AnyArray
from nucdl_core.config import from_mapping
from nucdl_core.errors import BundleError, ConfigError, ImageError
from nucdl_core.files.writing import make_folder, replaced_folder, write_bytes
from nucdl_core.model.bundle import (
    BUNDLE_FORMAT,
    CARD,
    DESCRIPTION,
    TEST,
    WEIGHTS,
    BundleDescription,
    Companion,
    find_bundle,
    read_bundle,
    write_description,
)
from nucdl_core.model.card import model_card, own_card
from nucdl_core.model.device import resolve_device
from nucdl_core.model.fitness import MadeFor, made_for
from nucdl_core.model.loading import dtype_for, load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.model.registry import build_network, family_of, predictor_class, require_maps
from nucdl_core.model.weights import load_weights
from nucdl_core.scores.matching import image_scores, summarize
from nucdl_core.segment import Job, segment_normalized
from nucdl_core.simulate.field import random_config
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.normalize import HIGH_PERCENTILE, LOW_PERCENTILE, NormalizedImage
from nucdl_core.training.artificial import with_artificial
from nucdl_core.training.calibrate import PredictedTruth, calibrate, predict_image, recalibrate
from nucdl_core.training.checkpoint import load_finished
from nucdl_core.training.collections import Collection, read_collections, validation_groups
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.defocus import simulate_annotated
from nucdl_core.training.fingerprints import fingerprints_of, training_fingerprints
from nucdl_core.training.judging import validation_score
from nucdl_core.training.loop import Watch, train_network
from nucdl_core.training.sources import (
    AnnotatedImage,
    image_of,
    kind_of,
    prepare,
    truth_of,
)
from nucdl_core.training.split import group_weights, is_validation

TEST_SIDE = 96
# Simulated fields for calibration; training crops come from other seeds.
SIMULATED, SIMULATED_SEED = 40, 1_000_003


def read_train_config(path: Path) -> TrainConfig:
    """Read a training configuration, a JSON object with the attributes of `TrainConfig`; see `settings_in`.

    Raises
    ------
    ConfigError
        Also if it holds unknown keys or values out of range.
    """
    try:
        return from_mapping(TrainConfig, settings_in(path))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def settings_in(path: Path) -> Dict[str, Any]:
    """Read a JSON object with settings.

    Raises
    ------
    ConfigError
        If it is not one.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a readable JSON file: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}; a JSON object with settings was expected")
    return values


def train(
    config: TrainConfig, data: Sequence[Collection], output: Path, device: str = "auto", workers: int = 1
) -> Path:
    """Train, calibrate and bundle a model.

    Parameters
    ----------
    config : TrainConfig
    data : sequence of Collection
        Folders with ``images`` and ``masks``; see `training.reading.read_annotated_images`.
    output : Path
        Receives the checkpoint, the log, and the bundle in a folder of the model's name. Training goes on from
        a checkpoint that is there.
    device : str
        "auto", "cpu" or "cuda".
    workers : int
        Processes that make crops.

    Returns
    -------
    Path
        The bundle.

    Raises
    ------
    ConfigError
        If the folder of the bundle holds something else.
    NucDLError
        If data or companion cannot be used, or something cannot be written.
    """
    make_folder(output)
    # What is missing or in the way is refused before the hours of training, not after them.
    companion_of(config)
    refuse_what_is_no_model(output / config.name)
    training, validation = split(read_collections(data, config.experiments), config)
    device = resolve_device(device)
    look = functools.partial(validation_look, config, draft_description(config), validation, device)
    watch = Watch(look) if config.validate_every else None
    lessons = with_artificial(training, config)
    checkpoint = train_network(config, lessons, output, device, workers, watch)
    return make_bundle(config, checkpoint, validation, output / config.name, training)


def refuse_what_is_no_model(folder: Path) -> None:
    """Refuse to put a model in the place of a folder that holds something else, such as the training images.

    Raises
    ------
    ConfigError
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DESCRIPTION).is_file():
        raise ConfigError(f"{folder} holds something else than a model; name another output, or empty this folder")


def split(sources: Sequence[AnnotatedImage], config: TrainConfig) -> Tuple[List[AnnotatedImage], List[AnnotatedImage]]:
    """Part images into training and validation, groups as a whole.

    See `TrainConfig.modality`, `training.split.is_validation` and `training.collections.validation_groups`.
    """
    groups = validation_groups(sources, config.validation_parts)
    judges = [
        source.group in groups[source.collection]
        if source.group
        else is_validation(source.name, config.validation_parts)
        for source in sources
    ]
    training = [source for source, judging in zip(sources, judges) if not judging]
    held_out = [source for source, judging in zip(sources, judges) if judging]
    validation = [source for source in held_out if config.modality in ("", source.modality)]
    if not training or not validation:
        raise ImageError(
            f"{len(sources)} images give {len(training)} for training and {len(validation)} for validation; "
            "at least one each is needed: add images, or lower validation_parts"
        )
    return training, validation


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of a model before it is calibrated.

    Attributes
    ----------
    decision : Decision
        One that is known to be good, which is left only for a clear gain.
    reached : dict, optional
        What it, or models of the same kind, reached, where it is to be neither calibrated nor judged on the validation
        images: because it has learnt from them, or because others are to be judged by the same decision.
    card : callable
        Writes its card.
    """

    decision: Decision
    reached: Optional[Dict[str, Any]] = None
    card: Callable[[BundleDescription], str] = own_card


def make_bundle(
    config: TrainConfig,
    checkpoint: Path,
    validation: Sequence[AnnotatedImage],
    folder: Path,
    taught: Sequence[AnnotatedImage],
    known: Optional[Known] = None,
) -> Path:
    """Turn a checkpoint into a bundle with a decision calibrated on the validation images.

    A model that is there already is replaced when the new one is finished and has passed its own test; if this process
    ends before, it stays as it was.

    Parameters
    ----------
    config : TrainConfig
    checkpoint : Path
    validation : sequence of AnnotatedImage
        Images that the network was not trained on.
    folder : Path
        Of the bundle.
    taught : sequence of AnnotatedImage
        The images that it was trained on.
    known : Known, optional
        What is known of it before; without it the decision is searched from the ground, on simulated fields as well.

    Returns
    -------
    Path
        The folder.
    """
    weights, network = half_precision(config, checkpoint), build_network(config.architecture, config.arguments)
    load_weights(network, weights, checkpoint)
    draft = draft_description(config)
    predictor = predictor_class(draft.family)(network, draft, "cpu", torch.float32)
    with predictor.recording() as recorded:
        seen = predict_all(validation, predictor) if known is None else predict_each(validation, predictor)
    decoders: Dict[str, float] = {}
    reached, card = (None, model_card) if known is None else (known.reached, known.card)
    if known is None:
        decision, decoders = calibrate(seen, predictor)
    else:
        decision = known.decision if reached else recalibrate(seen, predictor, known.decision)
    predictor.description = dataclasses.replace(draft, decision=decision)
    metrics = reached or {**scores_on(validation, predictor), "decoders": decoders}
    training = {"images": len(taught), "config": dataclasses.asdict(config), "nucdl": __version__}
    training["fingerprints"] = sorted({*fingerprints_of(taught), *fingerprints_before(config)})
    made = purpose_of(config, taught, general=known is None)
    description = dataclasses.replace(predictor.description, training=training, metrics=metrics, made_for=made)
    sample = np.ascontiguousarray(image_of(validation[0])[:TEST_SIDE, :TEST_SIDE])
    test = {name: values.astype(np.float16) for name, values in predictor.respond(sample).items()}
    files = {WEIGHTS: weights, TEST: {"input": sample, **test}, **recorded}
    with replaced_folder(folder) as new:
        write_bundle(new, description, files, card)
        load_model(new, "cpu").self_test(new)
    return folder


def fingerprints_before(config: TrainConfig) -> Sequence[str]:
    """Return the fingerprints of the images that taught the model with which a training began; none if it is gone."""
    if not config.initial:
        return ()
    try:
        return training_fingerprints(read_bundle(find_bundle(config.initial)))
    except BundleError:
        return ()


def write_bundle(
    folder: Path,
    description: BundleDescription,
    files: Mapping[str, Mapping[str, AnyArray]],
    card: Callable[[BundleDescription], str] = model_card,
) -> None:
    """Write tensors, model card and description into an empty folder."""
    for name, tensors in files.items():
        write_bytes(folder / name, save(dict(tensors)))
    write_bytes(folder / CARD, card(description).encode("utf-8"))
    write_description(folder, description)


def predict_all(validation: Sequence[AnnotatedImage], predictor: Predictor) -> List[PredictedTruth]:
    """Predict the validation images and as many fresh simulated fields, which no training crop shows.

    Each laboratory counts the same, however many images it gave, since the next one, for which the decision is made,
    may draw its outlines like any of them. The simulated fields count as one laboratory: they bring what annotators
    seldom draw exactly, crowded nuclei of different size with outlines that are known.
    """
    generators = [np.random.default_rng([SIMULATED_SEED, number]) for number in range(SIMULATED)]
    fields = [simulate_annotated(random_config(rng, (256, 256)), rng) for rng in generators]
    simulated = [
        prepare("simulated", field.image, field.labels, simulated=True) for field in fields if field.labels.max() > 0
    ]
    images = [*validation, *simulated]
    weights = np.concatenate([_each_kind_the_same(validation), np.full(len(simulated), 1 / len(simulated))])
    predicted = [
        predict_image(image_of(source), truth_of(source), predictor, weight) for source, weight in zip(images, weights)
    ]
    return [dataclasses.replace(image, simulated=n >= len(validation)) for n, image in enumerate(predicted)]


def _each_kind_the_same(validation: Sequence[AnnotatedImage]) -> NDArray[np.float64]:
    kinds = [kind_of(source) for source in validation]
    return np.array([1 / kinds.count(kind) for kind in kinds], np.float64)


def purpose_of(config: TrainConfig, taught: Sequence[AnnotatedImage], general: bool) -> MadeFor:
    """Say which images a model was made for; a general one also for nuclei of all sizes that crops were scaled to."""
    modalities = {source.modality for source in taught}
    usual = modalities.pop() if len(modalities) == 1 else ""
    if not usual and not any(source.inverted for source in taught):
        usual = "fluorescence"
    diameters = [source.diameter for source in taught]
    scaled_to = config.diameter_range if general else None
    return made_for(diameters, [source.dtype for source in taught], config.modality or usual, scaled_to)


def scores_on(validation: Sequence[AnnotatedImage], predictor: Predictor) -> Dict[str, Any]:
    """Score a model on the validation images, as its bundle's metrics say it."""
    rows = [
        image_scores(truth_of(source), segment_normalized(Job(NormalizedImage(image_of(source)), predictor)).labels)
        for source in validation
    ]
    metrics = {"validation": summarize(pd.DataFrame(rows)), "validation_images": len(rows)}
    kinds = [kind_of(source) for source in validation]
    if any(source.collection for source in validation):
        of_kind = {kind: [row for row, each in zip(rows, kinds) if each == kind] for kind in sorted(set(kinds))}
        metrics["kinds"] = {
            kind: {"images": len(some), **summarize(pd.DataFrame(some))} for kind, some in of_kind.items()
        }
    return metrics


def predict_each(validation: Sequence[AnnotatedImage], predictor: Predictor) -> List[PredictedTruth]:
    """Predict the validation images, each group counting the same."""
    weights = group_weights([source.group for source in validation])
    return [
        predict_image(image_of(source), truth_of(source), predictor, weight)
        for source, weight in zip(validation, weights)
    ]


def companion_of(config: TrainConfig) -> Optional[Companion]:
    """Identify the model that a network without maps will rely on for sizes; None for other networks."""
    if family_of(config.architecture).tells_sizes:
        return None
    bundle = read_bundle(find_bundle(config.companion))
    require_maps(bundle.description)
    return Companion(config.companion, bundle.sha256)


def draft_description(config: TrainConfig) -> BundleDescription:
    """Describe a model before it is calibrated."""
    return BundleDescription(
        format=BUNDLE_FORMAT,
        name=config.name,
        description=config.description,
        licence=config.licence,
        family=config.architecture,
        architecture=config.architecture,
        arguments=config.arguments,
        normalization={"name": "percentile", "low": LOW_PERCENTILE, "high": HIGH_PERCENTILE},
        canonical_diameter=config.prediction_diameter or config.canonical_diameter,
        decision=Decision(**family_of(config.architecture).decision),
        companion=companion_of(config),
        rescaled=config.rescaled,
        files={WEIGHTS: "", TEST: ""},
    )


def finished_network(config: TrainConfig, network: nn.Module) -> nn.Module:
    """Return a copy of a network that is being taught, as it will be used: its sizes relative to the diameter there."""
    finished = copy.deepcopy(network)
    if family_of(config.architecture).tells_sizes and config.prediction_diameter is not None:
        octaves = float(np.log2(config.canonical_diameter / config.prediction_diameter))
        finished.shift_size(octaves)  # type: ignore[operator]
    return finished


def learning_predictor(
    config: TrainConfig, description: BundleDescription, network: nn.Module, device: str
) -> Predictor:
    """Return a predictor of a network that is being taught, as it would be used now; the network stays as it is."""
    finished = finished_network(config, network)
    return predictor_class(description.family)(finished, description, device, dtype_for(description, device))


def validation_look(
    config: TrainConfig,
    description: BundleDescription,
    validation: Sequence[AnnotatedImage],
    device: str,
    network: nn.Module,
    step: int,
) -> float:
    """Score a network that is being taught on the validation images, by the decision of the description.

    Parameters
    ----------
    config, description, device
        See `learning_predictor`.
    validation : sequence of AnnotatedImage
    network, step
        See `loop.Watch`.

    Returns
    -------
    float
        See `judging.validation_score`.
    """
    return validation_score(validation, learning_predictor(config, description, network, device))


def half_precision(config: TrainConfig, checkpoint: Path) -> Dict[str, AnyArray]:
    """Take the weights of a checkpoint that become the model, in half the size.

    Half precision suffices for the weights of convolutions and layers; the small vectors keep single precision.
    """
    network = build_network(config.architecture, config.arguments)
    load_finished(checkpoint, network)
    return {
        name: tensor.numpy().astype(np.float16) if tensor.ndim >= 2 else tensor.numpy()
        for name, tensor in finished_network(config, network).state_dict().items()
    }
