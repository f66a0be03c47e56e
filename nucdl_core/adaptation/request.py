"""What a person wants a model to be adapted to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Sequence

from nucdl_core.adaptation.styles import PAINTERS
from nucdl_core.adaptation.teaching import TeachConfig
from nucdl_core.adaptation.translation import TranslationConfig
from nucdl_core.config import DEFAULT_MODEL, require
from nucdl_core.model.bundle import list_bundles


@dataclass(frozen=True)
class AdaptRequest:
    """What a model is to be adapted to.

    Attributes
    ----------
    images : sequence of Path
        Image files, or folders of them.
    output : Path
        Folder of the new model.
    model : str
        Name or folder of the model before.
    masks : Path or None
        Annotations of some of the images: their nuclei are taken instead of found ones, and they judge.
    data : Path or None
        Folder with images and masks that the model learnt from, to stand beside the synthetic ones.
    painter : str
        How new images are made, one of `styles.PAINTERS`.
    teaching : TeachConfig
    translation : TranslationConfig
    max_minutes : float or None
        How long it may take.
    device : str
        "auto", "cpu" or "cuda".
    workers : int
        Processes that make crops.
    """

    images: Sequence[Path]
    output: Path
    model: str = DEFAULT_MODEL
    masks: Optional[Path] = None
    data: Optional[Path] = None
    painter: str = PAINTERS[0]
    teaching: TeachConfig = field(default_factory=TeachConfig)
    translation: TranslationConfig = field(default_factory=TranslationConfig)
    max_minutes: Optional[float] = None
    device: str = "auto"
    workers: int = 1

    def __post_init__(self) -> None:
        require(self.painter in PAINTERS, f"painter is {self.painter!r}; it must be one of {', '.join(PAINTERS)}")
        require(
            self.max_minutes is None or self.max_minutes > 0,
            f"max_minutes is {self.max_minutes}; give a positive number of minutes",
        )
        require(
            self.output.name not in list_bundles(),
            f"the output is called {self.output.name}, as a bundled model, and --model {self.output.name} would take "
            "that one; name another output",
        )

    @property
    def folder(self) -> Path:
        """Where everything but the finished model goes."""
        return self.output.with_name(f"{self.output.name}_adaptation")
