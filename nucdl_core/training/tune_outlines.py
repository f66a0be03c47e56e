"""Fitting a model to how far out a laboratory draws its outlines: one or two annotated images, and no training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.errors import ConfigError
from nucdl_core.model.bundle import BundleDescription, find_bundle, read_bundle
from nucdl_core.model.card import styled_card, untuned_card
from nucdl_core.model.device import resolve_device
from nucdl_core.model.loading import load_model
from nucdl_core.training.calibrate import predict_image
from nucdl_core.training.outline_style import OutlineStyle, choose_style, style_scores, styles_around
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.sources import image_of, truth_of
from nucdl_core.training.tune import write_tuned
from nucdl_core.training.verdict import gain_text

_SCORES = ("mean F1", "F1 at IoU 0.9")


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
    def told(self) -> str:
        """What the scores were and are, with intervals."""
        count = len(self.usual)
        judged = "scored by its own choice" if count == 1 else "each scored by what the others choose"
        images = f"on {count} annotated image{'s' * (count > 1)}, {judged}"
        gains = (gain_text(name, self.chosen[:, place], self.usual[:, place]) for place, name in enumerate(_SCORES))
        return f"{images}: {'; '.join(gains)}"

    @property
    def sentence(self) -> str:
        """What came of it, in plain words."""
        if not self.better:
            return f"No other outlines are clearly better {self.told}. The model keeps its own."
        return (
            f"Outlines as annotated {self.told}. In your pipeline the same is: probability threshold "
            f"{self.after.foreground:g}, outlines moved outwards by {self.after.offset:g} px."
        )


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

    def card(description: BundleDescription, text: str) -> str:
        return styled_card(description, text) if tuned.better else untuned_card(description, text, tuned.told)

    write_tuned(bundle.folder, output, _described(old, tuned), card)
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
