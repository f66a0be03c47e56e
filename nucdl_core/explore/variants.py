"""The combinations that are tried: treatments of the image, models, diameters, thresholds and views."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import List, Mapping, Optional, Sequence, Tuple

from nucdl_core.config import AUTO_POLARITY, DEFAULT_MODEL, TREATMENTS, SegmentConfig, require

NO_TREATMENT, ONE_AFTER_OTHER = "none", "+"
"""The word for an image as it is, and what stands between treatments that are done one after the other."""
MOST_UNASKED = 200
"""More combinations are tried only where a person has confirmed it."""

TREATMENT_NAMES = {
    "median3": "median 3 x 3",
    "median5": "median 5 x 5",
    "mean7": "mean 7 x 7",
    "mean9": "mean 9 x 9",
    "background": "background subtracted",
    "rolling_ball": "rolling ball",
    "equalize": "equalized",
    "clahe": "equalized in parts (CLAHE)",
    "edges": "edges",
    "invert": "inverted",
    "bin2": "binned 2 x 2",
}
VIEW_NAMES = {"flips": "four views", "all": "eight views"}


@dataclass(frozen=True)
class Variant:
    """One way to find nuclei.

    Attributes
    ----------
    name : str
        What it is called on the page.
    config : SegmentConfig or None
        How NucDL finds them; None for the label images of another tool.
    folder : Path or None
        Where these lie.
    """

    name: str
    config: Optional[SegmentConfig] = None
    folder: Optional[Path] = None

    @property
    def is_plain(self) -> bool:
        """Whether it is what ``nucdl segment`` does without any option."""
        return self.config is not None and self.config == SegmentConfig(device=self.config.device)


@dataclass(frozen=True)
class Grid:
    """What is combined with each other.

    Attributes
    ----------
    models : tuple of str
        Names or folders.
    treatments : tuple of str
        Each is `NO_TREATMENT`, one of `config.TREATMENTS`, or several with `ONE_AFTER_OTHER` between them.
    diameters, thresholds : tuple of float or None
        None estimates the diameter, and takes the model's own threshold.
    views : tuple of str
        Of `config.VIEWS`.
    polarity, device : str
        See `SegmentConfig`; the same for all.
    """

    models: Tuple[str, ...] = (DEFAULT_MODEL,)
    treatments: Tuple[str, ...] = (NO_TREATMENT, *TREATMENTS)
    diameters: Tuple[Optional[float], ...] = (None,)
    thresholds: Tuple[Optional[float], ...] = (None,)
    views: Tuple[str, ...] = ("none",)
    polarity: str = AUTO_POLARITY
    device: str = "auto"

    @property
    def size(self) -> int:
        """The number of combinations."""
        parts = (self.treatments, self.models, self.diameters, self.thresholds, self.views)
        count = 1
        for part in parts:
            count *= len(set(part))
        return count

    def variants(self) -> List[Variant]:
        """List all combinations, those that share most stages beside each other.

        Raises
        ------
        ConfigError
            If one of them is impossible.
        """
        return [
            self._variant(treatment, model, diameter, views, threshold)
            for treatment in dict.fromkeys(self.treatments)
            for model in dict.fromkeys(self.models)
            for diameter in dict.fromkeys(self.diameters)
            for views in dict.fromkeys(self.views)
            for threshold in dict.fromkeys(self.thresholds)
        ]

    def _variant(
        self, treatment: str, model: str, diameter: Optional[float], views: str, threshold: Optional[float]
    ) -> Variant:
        config = SegmentConfig(
            model=model,
            diameter=diameter,
            probability_threshold=threshold,
            views=views,
            polarity=self.polarity,
            device=self.device,
            treatments=treatments_of(treatment),
        )
        return Variant(name_of(config), config)


def treatments_of(text: str) -> Tuple[str, ...]:
    """Read treatments that are done one after the other, such as ``bin2+median3``; `NO_TREATMENT` is none."""
    return () if text == NO_TREATMENT else tuple(name.strip() for name in text.split(ONE_AFTER_OTHER))


def name_of(config: SegmentConfig) -> str:
    """Say in a few words how nuclei are found."""
    words = [", ".join(TREATMENT_NAMES[name] for name in config.treatments) or "image as it is"]
    words.append(shown_model_name(config.model))
    if config.diameter is not None:
        words.append(f"{config.diameter:g} px")
    if config.probability_threshold is not None:
        words.append(f"threshold {config.probability_threshold:g}")
    if config.views != "none":
        words.append(VIEW_NAMES[config.views])
    return " · ".join(words)


def shown_model_name(model: str) -> str:
    """Return a model's name, also where its folder was given."""
    return Path(model).name


def all_variants(grid: Grid, others: Mapping[str, Path], confirmed: bool = False) -> List[Variant]:
    """List what is tried: the combinations, and the label images of other tools.

    Parameters
    ----------
    grid : Grid
    others : mapping of str to Path
        Folders of label images by the name of the tool.
    confirmed : bool
        Whether a person wants more than `MOST_UNASKED` combinations.

    Returns
    -------
    list of Variant

    Raises
    ------
    ConfigError
        If there are too many.
    """
    count = grid.size + len(others)
    require(
        confirmed or count <= MOST_UNASKED,
        f"these are {count} combinations for each image, more than {MOST_UNASKED}; name fewer treatments, models, "
        "diameters, thresholds or views, or confirm with --yes",
    )
    return [*grid.variants(), *(Variant(name, folder=folder) for name, folder in others.items())]


def command_of(config: SegmentConfig, inputs: Sequence[str] = ("IMAGES",)) -> str:
    """Return the command that finds the same nuclei in all images.

    Parameters
    ----------
    config : SegmentConfig
    inputs : sequence of str
        Files, folders and options that choose images.

    Returns
    -------
    str
        For a shell.
    """
    words = ["nucdl", "segment", *inputs, "--output", "nuclei"]
    options = {
        "--preprocess": ",".join(config.treatments),
        "--model": "" if config.model == DEFAULT_MODEL else config.model,
        "--diameter": "" if config.diameter is None else f"{config.diameter:g}",
        "--threshold": "" if config.probability_threshold is None else f"{config.probability_threshold:g}",
        "--views": "" if config.views == "none" else config.views,
        "--polarity": "" if config.polarity == AUTO_POLARITY else config.polarity,
        "--device": "" if config.device == "auto" else config.device,
    }
    for option, value in options.items():
        words += [option, value] if value else []
    return shlex.join(words)
