"""Every variant on every sample image: what is found, what speaks for it, and how good it is if the truth is known."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError, OutOfMemoryError
from nucdl_core.explore.ranking import score_without_truth
from nucdl_core.explore.signs import ImageSigns, Scene, agreement_of, agreements
from nucdl_core.explore.stages import SharedStages
from nucdl_core.explore.variants import Variant
from nucdl_core.files.folders import image_stem, label_images
from nucdl_core.files.reading import read_labels
from nucdl_core.labels import equivalent_diameters, relabel
from nucdl_core.steps.size import richest_window
from nucdl_core.steps.tiling import Window

CROP_SIDE = 256
"""Pixels of an image that the page shows, in height and width."""
Read = Callable[[], AnyArray]
Progress = Callable[[int, int], None]
"""Called with the number of results that are there, and of all."""


@dataclass(frozen=True)
class Result:
    """What a variant found in one image.

    Attributes
    ----------
    count : int
    diameter : float
        Median, in pixels; NaN without nuclei.
    confidence : float
        Mean; NaN without nuclei, and for the label images of other tools.
    signs : ImageSigns
    score : float
        Without truth, see `ranking.score_without_truth`.
    f1 : float or None
        Mean F1 against the truth, where it is known.
    labels : int32 array (h, w)
        In the window of the image that is shown.
    content : int
        Differs where the nuclei differ.
    """

    count: int
    diameter: float
    confidence: float
    signs: ImageSigns
    score: float
    f1: Optional[float]
    labels: Labels
    content: int


@dataclass(frozen=True)
class TriedImage:
    """One sample image with what all variants found in it.

    Attributes
    ----------
    name : str
    crop : array (h, w)
        The part of it that is shown: where the variants differ most.
    truth : int32 array (h, w) or None
        There.
    results : tuple of Result
        One for each variant.
    """

    name: str
    crop: AnyArray
    truth: Optional[Labels]
    results: Tuple[Result, ...]


@dataclass(frozen=True)
class TriedVariant:
    """One variant on all sample images.

    Attributes
    ----------
    variant : Variant
    number : int
        Its place in the list of variants, from 0.
    results : tuple of Result
        One for each image.
    same : tuple of str
        Names of later variants that found exactly the same nuclei in all images.
    """

    variant: Variant
    number: int
    results: Tuple[Result, ...]
    same: Tuple[str, ...] = ()

    @property
    def f1(self) -> Optional[float]:
        """Mean F1 over the images; None without truth."""
        known = [result.f1 for result in self.results if result.f1 is not None]
        return float(np.mean(known)) if known else None

    @property
    def score(self) -> float:
        """Score without truth, the mean over the images."""
        return float(np.mean([result.score for result in self.results]))

    @property
    def order(self) -> float:
        """By what variants are sorted, the best the highest."""
        return self.score if self.f1 is None else self.f1


@dataclass(frozen=True)
class TriedImages:
    """What came of trying variants.

    Attributes
    ----------
    images : tuple of TriedImage
    failed : dict of str to str
        Name and reason of each image that could not be used.
    seconds : float
    """

    images: Tuple[TriedImage, ...]
    failed: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def ranked(self, variants: Sequence[Variant]) -> List[TriedVariant]:
        """Sort variants, the best first; those that found the same nuclei as an earlier one are named with it."""
        tried: Dict[Tuple[int, ...], TriedVariant] = {}
        for number, variant in enumerate(variants):
            results = tuple(image.results[number] for image in self.images)
            key = tuple(result.content for result in results)
            if key in tried:
                first = tried[key]
                tried[key] = TriedVariant(first.variant, first.number, first.results, (*first.same, variant.name))
            else:
                tried[key] = TriedVariant(variant, number, results)
        return sorted(tried.values(), key=lambda each: (-each.order, each.number))


@dataclass(frozen=True)
class Sample:
    """One image to try variants on.

    Attributes
    ----------
    path : Path
        It is called after this file.
    read : callable
        Reads it; array (H, W).
    truth : Path or None
        Its true label image.
    """

    path: Path
    read: Read
    truth: Optional[Path] = None


def try_variants(
    samples: Sequence[Sample], variants: Sequence[Variant], progress: Optional[Progress] = None
) -> TriedImages:
    """Find the nuclei of sample images in every way.

    Parameters
    ----------
    samples : sequence of Sample
    variants : sequence of Variant
    progress : callable, optional

    Returns
    -------
    TriedImages
        An image that cannot be used does not stop the others.

    Raises
    ------
    ImageError
        If no image can be used, or a folder of label images has none for an image.
    BundleError, DeviceError
        If a model or the device cannot be used.
    """
    begun, failed, images = time.monotonic(), {}, []
    others = {variant.name: label_images(variant.folder) for variant in variants if variant.folder is not None}
    for name, files in others.items():
        lacking = [sample.path.name for sample in samples if image_stem(sample.path) not in files]
        if lacking:
            raise ImageError(f"{name} has no label image for {', '.join(lacking[:3])}; give one for each sample image")
    for done, sample in enumerate(samples):
        told = _Counted(progress, done * len(variants), len(samples) * len(variants))
        try:
            images.append(_try_image(sample, variants, others, told))
        except (ImageError, OutOfMemoryError, OSError, MemoryError) as error:
            failed[sample.path.name] = str(error) or type(error).__name__
    if not images:
        raise ImageError(f"no image can be used: {'; '.join(failed.values())}")
    return TriedImages(tuple(images), failed, time.monotonic() - begun)


@dataclass
class _Counted:
    progress: Optional[Progress]
    done: int
    all: int

    def step(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.all)


@dataclass(frozen=True)
class _Found:
    labels: Labels
    confidence: float


def _try_image(
    sample: Sample,
    variants: Sequence[Variant],
    others: Mapping[str, Mapping[str, Path]],
    told: _Counted,
) -> TriedImage:
    image, truth = sample.read(), None
    if sample.truth is not None:
        truth = _labels_for(image, sample.truth)
    stages, found = SharedStages(image), []
    for variant in variants:
        if variant.config is None:
            found.append(_Found(_labels_for(image, others[variant.name][image_stem(sample.path)]), float("nan")))
        else:
            nuclei = stages.segment(variant.config)
            sure = float(nuclei.scores.mean()) if nuclei.count else float("nan")
            found.append(_Found(nuclei.labels, sure))
        told.step()
    labels = [each.labels for each in found]
    scene, agreeing, window = Scene(image), agreements(labels), telling_window(labels)
    results = [_result(scene, each, agreement, truth, window) for each, agreement in zip(found, agreeing)]
    return TriedImage(sample.path.name, image[window], None if truth is None else truth[window], tuple(results))


def _labels_for(image: AnyArray, path: Path) -> Labels:
    labels = relabel(read_labels(path))
    if labels.shape != image.shape:
        raise ImageError(f"{path} has {labels.shape} pixels, but its image {image.shape}; give its own")
    return labels


def _result(scene: Scene, found: _Found, agreement: float, truth: Optional[Labels], window: Window) -> Result:
    labels = found.labels
    signs, sizes = ImageSigns(agreement, scene.light(labels)), equivalent_diameters(labels)
    return Result(
        count=len(sizes),
        diameter=float(np.median(sizes)) if len(sizes) else float("nan"),
        confidence=found.confidence,
        signs=signs,
        score=score_without_truth(signs),
        f1=None if truth is None else agreement_of(truth, labels),
        labels=np.ascontiguousarray(labels[window]),
        content=hash(labels.tobytes()),
    )


def telling_window(results: Sequence[Labels]) -> Window:
    """Choose the part of an image that tells most: with many nuclei about which the results differ.

    Parameters
    ----------
    results : sequence of int32 arrays (H, W)

    Returns
    -------
    (slice, slice)
        Of `CROP_SIDE` pixels in height and width, or fewer where the image ends.
    """
    share = np.zeros(results[0].shape, np.float32)
    for labels in results:
        share += labels > 0
    share /= len(results)
    shape = (share.shape[0], share.shape[1])
    return richest_window(share * (1 - share) + 0.1 * share, shape, (CROP_SIDE, CROP_SIDE))
