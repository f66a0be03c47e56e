"""Validation images on which several methods show what they can; all of it lies in a folder that people can look at."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray, Floats, Labels
from nucdl_core.config import SegmentConfig
from nucdl_core.files.folders import LABEL_SUFFIX, label_images
from nucdl_core.files.reading import read_labels
from nucdl_core.files.writing import make_folder, write_grey, write_labels
from nucdl_core.model.predictor import Predictor
from nucdl_core.reports.data import NucleusCollector
from nucdl_core.reports.gallery import Pictures
from nucdl_core.reports.methods import Evaluation, Inputs, evaluate_methods, pair_methods
from nucdl_core.scores.matching import image_scores
from nucdl_core.segment import Job, segment_normalized
from nucdl_core.steps.normalize import NormalizedImage
from nucdl_core.training.sources import AnnotatedImage, image_of, truth_of
from nucdl_core.training.split import group_weights

IMAGES_FOLDER, TRUTH_FOLDER = "images", "truth"
OWN = "your model"

Finder = Callable[[Path], Mapping[str, Labels]]
"""Finds nuclei in the images of a folder in a way of its own; returns label images by the names of the images."""


def find_nuclei(
    source: AnnotatedImage, predictor: Predictor, views: str = "none", diameter: Optional[float] = None
) -> Labels:
    """Segment an annotated image as users will; see `find_nuclei_in`."""
    return find_nuclei_in(image_of(source), predictor, views, diameter)


def find_nuclei_in(
    image: Floats, predictor: Predictor, views: str = "none", diameter: Optional[float] = None
) -> Labels:
    """Segment a normalized image as users will, with the size estimated unless it is given, int32 (H, W)."""
    config = SegmentConfig(views=views, diameter=diameter)
    return segment_normalized(Job(NormalizedImage(image), predictor, config)).labels


def mean_f1(truth: Labels, found: Labels) -> float:
    """Return the F1 averaged over the IoU thresholds, see `scores.matching.image_scores`."""
    return float(image_scores(truth, found)["mean_f1"])


def validation_score(sources: Sequence[AnnotatedImage], predictor: Predictor) -> float:
    """Return the mean F1 of a model on annotated images, each group counting the same."""
    scores = [mean_f1(truth_of(source), find_nuclei(source, predictor)) for source in sources]
    return float(np.average(scores, weights=group_weights([source.group for source in sources])))


class Judging:
    """Validation images and the nuclei that methods found in them.

    Parameters
    ----------
    folder : Path
        Receives the images (``images``), the annotations (``truth``) and a folder of label images per method.
    judges : sequence of AnnotatedImage
        The validation images.
    """

    def __init__(self, folder: Path, judges: Sequence[AnnotatedImage]) -> None:
        self.folder = folder
        self.judges = {source.name: source for source in judges}
        # What is judged comes first on the page.
        self.methods: Dict[str, Path] = {OWN: folder / "own"}
        for name in (IMAGES_FOLDER, TRUTH_FOLDER):
            make_folder(folder / name)
        for source in judges:
            write_grey(self.image_file(source.name), as_16_bits(image_of(source)))
            write_labels(folder / TRUTH_FOLDER / f"{source.name}{LABEL_SUFFIX}", truth_of(source))

    def image_file(self, name: str) -> Path:
        """Return the file of a validation image, 16 bits, nuclei bright."""
        return self.folder / IMAGES_FOLDER / f"{name}.tif"

    def find(self, method: str, predictor: Predictor, names: Optional[Sequence[str]] = None) -> None:
        """Let a model find the nuclei of the images, or of some of them."""
        chosen = self.judges if names is None else names
        self.add(method, {name: find_nuclei(self.judges[name], predictor) for name in chosen})

    def add(self, method: str, found: Mapping[str, Labels]) -> None:
        """Add the label images of a method, by the names of the images.

        Raises
        ------
        NucDLError
            If they cannot be written.
        """
        folder = self.methods.setdefault(method, self.folder / f"method{len(self.methods)}")
        make_folder(folder)
        for name, labels in found.items():
            write_labels(folder / f"{name}{LABEL_SUFFIX}", labels)

    def scores(self, method: str) -> Dict[str, float]:
        """Return the mean F1 of a method on each image that it was given."""
        found = {name: read_labels(file) for name, file in label_images(self.methods[method]).items()}
        return {name: mean_f1(truth_of(self.judges[name]), labels) for name, labels in found.items()}

    def pictures(self) -> Pictures:
        """Return the files by which a page shows the nuclei that each method found."""
        pairs = pair_methods(self._inputs())
        return Pictures({name: self.image_file(name) for name in self.judges}, pairs)

    def evaluation(self) -> Tuple[Evaluation, NucleusCollector]:
        """Score all methods on all images, and collect what became of each nucleus."""
        collector = NucleusCollector()
        return evaluate_methods(self._inputs(), collector), collector

    def _inputs(self) -> Inputs:
        return Inputs(self.folder / TRUTH_FOLDER, [*self.methods.items()], allow_missing=True)


def scores_of_method(evaluation: Evaluation, method: str, names: Sequence[str]) -> List[float]:
    """Return the mean F1 of a method on images, in the order of their names."""
    rows = evaluation.scores[evaluation.scores["method"] == method].set_index("image")["mean_f1"]
    return [float(rows[name]) for name in names]


def as_16_bits(image: Floats) -> AnyArray:
    """Stretch a normalized image over the range of 16 bits, which every program reads; uint16 (H, W)."""
    darkest, brightest = float(image.min()), float(image.max())
    return np.round((image - darkest) * (65535 / max(brightest - darkest, 1e-6))).astype(np.uint16)
