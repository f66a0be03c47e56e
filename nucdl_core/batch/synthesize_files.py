"""A folder of images made from annotated ones, with their nuclei, as `nucdl train` reads it."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, Optional, Tuple

import numpy as np

from nucdl_core.adaptation.painting import Naturalizer, SimulatedPainter, learn_to_naturalize
from nucdl_core.adaptation.pairs import PAIRS, field_size, new_pairs
from nucdl_core.adaptation.translation import TranslationConfig
from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.config import require
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.writing import make_folder, replaced_folder, write_grey, write_json, write_labels
from nucdl_core.model.device import resolve_device
from nucdl_core.synthesis.appearance import common_appearance
from nucdl_core.synthesis.artificial import ArtificialConfig, SyntheticImage, artificial_image, as_type
from nucdl_core.synthesis.fitting import fit_simulator
from nucdl_core.synthesis.nucleus_shapes import bundled_shapes
from nucdl_core.training.reading import annotated_files

MODES = ("artificial", "simulated", "pix2pix")
MARKER = "synthesis.json"
"""File that tells that a folder was written by `synthesize_files` and may be replaced by it."""
IMAGES, MASKS = "images", "masks"

ImagesWithNuclei = List[Tuple[AnyArray, Labels]]


@dataclass(frozen=True)
class SynthesisConfig:
    """What is to be made.

    Attributes
    ----------
    mode : str
        One of `MODES`: "artificial" lays the nuclei of annotated images together in crowds; "pix2pix" does the same and
        makes the images natural by a network that learns from the annotated ones how; "simulated" draws all anew, by
        the simulator fitted to the images.
    count : int
        Images to make.
    artificial : ArtificialConfig
    translation : TranslationConfig
    seed : int
        The same seed gives the same images.
    device : str
        "auto", "cpu" or "cuda".
    """

    mode: str = "artificial"
    count: int = PAIRS
    artificial: ArtificialConfig = field(default_factory=ArtificialConfig)
    translation: TranslationConfig = field(default_factory=TranslationConfig)
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        require(self.mode in MODES, f"mode is {self.mode!r}; it must be one of {', '.join(MODES)}")
        require(1 <= self.count <= 100_000, f"count is {self.count}; give 1 to 100,000 images")
        require(self.seed >= 0, f"seed is {self.seed}; it must be 0 or more")


def synthesize_files(
    images: Path,
    masks: Path,
    output: Path,
    config: SynthesisConfig,
    progress: Callable[[Iterable[SyntheticImage]], Iterable[SyntheticImage]] = iter,
) -> int:
    """Make images from annotated ones and write them.

    Parameters
    ----------
    images, masks : Path
        See `training.reading.read_annotated`.
    output : Path
        Receives the folders ``images`` and ``masks`` (``MODE_0001.tif`` in both) and ``synthesis.json``. A folder that
        was written so before is replaced once the new one is complete. A pix2pix learns in the folder
        ``OUTPUT_pix2pix`` beside it, where it goes on, with the same images and settings, if it was stopped.
    config : SynthesisConfig
    progress : callable
        Wraps the iteration over the images, for example in a progress bar.

    Returns
    -------
    int
        Nuclei in all.

    Raises
    ------
    ConfigError
        If the output holds something else.
    ImageError
        If the annotated images cannot be used.
    NucDLError
        If something cannot be written.
    """
    refuse_what_is_not_synthetic(output)
    device = resolve_device(config.device)
    annotated = [(file.image, file.labels) for file in annotated_files(images, masks)]
    if config.mode == "simulated":
        made = _simulated(annotated, config)
    else:
        made = _artificial(annotated, config, _naturalizer(annotated, config, output, device))
    nuclei = 0
    with replaced_folder(output, _is_ours) as new:
        for name in (IMAGES, MASKS):
            make_folder(new / name)
        for number, each in enumerate(progress(made), start=1):
            file = f"{config.mode}_{number:04d}.tif"
            write_grey(new / IMAGES / file, each.image)
            write_labels(new / MASKS / file, each.labels)
            nuclei += int(each.labels.max())
        write_json(new / MARKER, dataclasses.asdict(config))
    return nuclei


def refuse_what_is_not_synthetic(folder: Path) -> None:
    """Refuse to put synthetic images in the place of something else.

    Raises
    ------
    ConfigError
    """
    require(not folder.exists() or folder.is_dir(), f"{folder} is a file; give a folder for the synthetic images")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise ConfigError(f"{folder} holds something else than synthetic images; name another folder, or empty it")


def _is_ours(path: Path) -> bool:
    patterns = [MARKER, *(f"{folder}/{mode}_*.tif" for folder in (IMAGES, MASKS) for mode in MODES)]
    return any(fnmatch(path.as_posix(), pattern) for pattern in patterns)


def _artificial(
    annotated: ImagesWithNuclei, config: SynthesisConfig, naturalizer: Optional[Naturalizer]
) -> Iterator[SyntheticImage]:
    """Make artificial images of each annotated one in turn, natural ones where it is known how."""
    for number in range(config.count):
        image, labels = annotated[number % len(annotated)]
        rng = np.random.default_rng([config.seed, number])
        made = artificial_image(image, labels, config.artificial, rng)
        if naturalizer is not None:
            made = dataclasses.replace(made, image=as_type(naturalizer.naturalize(made.image, rng), image.dtype))
        yield made


def _naturalizer(
    annotated: ImagesWithNuclei, config: SynthesisConfig, output: Path, device: str
) -> Optional[Naturalizer]:
    if config.mode != "pix2pix":
        return None
    folder = output.with_name(f"{output.name}_pix2pix") / _digest(annotated, config)
    make_folder(folder)
    return learn_to_naturalize(annotated, config.translation, folder, device)


def _digest(annotated: ImagesWithNuclei, config: SynthesisConfig) -> str:
    """Return a fingerprint of what a pix2pix learns from, so that it never goes on with something else."""
    digest = hashlib.sha256(repr(config.translation).encode())
    for array in (each for pair in annotated for each in pair):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _simulated(annotated: ImagesWithNuclei, config: SynthesisConfig) -> Iterator[SyntheticImage]:
    appearance = common_appearance(annotated)
    if appearance is None:
        raise ImageError(
            "none of the images has three nuclei that lie wholly inside and are brighter than the background, so that "
            "it is not known how nuclei look; annotate more of them"
        )
    fit = fit_simulator(
        appearance, annotated[0][0].dtype, field_size(appearance), np.random.default_rng([config.seed, 0])
    )
    painter = SimulatedPainter(fit.config)
    return new_pairs(fit.config, bundled_shapes(), painter, config.count, config.seed)
