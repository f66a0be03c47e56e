"""The end of an adaptation: is the model better, where does it go, and the page that says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

import numpy as np

from nucdl_core.adaptation.evidence import gather_gains
from nucdl_core.adaptation.images import PlainImage, SeenImage
from nucdl_core.adaptation.judgement import describe, judge_without_truth
from nucdl_core.adaptation.request import AdaptRequest
from nucdl_core.adaptation.styles import Style
from nucdl_core.adaptation.teaching import usual_fields
from nucdl_core.arrays import Labels
from nucdl_core.errors import NucDLError
from nucdl_core.model.bundle import Bundle, find_bundle
from nucdl_core.model.loading import load_model
from nucdl_core.model.predictor import Predictor
from nucdl_core.reports.adaptation_page import AdaptationPage, ClusterOnPage, Outlined, write_adaptation_page
from nucdl_core.steps.normalize import normalize
from nucdl_core.synthesis.artificial import SyntheticImage
from nucdl_core.training.conclusion import Outcome
from nucdl_core.training.judging import find_nuclei, find_nuclei_in, mean_f1
from nucdl_core.training.plan import APART, REPORT
from nucdl_core.training.recipe import refuse_what_is_no_model
from nucdl_core.training.runs import copy_model
from nucdl_core.training.sources import AnnotatedImage, truth_of
from nucdl_core.training.split import draw_of
from nucdl_core.training.verdict import Verdict, is_better, judge

SECOND_MODEL = "nuclei_maskrcnn"
"""A model of another architecture, whose opinion counts where it can be used."""
MOST_LOOKED_AT = 20
"""Images on which models are compared without truth."""
PICTURES, MOST_CHANGES = 4, 6
"""Pictures of a cluster on the page, and images before and after."""

Told = List[Tuple[str, str]]
"""What speaks for or against a model, and by how much."""

BeforeAfter = Dict[str, Tuple[Labels, Labels]]
"""What was found before and after, by the names of the images."""


@dataclass(frozen=True)
class Models:
    """The model before and after.

    Attributes
    ----------
    start : Bundle
    before, after : Predictor
    folder : Path
        Of the new model.
    """

    start: Bundle
    before: Predictor
    after: Predictor
    folder: Path

    @property
    def name(self) -> str:
        """What the model before is called."""
        return self.start.description.name


@dataclass(frozen=True)
class Material:
    """What the adaptation was made of.

    Attributes
    ----------
    images : sequence of PlainImage
    annotated : mapping of str to int32 array (H, W)
        Annotations of some of them.
    seen : sequence of SeenImage
        Those whose appearance is known.
    styles : sequence of Style
        One per cluster.
    made : sequence of sequences of SyntheticImage
        What was made for each style.
    judging : sequence of AnnotatedImage
        Synthetic images that did not teach.
    held_out : sequence of AnnotatedImage
        Images of the kinds that the model learnt from, which did not teach; may be empty.
    """

    images: Sequence[PlainImage]
    annotated: Mapping[str, Labels]
    seen: Sequence[SeenImage]
    styles: Sequence[Style]
    made: Sequence[Sequence[SyntheticImage]]
    judging: Sequence[AnnotatedImage]
    held_out: Sequence[AnnotatedImage]


def conclude_adaptation(
    request: AdaptRequest, models: Models, material: Material, known: Sequence[str] = ()
) -> Outcome:
    """Judge whether the adapted model is better, put it in its place, and write the page.

    Parameters
    ----------
    request : AdaptRequest
    models : Models
    material : Material
    known : sequence of str
        What a person must know of the images.

    Returns
    -------
    Outcome

    Raises
    ------
    NucDLError
        If something cannot be written.
    """
    found = find_before_and_after(models, material)
    verdict, evidence, notes = verdict_on(models, material, found)
    notes = [*known, *notes]
    if material.held_out:
        verdict = unless_it_forgot(verdict, models, material.held_out, evidence)
    model = request.output if verdict.better else request.folder / APART
    refuse_what_is_no_model(model)
    if not verdict.better and request.output.exists():
        notes.append(f"{request.output} still holds the model of an earlier adaptation.")
    copy_model(models.folder, model)
    page = AdaptationPage(
        name=request.output.name,
        sentence=verdict.sentence,
        better=verdict.better,
        before=models.name,
        facts={**_facts(request, material), "model": str(model)},
        notes=notes,
        evidence=evidence,
        clusters=[cluster_on_page(material, number) for number in range(len(material.styles))],
        changes=changes(material, found),
    )
    write_adaptation_page(request.folder / REPORT, page)
    return Outcome(model, request.folder / REPORT, verdict, notes)


def find_before_and_after(models: Models, material: Material) -> BeforeAfter:
    """Find nuclei in the annotated images, or in some of all, with both models."""
    names = sorted(material.annotated or [image.name for image in material.images], key=draw_of)[:MOST_LOOKED_AT]
    images = {image.name: normalize(image.image) for image in material.images if image.name in names}
    return {
        name: (find_nuclei_in(images[name], models.before), find_nuclei_in(images[name], models.after))
        for name in names
    }


def verdict_on(models: Models, material: Material, found: BeforeAfter) -> Tuple[Verdict, Told, List[str]]:
    """Judge by annotated images where there are some, or else without truth.

    Returns
    -------
    Verdict, Told, list of str
        What to do, what speaks for or against it, and what a person must know.
    """
    if material.annotated:
        pairs = [[mean_f1(material.annotated[name], labels) for labels in found[name]] for name in found]
        before, after = np.array(pairs).T
        told = [("mean F1 on your annotated images", _change(float(before.mean()), float(after.mean())))]
        return judge(after, before, models.name), told, []
    images = {image.name: image.image for image in material.images}
    second, notes = _second_model(models)
    evidence = gather_gains(
        [normalize(images[name]) for name in found],
        [models.before, models.after],
        second,
        material.judging,
        usual_fields(),
    )
    return judge_without_truth(evidence, models.name), describe(evidence), notes


def unless_it_forgot(verdict: Verdict, models: Models, held_out: Sequence[AnnotatedImage], evidence: Told) -> Verdict:
    """Refuse a model that became clearly worse on images of the kinds that it knew; add what was seen to `evidence`."""
    scores = [
        np.array([mean_f1(truth_of(source), find_nuclei(source, model)) for source in held_out])
        for model in (models.before, models.after)
    ]
    before, after = (float(each.mean()) for each in scores)
    evidence.append(("mean F1 on images of the kinds that it knew, which did not teach", _change(before, after)))
    if not is_better(*scores):
        return verdict
    return Verdict(
        False,
        f"Do not use the adapted model: on {len(held_out)} annotated images of the kinds that it knew, the mean F1 "
        f"fell from {before:.3f} to {after:.3f}. Keep {models.name}.",
    )


def _second_model(models: Models) -> Tuple[Predictor | None, List[str]]:
    try:
        return load_model(find_bundle(SECOND_MODEL), models.before.device), []
    except NucDLError as error:
        return None, [f"The opinion of a second model, {SECOND_MODEL}, is missing: {error}."]


def _facts(request: AdaptRequest, material: Material) -> Dict[str, str]:
    """Say in a few words what was done."""
    return {
        "images": f"{len(material.images)}, {len(material.annotated)} of them annotated",
        "clusters": str(len(material.styles)),
        "new images": f"{sum(len(pairs) for pairs in material.made)}, made by {request.painter}",
        "steps": f"at most {request.teaching.steps}, {request.teaching.share:.0%} of the crops synthetic",
    }


def cluster_on_page(material: Material, number: int) -> ClusterOnPage:
    """Show some images of a cluster, and some that were made for it."""
    style = material.styles[number]
    members = [image for image in material.seen if image.name in style.members]
    real: List[Outlined] = [(image.name, image.image, image.labels) for image in members[:PICTURES]]
    made: List[Outlined] = [
        ("made, with its true nuclei", pair.image, pair.labels) for pair in material.made[number][:PICTURES]
    ]
    wanted = np.median([image.appearance.diameter for image in members])
    text = (
        f"{len(members)} images with nuclei of about {wanted:.0f} px. The simulator's fields differ from them by "
        f"{style.misfit:.2f} (0: not at all, 1: clearly, in the mean of 16 numbers)."
    )
    return ClusterOnPage(f"Cluster {number + 1}", text, real, made)


def changes(material: Material, found: BeforeAfter) -> List[Tuple[Outlined, Outlined]]:
    """Choose the images that changed most."""
    images = {image.name: image.image for image in material.images}
    order = sorted(found, key=lambda name: mean_f1(*found[name]))[:MOST_CHANGES]
    return [
        ((f"{name}, before", images[name], found[name][0]), (f"{name}, after", images[name], found[name][1]))
        for name in order
    ]


def _change(before: float, after: float) -> str:
    return f"{before:.3f} to {after:.3f}"
