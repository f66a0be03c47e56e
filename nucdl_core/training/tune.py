"""Fitting a model's decisions to annotated images with a genetic algorithm, as nucleAIzer does.

The network stays as it is; what changes is how its maps become nuclei: the four numbers of the decision and the six
of the contour correction (Hollandi et al., Cell Systems 2020, found theirs with a genetic algorithm that maximizes
the score of the Data Science Bowl on the training images). The algorithm here is scipy's differential evolution. A
decision is used with and without the correction, so that both count; and since ten numbers are soon fitted to a few
images, they are taken only where they are clearly better on images that took no part.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import differential_evolution

from nucdl_core.config import DEFAULT_MODEL, require
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.writing import replaced_folder, write_bytes
from nucdl_core.model.bundle import CARD, BundleDescription, find_bundle, read_bundle, write_description
from nucdl_core.model.card import tuned_card, untuned_card
from nucdl_core.model.device import resolve_device
from nucdl_core.model.loading import load_map_model
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.model.predictor import FINE_DIAMETER, Predictor
from nucdl_core.scores.matching import image_scores
from nucdl_core.steps.contours import CONTOURS_ONLY, Refinement, refine_objects
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.views import VIEW_SETS
from nucdl_core.training.calibrate import PredictedTruth
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.sources import AnnotatedImage, image_of, truth_of
from nucdl_core.training.split import draw_of
from nucdl_core.training.verdict import gain_text, is_better

# Where each number is searched.
DECISION_RANGES: Dict[str, Tuple[float, float]] = {
    "foreground": (0.2, 0.8),
    "seed": (0.1, 0.8),
    "smallest": (0.05, 0.4),
    "score": (0.0, 0.85),
}
REFINEMENT_RANGES: Dict[str, Tuple[float, float]] = {
    "merge_share": (0.05, 1.0),
    "smallest_area": (0.0, 100.0),
    "threshold": (0.2, 0.95),
    "inwards": (0.0, 3.0),
    "outwards": (0.0, 3.0),
    "mean_probability": (0.0, 0.9),
}
# This share of the images judges the result and takes no part in the search.
JUDGING_SHARE = 0.25
DSB_SCORE, MEAN_F1, STRICT_F1 = "dsb_score", "mean_f1", "f1_0.90"
"""Scores of `scores.matching.image_scores` that are told of a result; the first one decides."""
SMALLEST_LOSS = 0.005
"""A fall of the F1 at IoU 0.9 below this is not worth a warning."""


@dataclasses.dataclass(frozen=True)
class TuneConfig:
    """How to tune.

    Attributes
    ----------
    model : str
        Name of a bundled model or path of a bundle folder.
    generations : int
        Of the genetic algorithm.
    population : int
        Candidates per generation.
    seed : int
        The same seed gives the same result.
    device : str
        See `config.SegmentConfig`.
    """

    model: str = DEFAULT_MODEL
    generations: int = 10
    population: int = 40
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        require(self.generations >= 1, f"generations is {self.generations}; at least 1 is needed")
        require(self.population >= 5, f"population is {self.population}; at least 5 candidates are needed")
        require(self.seed >= 0, f"seed is {self.seed}; it must be 0 or more")


@dataclasses.dataclass(frozen=True)
class Tuned:
    """What tuning reached.

    Attributes
    ----------
    bundle : Path
        The new bundle.
    before, after : float
        Mean DSB score of the old and the new numbers on the images that judge, see `image_score`.
    judges : int
        How many images these are.
    better : bool
        Whether the new numbers are clearly better there; otherwise the bundle keeps the old ones.
    told : str
        All scores before and after, with the interval of their difference.
    warning : str or None
        What became worse although the numbers are better in all.
    """

    bundle: Path
    before: float
    after: float
    judges: int
    better: bool
    told: str
    warning: Optional[str] = None


def tune(
    data: Path, output: Path, config: TuneConfig = TuneConfig(), progress: Callable[[float], object] = float
) -> Tuned:
    """Tune a model's decision and contour correction on annotated images and write a new bundle.

    Parameters
    ----------
    data : Path
        Folder with ``images`` and ``masks``; see `training.reading.read_annotated_images`.
    output : Path
        The new bundle's folder; it must not exist. Its name becomes the model's.
    config : TuneConfig
    progress : callable
        Called with the best score of the search after each generation.

    Returns
    -------
    Tuned

    Raises
    ------
    ImageError
        If there are too few annotated images.
    ConfigError
        If the output exists already.
    """
    if output.exists():
        raise ConfigError(f"{output} exists already; give a new folder for the tuned model")
    bundle = read_bundle(find_bundle(config.model))
    predictor = load_map_model(bundle.folder, resolve_device(config.device))
    searching, judging = split_for_tuning(read_annotated_images(data))
    old = bundle.description
    parts = [[predict_twice(source, predictor) for source in part] for part in (searching, judging)]
    decision, refinement = search(parts[0], predictor, config, progress)
    before = judged_scores(parts[1], predictor, old.decision, predictor.refinement(old.decision.foreground))
    after = judged_scores(parts[1], predictor, decision, refinement)
    better = is_better(after[DSB_SCORE], before[DSB_SCORE])
    told = told_scores(after, before)
    new = dataclasses.replace(old, name=output.name, description=_description(old.name, len(searching), told, better))
    if better:
        means = {name: float(scores.mean()) for name, scores in after.items()}
        metrics = {**old.metrics, "tuned": {"images": len(searching), "judges": len(judging), **means}}
        new = dataclasses.replace(new, decision=decision, refinement=refinement, metrics=metrics)

    def card(description: BundleDescription, text: str) -> str:
        return (tuned_card if better else untuned_card)(description, text, told)

    write_tuned(bundle.folder, output, new, card)
    decided = [float(scores[DSB_SCORE].mean()) for scores in (before, after)]
    warning = _warning(after, before) if better else None
    return Tuned(output, decided[0], decided[1], len(judging), better, told, warning)


def told_scores(after: Dict[str, NDArray[np.float64]], before: Dict[str, NDArray[np.float64]]) -> str:
    """Say what tuning changed on the images that judge, with intervals; the scores are those of `judged_scores`."""
    images = len(after[MEAN_F1])
    words = {MEAN_F1: "mean F1", STRICT_F1: "F1 at IoU 0.9", DSB_SCORE: "DSB score"}
    gains = [gain_text(word, after[name], before[name]) for name, word in words.items()]
    return f"on {images} image{'s' * (images > 1)} that took no part: {'; '.join(gains)}"


def _warning(after: Dict[str, NDArray[np.float64]], before: Dict[str, NDArray[np.float64]]) -> Optional[str]:
    lost = float((before[STRICT_F1] - after[STRICT_F1]).mean())
    if lost < SMALLEST_LOSS:
        return None
    return (
        f"F1 at IoU 0.9 falls by {lost:.3f}: outlines fit your annotations less exactly than before, while more nuclei "
        "are found; where shape and size matter, look at the outlines before you use this model"
    )


def _description(before: str, images: int, told: str, better: bool) -> str:
    if better:
        return f"{before}, its decisions tuned on {images} annotated images; {told}"
    return f"{before} with its own decisions: tuning on {images} annotated images was not clearly better; {told}"


def split_for_tuning(sources: Sequence[AnnotatedImage]) -> Tuple[List[AnnotatedImage], List[AnnotatedImage]]:
    """Part images into those that are searched on and those that judge; by name, so that reruns agree."""
    if len(sources) < 2:
        raise ImageError(
            f"{len(sources)} annotated image came; one to search on and one to judge by is the least, and some dozen "
            "are advisable: add images"
        )
    drawn = sorted(sources, key=lambda source: draw_of(source.name))
    judges = max(1, int(JUDGING_SHARE * len(drawn)))
    return drawn[judges:], drawn[:judges]


def predict_twice(source: AnnotatedImage, predictor: Predictor) -> PredictedTruth:
    """Predict an annotated image as `Predictor.correct_outlines` needs it, with the automatic size estimate."""
    image, views, size_model = image_of(source), VIEW_SETS["none"], predictor.size_model
    diameter = size_model.estimate_diameters(image)[0]
    scale = size_model.description.canonical_diameter / FINE_DIAMETER
    finer = size_model.predict(image, diameter * scale, views).probability
    return PredictedTruth(truth_of(source), predictor.predict(image, diameter, views), finer=finer)


def search(
    images: Sequence[PredictedTruth],
    predictor: MapPredictor,
    config: TuneConfig,
    progress: Callable[[float], object] = float,
) -> Tuple[Decision, Refinement]:
    """Find the numbers with the best mean DSB score on predicted images; the model's decoder stays."""
    scores, start = [0.0], predictor.description.decision

    def loss(numbers: NDArray[np.float64]) -> float:
        scores.append(float(scores_both_ways(images, predictor, *from_numbers(numbers, start)).mean()))
        return -scores[-1]

    def report(best: NDArray[np.float64], convergence: float) -> None:
        progress(max(scores))

    ranges = [*DECISION_RANGES.values(), *REFINEMENT_RANGES.values()]
    lows, highs = np.array(ranges).T
    population = np.random.default_rng(config.seed).uniform(lows, highs, (config.population, len(ranges)))
    # The model's own decision takes part, with a correction of contours and nothing else.
    untuned = dataclasses.replace(CONTOURS_ONLY, threshold=start.foreground)
    own = [getattr(start, key) for key in DECISION_RANGES] + [getattr(untuned, key) for key in REFINEMENT_RANGES]
    population[0] = np.clip(own, lows, highs)
    result = differential_evolution(
        loss,
        ranges,
        maxiter=config.generations,
        init=population,
        seed=config.seed,
        polish=False,
        callback=report,
    )
    return from_numbers(result.x, start)


def from_numbers(numbers: NDArray[np.float64], start: Decision) -> Tuple[Decision, Refinement]:
    """Turn the vector of the genetic algorithm into settings."""
    rounded = [round(float(number), 4) for number in numbers]
    decision = dataclasses.replace(start, **dict(zip(DECISION_RANGES, rounded)))  # type: ignore[arg-type]
    return decision, Refinement(**dict(zip(REFINEMENT_RANGES, rounded[len(DECISION_RANGES) :])))


def scores_both_ways(
    images: Sequence[PredictedTruth], predictor: Predictor, decision: Decision, refinement: Refinement
) -> NDArray[np.float64]:
    """Return what a decision and the correction of outlines reach on each image, float64 array (N,)."""
    return np.array([image_score(image, predictor, decision, refinement) for image in images])


def judged_scores(
    images: Sequence[PredictedTruth], predictor: Predictor, decision: Decision, refinement: Refinement
) -> Dict[str, NDArray[np.float64]]:
    """Return each of the scores that are told, as `scores_both_ways` returns the one that decides."""

    def scores(name: str) -> NDArray[np.float64]:
        return np.array([image_score(image, predictor, decision, refinement, name) for image in images])

    return {name: scores(name) for name in (DSB_SCORE, MEAN_F1, STRICT_F1)}


def image_score(
    image: PredictedTruth, predictor: Predictor, decision: Decision, refinement: Refinement, name: str = DSB_SCORE
) -> float:
    """Return a score of an image predicted twice, the mean of that without and that with correction."""
    found = predictor.find(image.prediction, decision).labels
    ways = [found] if image.finer is None else [found, refine_objects(found, image.finer, refinement)]
    return float(np.mean([image_scores(image.truth, labels)[name] for labels in ways]))


def write_tuned(
    source: Path, target: Path, description: BundleDescription, card: Callable[[BundleDescription, str], str]
) -> None:
    """Write a bundle with the weights of another one, its own description, and a card made from that of the other."""
    path = source / CARD
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    with replaced_folder(target) as folder:
        for name in description.files:
            write_bytes(folder / name, (source / name).read_bytes())
        write_bytes(folder / CARD, card(description, text).encode("utf-8"))
        write_description(folder, description)
