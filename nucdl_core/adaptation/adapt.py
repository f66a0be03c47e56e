"""Adaptation of a model to images that nobody annotated, after Hollandi et al. (nucleAIzer).

The images are parted into clusters that look alike; for each one new images with known nuclei are made, and the model
learns from them beside images of the kinds that it knows. Whether it became better is judged by some annotated images,
or else without truth. The folder ``NAME_adaptation`` beside the model ``NAME`` holds all that comes about; an
adaptation that was stopped goes on there.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nucdl_core.adaptation.clusters import cluster_images
from nucdl_core.adaptation.conclusion import Material, Models, conclude_adaptation
from nucdl_core.adaptation.images import PlainImage, SeenImage, read_plain_images, seen_images
from nucdl_core.adaptation.request import AdaptRequest
from nucdl_core.adaptation.similarity import bundled_similarity
from nucdl_core.adaptation.styles import PIX2PIX, Style, simulated_style, translated_style
from nucdl_core.adaptation.teaching import TeachConfig, lessons_of, settings_of, teach_further
from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.exchange.annotations import read_annotations
from nucdl_core.files.locks import hold_lock
from nucdl_core.files.writing import make_folder
from nucdl_core.model.bundle import Bundle, find_bundle, read_bundle
from nucdl_core.model.device import resolve_device
from nucdl_core.model.loading import load_model
from nucdl_core.reports.page import require_libraries
from nucdl_core.steps.normalize import normalize
from nucdl_core.synthesis.nucleus_shapes import bundled_shapes
from nucdl_core.training.conclusion import Outcome
from nucdl_core.training.defaults import model_name
from nucdl_core.training.fingerprints import fingerprint, fingerprints_of, training_fingerprints
from nucdl_core.training.own_images import LEFT_FOR_THE_END, LOCK_FILE
from nucdl_core.training.plan import RUN, keep_run_plan
from nucdl_core.training.reading import check_nuclei, read_annotated_images
from nucdl_core.training.recipe import refuse_what_is_no_model
from nucdl_core.training.sources import AnnotatedImage
from nucdl_core.training.split import is_validation

KNOWN_PARTS = 8
"""One of so many images that the model learnt from judges whether it forgets, as in the training of bundled models."""
NAMED_AT_MOST = 3
SECONDS_FOR_PIX2PIX = 0.5
"""Share of the time that was given in which pix2pix networks learn."""


def adapt(request: AdaptRequest) -> Outcome:
    """Adapt a model, judge whether it became better, and report.

    Parameters
    ----------
    request : AdaptRequest

    Returns
    -------
    Outcome

    Raises
    ------
    ConfigError, BundleError, DeviceError
        If a setting, the model or the device cannot be used, or the output holds something else.
    ImageError
        If the images or the annotations cannot be used.
    NucDLError
        If something cannot be written.
    """
    began = time.monotonic()
    refuse_what_is_no_model(request.output)
    require_libraries()
    device, start = resolve_device(request.device), model_to_adapt(request)
    images = read_plain_images(request.images)
    annotated = annotations_of(request, images)
    known, held_out = known_images(request)
    make_folder(request.folder)
    with hold_lock(request.folder / LOCK_FILE) as is_ours:
        if not is_ours:
            raise ConfigError(
                f"another adaptation works in {request.folder}; wait for it, end it, or name another output"
            )
        keep_run_plan(request.folder, plan_of(request, start, images, annotated))
        before = load_model(start.folder, device)
        seen = seen_images(images, before, annotated)
        styles = styles_of(request, seen, device)
        made = [style.pairs(bundled_shapes(), seed=number) for number, style in enumerate(styles)]
        lessons, left = lessons_of(made, known), seconds_left(request, began)
        model = teach_further(start, lessons, teaching_of(request), request.folder / RUN, device, request.workers, left)
        models = Models(start, before, load_model(model, device), model)
        material = Material(images, annotated, seen, styles, made, lessons.judging, held_out)
        return conclude_adaptation(request, models, material, notes_on_images(images, start, [*known, *held_out]))


def teaching_of(request: AdaptRequest) -> TeachConfig:
    """Return how the model is taught; it is called as its output is."""
    return dataclasses.replace(request.teaching, name=model_name(request.output.name))


def model_to_adapt(request: AdaptRequest) -> Bundle:
    """Find the model to be adapted.

    Raises
    ------
    BundleError
        If there is none.
    ConfigError
        If it lies in the folder of this adaptation, which would remove it.
    """
    bundle = read_bundle(find_bundle(request.model))
    if request.folder.resolve() in bundle.folder.resolve().parents:
        raise ConfigError(
            f"the model to be adapted lies in {request.folder}, the folder of this adaptation; copy it elsewhere, or "
            "name another output"
        )
    return bundle


def annotations_of(request: AdaptRequest, images: Sequence[PlainImage]) -> Dict[str, Labels]:
    """Read the annotations of some of the images, by the names of the images.

    Raises
    ------
    ImageError
        If one cannot be read, belongs to none of the images, has another shape, or holds no nuclei.
    """
    if request.masks is None:
        return {}
    folders = [path for path in request.images if path.is_dir()]
    found = read_annotations(request.masks, folders[0] if folders else None)
    by_name = {image.name: image for image in images}
    for name, labels in found.items():
        if name not in by_name:
            raise ImageError(f"{request.masks}: {name} has no image of the same name; give image and mask one name")
        if by_name[name].image.shape != labels.shape:
            raise ImageError(
                f"the image {name} is {by_name[name].image.shape} but its mask is {labels.shape}; both must have the "
                "same shape"
            )
        check_nuclei(name, labels, None)
    return found


def known_images(request: AdaptRequest) -> Tuple[List[AnnotatedImage], List[AnnotatedImage]]:
    """Read images that the model learnt from before: those that teach again, and those that judge whether it forgets.

    Raises
    ------
    ImageError
        If they cannot be used.
    """
    if request.data is None:
        return [], []
    sources = read_annotated_images(request.data)
    judging = [source for source in sources if is_validation(source.name, KNOWN_PARTS)]
    return [source for source in sources if not is_validation(source.name, KNOWN_PARTS)], judging


def notes_on_images(images: Sequence[PlainImage], start: Bundle, known: Sequence[AnnotatedImage]) -> List[str]:
    """Say which images the model learnt from before: on them it is better than on new ones, and gains less."""
    learnt = {*training_fingerprints(start), *fingerprints_of(known)}
    same = [image.name for image in images if fingerprint(normalize(image.image)) in learnt]
    if not same:
        return []
    return [
        f"{len(same)} of {len(images)} images ({', '.join(same[:NAMED_AT_MOST])}) are among those that taught "
        f"{start.description.name}: what is seen on them says little about new ones."
    ]


def plan_of(
    request: AdaptRequest, start: Bundle, images: Sequence[PlainImage], annotated: Mapping[str, Labels]
) -> Dict[str, Any]:
    """Say what the adaptation is begun with, so that it goes on with the same and with nothing else."""
    return {
        "config": dataclasses.asdict(settings_of(start, teaching_of(request), request.data is not None)),
        "painter": request.painter,
        "translation": dataclasses.asdict(dataclasses.replace(request.translation, seconds=1.0)),
        "images": {image.name: _digest(image.image, annotated.get(image.name)) for image in images},
        "data": None if request.data is None else str(request.data.resolve()),
        "start": start.sha256,
    }


def styles_of(request: AdaptRequest, seen: Sequence[SeenImage], device: str) -> List[Style]:
    """Part the images into clusters that look alike, and learn how to make new images like those of each."""
    numbers = cluster_images(bundled_similarity(), [image.appearance for image in seen])
    styles = []
    for number in range(int(numbers.max()) + 1):
        members = [image for image, cluster in zip(seen, numbers) if cluster == number]
        if request.painter == PIX2PIX:
            share = SECONDS_FOR_PIX2PIX * seconds_given(request) / (int(numbers.max()) + 1)
            config = dataclasses.replace(request.translation, seconds=share)
            folder = request.folder / f"{RUN}_pix2pix{number + 1}"
            styles.append(translated_style(members, number, config, folder, device))
        else:
            styles.append(simulated_style(members, number))
    return styles


def seconds_given(request: AdaptRequest) -> float:
    """Return how long the adaptation may take; infinite where nobody said."""
    return math.inf if request.max_minutes is None else 60 * request.max_minutes


def seconds_left(request: AdaptRequest, began: float) -> float:
    """Return how long the model may be taught, so that what follows keeps the time that was given."""
    return max(seconds_given(request) * (1 - LEFT_FOR_THE_END) - (time.monotonic() - began), 1.0)


def _digest(image: AnyArray, labels: Optional[Labels]) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(image).tobytes())
    if labels is not None:
        digest.update(np.ascontiguousarray(labels).tobytes())
    return digest.hexdigest()[:16]
