"""Fitting a model to how far out a laboratory draws its outlines: one or two annotated images, and no training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.errors import ConfigError
from nucdl_core.model.bundle import BundleDescription, find_bundle, read_bundle
from nucdl_core.model.card import styled_card
from nucdl_core.model.device import resolve_device
from nucdl_core.model.loading import load_model
from nucdl_core.training.calibrate import predict_image
from nucdl_core.training.outline_style import OutlineStyle, choose_style, style_scores, styles_around
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.sources import image_of, truth_of
from nucdl_core.training.tune import write_tuned


@dataclass(frozen=True)
class TunedOutlines:
    """What was found about the outlines of annotated images.

    Attributes
    ----------
    bundle : Path
        The new bundle.
    before, after : OutlineStyle
        Of the model that it was made from, and its own; the same where no other is clearly better.
    usual, chosen : float64 arrays (N, 2)
        Scores of each image, see `outline_style.ChosenStyle`.
    """

    bundle: Path
    before: OutlineStyle
    after: OutlineStyle
    usual: NDArray[np.float64]
    chosen: NDArray[np.float64]

    @property
    def better(self) -> bool:
        """Whether another style was found."""
        return self.after != self.before

    @property
    def sentence(self) -> str:
        """What came of it, in plain words."""
        count = len(self.usual)
        images = "the annotated image" if count == 1 else f"{count} annotated images"
        if not self.better:
            return f"No other outlines are clearly better on {images} (mean F1 {self.usual[:, 0].mean():.3f})."
        judged = "scores of that image itself" if count == 1 else "each image scored by what the others say"
        scores = [f"{name} {first:.3f} -> {then:.3f}" for name, first, then in self._means()]
        return (
            f"Outlines as in {images}: {', '.join(scores)} ({judged}). In your pipeline the same is: probability "
            f"threshold {self.after.foreground:g}, outlines moved outwards by {self.after.offset:g} px."
        )

    def _means(self) -> Tuple[Tuple[str, float, float], ...]:
        first, then = self.usual.mean(axis=0), self.chosen.mean(axis=0)
        return ("mean F1", float(first[0]), float(then[0])), ("F1 at IoU 0.9", float(first[1]), float(then[1]))


def tune_outlines(data: Path, output: Path, model: str = DEFAULT_MODEL, device: str = "auto") -> TunedOutlines:
    """Find how far out outlines are drawn in annotated images, and write a bundle that draws them there.

    Parameters
    ----------
    data : Path
        Folder with ``images`` and ``masks``; see `training.reading.read_annotated_images`. One image is enough.
    output : Path
        The new bundle's folder; it must not exist. Its name becomes the model's.
    model, device : str
        See `config.SegmentConfig`.

    Returns
    -------
    TunedOutlines

    Raises
    ------
    ImageError
        If the annotated images cannot be used.
    ConfigError
        If the output exists already.
    """
    if output.exists():
        raise ConfigError(f"{output} exists already; give a new folder for the tuned model")
    bundle = read_bundle(find_bundle(model))
    predictor = load_model(bundle.folder, resolve_device(device))
    images = [predict_image(image_of(source), truth_of(source), predictor) for source in read_annotated_images(data)]
    old = bundle.description
    before = OutlineStyle(old.decision.foreground, old.contour_offset)
    styles = styles_around(before)
    found = choose_style(style_scores(images, predictor, styles), styles)
    tuned = TunedOutlines(output, before, found.style, found.usual, found.chosen)
    write_tuned(bundle.folder, output, _described(old, tuned), styled_card if tuned.better else _same_card)
    return tuned


def _described(old: BundleDescription, tuned: TunedOutlines) -> BundleDescription:
    new = dataclasses.replace(old, name=tuned.bundle.name)
    if not tuned.better:
        return new
    means = {name: [float(value) for value in getattr(tuned, name).mean(axis=0)] for name in ("usual", "chosen")}
    count = len(tuned.usual)
    return dataclasses.replace(
        new,
        description=f"{old.name}, with outlines as in {count} annotated image{'s' * (count > 1)}",
        decision=dataclasses.replace(old.decision, foreground=tuned.after.foreground),
        contour_offset=tuned.after.offset,
        metrics={**old.metrics, "outlines": {"images": count, **means}},
    )


def _same_card(description: BundleDescription, text: str) -> str:
    return text
