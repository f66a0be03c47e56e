"""The folder of a study: what it was begun with, a copy of its images, and what came of each training."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Sequence

from nucdl_core.config import from_mapping
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.folders import LABEL_SUFFIX, image_files, image_stem
from nucdl_core.files.writing import make_folder, write_json, write_labels, write_table
from nucdl_core.study.design import JOINED, StudyCell, StudyDesign
from nucdl_core.study.images import (
    FEWEST_OF_A_KIND,
    POOL_PART,
    Images,
    StudyImage,
    image_kind,
    images_for,
    kinds_in,
    part_images,
)
from nucdl_core.training.plan import digest_of
from nucdl_core.training.reading import read_annotated, read_annotated_images
from nucdl_core.training.sources import AnnotatedImage, truth_of

_LOGGER = logging.getLogger(__name__)
STUDY_FILE = "study.json"
RESULT_FILE, SCORES_FILE, VIEWS_FILE = "result.json", "scores.csv", "views.csv"
FAILURE_FILE, TRAINED_MODEL = "reason.txt", "model"


@dataclass(frozen=True)
class StudyFolder:
    """Where everything of a study lies.

    Attributes
    ----------
    root : Path
    """

    root: Path

    @property
    def plan(self) -> Path:
        """What the study was begun with."""
        return self.root / STUDY_FILE

    @property
    def data(self) -> Path:
        """A copy of the images with their annotations, and ``index.csv``."""
        return self.root / "data"

    @property
    def work(self) -> Path:
        """What Snakemake and locks need."""
        return self.root / "work"

    def training(self, name: str) -> Path:
        """Return the folder of a training."""
        return self.root / "trainings" / name

    def is_finished(self, name: str) -> bool:
        """Tell whether a training was done and scored."""
        return (self.training(name) / RESULT_FILE).is_file()

    def reason(self, name: str) -> str:
        """Return why a training failed; empty where none is known."""
        path = self.training(name) / FAILURE_FILE
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


@dataclass(frozen=True)
class StudyPlan:
    """What a study was begun with.

    Attributes
    ----------
    design : StudyDesign
    images : dict of str to StudyImage
    """

    design: StudyDesign
    images: Images

    def grids(self) -> Dict[str, List[StudyCell]]:
        """Return the trainings of each grid, but for those that want more images than there are."""
        wanted = self.design.cells(kinds_in(self.images))
        return {grid: [cell for cell in cells if self.has_enough(cell)] for grid, cells in wanted.items()}

    def has_enough(self, cell: StudyCell) -> bool:
        """Tell whether as many images may teach as a training wants."""
        return cell.images <= len(images_for(replace(cell, images=0), self.images, POOL_PART))

    def left_out(self) -> List[str]:
        """Name the trainings that want more images than there are."""
        wanted = self.design.cells(kinds_in(self.images))
        return list(
            dict.fromkeys(cell.name for cells in wanted.values() for cell in cells if not self.has_enough(cell))
        )

    def trainings(self) -> Dict[str, StudyCell]:
        """Return all trainings by their names, each once, in the order of the grids."""
        return {cell.name: cell for cells in self.grids().values() for cell in cells}


@dataclass(frozen=True)
class Surveyed:
    """The annotated images of a study.

    Attributes
    ----------
    sources : dict of str to AnnotatedImage
        By name.
    origins : dict of str to Path
        The folder that each came from.
    """

    sources: Dict[str, AnnotatedImage]
    origins: Dict[str, Path]


def survey(design: StudyDesign, folders: Sequence[Path]) -> Surveyed:
    """Read the annotated images of a study, those of the modality that is wanted and of kinds with enough images.

    Parameters
    ----------
    design : StudyDesign
    folders : sequence of Path
        Each with ``images`` and ``masks``, see `training.reading.read_annotated`.

    Returns
    -------
    Surveyed
        Kinds with too few images are left out, which the log tells.

    Raises
    ------
    ImageError
        If images cannot be used, two have the same name, or there are too few.
    """
    found: Dict[str, AnnotatedImage] = {}
    origins: Dict[str, Path] = {}
    for folder in folders:
        for source in read_annotated_images(folder):
            if source.name in origins:
                raise ImageError(f"{folder}: a second image is called {source.name}; give each a name of its own")
            origins[source.name] = folder
            if JOINED in image_kind(source):
                raise ImageError(
                    f"the kind {image_kind(source)!r} has a {JOINED}, which stands between kinds; rename it"
                )
            # Without an index nobody knows, and a person who gives images for a study means them.
            if not design.modality or source.modality in ("", design.modality):
                found[source.name] = source
    counts = Counter(image_kind(source) for source in found.values())
    # Of two kinds with as many images the same one every time.
    largest = sorted(counts, key=lambda kind: (-counts[kind], kind))[: design.most_kinds or None]
    wanted = {kind for kind in largest if counts[kind] >= FEWEST_OF_A_KIND}
    kept = {name: source for name, source in found.items() if image_kind(source) in wanted}
    if not kept:
        other = f", {len(origins) - len(found)} of another modality than {design.modality}" if design.modality else ""
        raise ImageError(
            f"{len(origins)} annotated images came{other}, and no kind has {FEWEST_OF_A_KIND}: one to learn from, one "
            "that judges while networks learn, and one to test them; annotate more"
        )
    few = [f"{kind} ({count})" for kind, count in counts.items() if count < FEWEST_OF_A_KIND]
    if few:
        _LOGGER.warning("kinds with fewer than %d images are left out: %s", FEWEST_OF_A_KIND, ", ".join(sorted(few)))
    return Surveyed(kept, origins)


def make_plan(design: StudyDesign, surveyed: Surveyed) -> StudyPlan:
    """Decide what each image of a study is there for."""
    kinds: Dict[str, List[str]] = {}
    sources = surveyed.sources
    for name, source in sources.items():
        kinds.setdefault(image_kind(source), []).append(name)
    parts = part_images(kinds, design)
    return StudyPlan(
        design,
        {
            name: StudyImage(image_kind(source), parts[name], digest_of(source))
            for name, source in sorted(sources.items())
        },
    )


def refuse_what_is_no_study(folder: StudyFolder) -> None:
    """Refuse to put a study into a folder that holds something else.

    Raises
    ------
    ConfigError
    """
    if folder.plan.is_file() or not folder.root.is_dir():
        return
    # A hidden file is the system's, or what was being written when a study was killed.
    others = [path for path in folder.root.iterdir() if path != folder.work and not path.name.startswith(".")]
    if others:
        raise ConfigError(f"{folder.root} holds something else than a study; name another output, or empty this folder")


def keep_plan(folder: StudyFolder, plan: StudyPlan) -> None:
    """Write what a study was begun with; one that was begun with the same goes on.

    Raises
    ------
    ConfigError
        If the folder holds another study.
    """
    now: Dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(plan)))
    if folder.plan.is_file():
        before = _read(folder.plan)
        if before == now:
            return
        changed = [key for key in now["design"] if now["design"][key] != before.get("design", {}).get(key)]
        raise ConfigError(
            f"{folder.root} holds a study that was begun with another configuration or other images "
            f"({', '.join(changed) or 'images'}); go on with the former ones, or name another output"
        )
    make_folder(folder.root)
    write_json(folder.plan, now)


def read_study_plan(folder: StudyFolder) -> StudyPlan:
    """Read what a study was begun with.

    Raises
    ------
    ConfigError
        If there is no study in the folder.
    """
    return from_mapping(StudyPlan, _read(folder.plan))


def _read(path: Path) -> Dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path.parent} holds no study that can be read ({path.name}: {error})") from error
    return values if isinstance(values, dict) else {}


def copy_study_images(folder: StudyFolder, plan: StudyPlan, surveyed: Surveyed) -> None:
    """Copy the images of a study, with label images and an index, unless they are there.

    Raises
    ------
    NucDLError
        If they cannot be written.
    """
    import pandas as pd

    index = folder.data / "index.csv"
    if index.is_file():
        return
    for kind in ("images", "masks"):
        make_folder(folder.data / kind)
    for origin in sorted(set(surveyed.origins.values())):
        for path in image_files([origin / "images"]):
            name = image_stem(path)
            if name in plan.images and surveyed.origins[name] == origin:
                shutil.copyfile(path, folder.data / "images" / path.name)
                write_labels(folder.data / "masks" / f"{name}{LABEL_SUFFIX}", truth_of(surveyed.sources[name]))
    rows = [
        {"id": name, "group": image.kind, "part": image.part, "modality": surveyed.sources[name].modality}
        for name, image in plan.images.items()
    ]
    write_table(index, pd.DataFrame(rows))


def read_images(folder: StudyFolder, names: Sequence[str]) -> Dict[str, AnnotatedImage]:
    """Read some images of a study, by their names."""
    found = read_annotated(folder.data / "images", folder.data / "masks", names=names)
    return {source.name: source for source in found}
