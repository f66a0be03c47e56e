"""The end of a training on own images: is the new model better, where does it go, and the page that says so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Sequence

import numpy as np

from nucdl_core.errors import NucDLError
from nucdl_core.model.bundle import Bundle, read_description
from nucdl_core.reports.training_page import TrainingPage, write_training_page
from nucdl_core.scores.matching import summarize
from nucdl_core.scores.significance import bootstrap_interval
from nucdl_core.training.judging import IMAGES_FOLDER, OWN, Finder, Judging, scores_of_method
from nucdl_core.training.plan import APART, REPORT
from nucdl_core.training.recipe import Known, make_bundle, refuse_what_is_no_model
from nucdl_core.training.runs import Run, Workshop, copy_model, train_on_everything
from nucdl_core.training.sources import AnnotatedImage
from nucdl_core.training.verdict import Verdict, judge


@dataclass(frozen=True)
class Outcome:
    """What came of a training or an adaptation.

    Attributes
    ----------
    model : Path
        The new model: at the output, or, where it is not better than the one before, in the folder beside it.
    page : Path
        The report.
    verdict : Verdict
    notes : sequence of str
        What a person must know beside it.
    """

    model: Path
    page: Path
    verdict: Verdict
    notes: Sequence[str]


def conclude(
    output: Path,
    shop: Workshop,
    judging: Judging,
    runs: Sequence[Run],
    before: Bundle,
    others: Mapping[str, Finder],
) -> Outcome:
    """Compare the new model with the one before and with other ways, put it in its place, and write the page.

    Parameters
    ----------
    output : Path
        Where a better model goes.
    shop : Workshop
    judging : Judging
        With the nuclei that the new model and the one before found.
    runs : sequence of Run
    before : Bundle
    others : mapping of str to Finder
        Other ways to find nuclei, by the name they are shown with.

    Returns
    -------
    Outcome

    Raises
    ------
    NucDLError
        If something cannot be written.
    """
    notes = [*notes_on(shop.sources.values()), *notes_on_time(shop, runs), *try_others(judging, others)]
    if shop.decision is None:
        notes.append(
            "How the network's maps become nuclei was found on the judging images, so that the scores of your model on "
            "them are a little too good."
        )
    evaluation, nuclei = judging.evaluation()
    name, names = before.description.name, sorted(judging.judges)
    own, old = (np.array(scores_of_method(evaluation, method, names)) for method in (OWN, name))
    verdict = judge(own, old, name)
    model = output if verdict.better else shop.folder / APART
    refuse_what_is_no_model(model)
    if not verdict.better and output.exists():
        notes.append(f"{output} still holds the model of an earlier training.")
    best = max(runs, key=lambda run: run.score)
    if len(shop.parts) == 1:
        copy_model(best.models[0], model)
    else:
        scores = evaluation.scores[evaluation.scores["method"] == OWN]
        reached = {"validation": summarize(scores), "validation_images": len(names), "decoders": {}}
        learn_from_all(shop, best, model, reached)
        notes.append(
            "Each half of your images judged a model that had learnt from the other half. Your model learnt from all."
        )
    page = TrainingPage(
        name=shop.config.name,
        sentence=verdict.sentence,
        better=verdict.better,
        before=name,
        facts={**facts(shop, runs), "model": str(model)},
        notes=notes,
        curves={label: lines for run in runs for label, lines in run.curves.items()},
        start=float(old.mean()),
    )
    write_training_page(shop.folder / REPORT, page, evaluation, nuclei.table(), judging.pictures())
    return Outcome(model, shop.folder / REPORT, verdict, notes)


def learn_from_all(shop: Workshop, best: Run, model: Path, reached: Dict[str, object]) -> None:
    """Make the model from all images, with the scores that were reached where each image judged once."""
    checkpoint = train_on_everything(shop, best)
    everything = list(shop.sources.values())
    # It has learnt from all images, so that none can judge decisions: one that was found with half of them is taken.
    decision = shop.decision or read_description(best.models[0]).decision
    make_bundle(shop.config, checkpoint, everything, model, everything, Known(decision, reached))


def notes_on(sources: Iterable[AnnotatedImage]) -> List[str]:
    """Say what a person must know about the images."""
    dark = sum(source.inverted for source in sources)
    if dark == 0:
        return []
    return [
        f"{dark} of your images show dark nuclei and were inverted for training. The model expects bright ones: invert "
        "such images before you use it (in CellProfiler with ImageMath)."
    ]


def notes_on_time(shop: Workshop, runs: Sequence[Run]) -> List[str]:
    """Say if the time that was given was up before a network had learnt as long as it might."""
    curves = [lines for run in runs for lines in run.curves.values()]
    # A log has whole seconds.
    if all(
        lines and lines[-1]["seconds"] < math.floor(shop.seconds) for lines in curves if math.isfinite(shop.seconds)
    ):
        return []
    steps = min(int(lines[-1]["step"]) if lines else 0 for lines in curves)
    return [
        f"The time that was given was up after {steps} of at most {shop.config.steps} steps. With more minutes the "
        "model may become better: the same command with more of them goes on."
    ]


def try_others(judging: Judging, others: Mapping[str, Finder]) -> List[str]:
    """Let other ways find the nuclei; return a sentence about each one that could not."""
    notes = []
    for method, finder in others.items():
        try:
            judging.add(method, finder(judging.folder / IMAGES_FOLDER))
        except NucDLError as error:
            notes.append(f"Not compared with the {method}: {error}.")
    return notes


def facts(shop: Workshop, runs: Sequence[Run]) -> Dict[str, str]:
    """Say in a few words what was done."""
    config, best = shop.config, max(runs, key=lambda run: run.score)
    learnt, judged = ([len(part.training) for part in shop.parts], [len(part.validation) for part in shop.parts])
    seconds = sum(lines[-1]["seconds"] for run in runs for lines in run.curves.values() if lines)
    told = {
        "begun with": config.initial or "chance",
        "network": config.architecture,
        "images": f"{max(learnt)} taught, {sum(judged)} judged" + (" (in turn)" if len(shop.parts) > 1 else ""),
        "nuclei": f"{sum(len(source.sizes) - 1 for source in shop.sources.values())} annotated",
        "steps": f"{best.steps} of at most {config.steps}, {config.batch} crops each",
        "time": f"{seconds / 60:.0f} minutes of learning",
    }
    if len(runs) > 1:
        scores = np.array([[run.score] for run in runs])
        low, high = (float(bound[0]) for bound in bootstrap_interval(scores))
        told["repeats"] = (
            f"{len(runs)}, mean F1 {scores.mean():.3f} [{low:.3f}, {high:.3f}], the best of them is your model"
        )
    return told
