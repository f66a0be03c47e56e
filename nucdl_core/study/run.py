"""A study from its configuration to its report."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence

import numpy as np

from nucdl_core.config import require
from nucdl_core.files.locks import hold_lock
from nucdl_core.files.writing import make_folder
from nucdl_core.model.device import resolve_device
from nucdl_core.overlap import overlap
from nucdl_core.reports.page import require_libraries
from nucdl_core.scores.all_scores import all_overlap_scores
from nucdl_core.screen.cellprofiler.snakemake import EngineOptions
from nucdl_core.screen.core.plan import ScreenError
from nucdl_core.study.design import ALL_KINDS, PRETRAINED, StudyDesign
from nucdl_core.study.engine import run_trainings
from nucdl_core.study.folder import (
    RESULT_FILE,
    SCORES_FILE,
    VIEWS_FILE,
    StudyFolder,
    StudyPlan,
    copy_study_images,
    keep_plan,
    make_plan,
    refuse_what_is_no_study,
    survey,
)
from nucdl_core.study.images import POOL_PART, images_for, kinds_in
from nucdl_core.study.page import write_study_report
from nucdl_core.study.results import FACTORS, StudyResults, read_study_table
from nucdl_core.study.teach import ONE_VIEW, SEVERAL_VIEWS
from nucdl_core.training.loop import CHECKPOINT, begin
from nucdl_core.training.recipe import companion_of

MOST_TRAININGS = 200
_LOGGER = logging.getLogger(__name__)
STUDY_LOCK = "lock"
TOLD = ("parameters", "minutes", "steps", "seconds_per_image", "taught_images", "taught_nuclei")
"""What is told about a training that was finished."""


@dataclass(frozen=True)
class StudyEnd:
    """How a study ended.

    Attributes
    ----------
    report : Path
    finished : int
        Trainings that were done and scored.
    failed : dict of str to str
        The others, with the reason.
    """

    report: Path
    finished: int
    failed: Dict[str, str]


def run_study(
    design: StudyDesign,
    data: Sequence[Path],
    output: Path,
    options: EngineOptions,
    many: bool = False,
    progress: Callable[[int, int], object] = max,
) -> StudyEnd:
    """Run a study to its report; one that was stopped goes on.

    Parameters
    ----------
    design : StudyDesign
    data : sequence of Path
        Folders with annotated images, see `folder.survey`.
    output : Path
        Folder of the study.
    options : EngineOptions
    many : bool
        Whether more than `MOST_TRAININGS` trainings are meant.
    progress : callable
        Called with the number of finished trainings and of all.

    Returns
    -------
    StudyEnd

    Raises
    ------
    NucDLError
        If the configuration, the images, the output, Snakemake or the GPU cannot be used; before anything is trained.
    StopRequest
        If the program was asked to stop.
    """
    require_libraries()
    if options.gpus and options.profile is None:
        resolve_device("cuda")
    folder = StudyFolder(output.absolute())
    refuse_what_is_no_study(folder)
    surveyed = survey(design, data)
    plan = make_plan(with_absolute_paths(design), surveyed)
    check_study(plan, many)
    make_folder(folder.work)
    with hold_lock(folder.work / STUDY_LOCK) as ours:
        if not ours:
            raise ScreenError(f"another run works on {folder.root}; wait for it, or end it and start again")
        keep_plan(folder, plan)
        copy_study_images(folder, plan, surveyed)
        # The images take memory that the trainings need.
        del surveyed
        names = list(plan.trainings())
        missing = [name for name in names if not folder.is_finished(name)]
        if missing:
            before = len(names) - len(missing)
            run_trainings(folder, design, missing, options, lambda done: progress(before + done, len(names)))
        results = collect(folder, plan)
        write_study_report(results, folder.root, design.name)
    failed = results.trainings[results.trainings["failed"] != ""]
    return StudyEnd(
        folder.root / "report.html", len(names) - len(failed), dict(zip(failed["training"], failed["failed"]))
    )


def with_absolute_paths(design: StudyDesign) -> StudyDesign:
    """Make the paths of a study absolute, since its trainings run in another folder than the one a person is in."""

    def absolute(settings: Mapping[str, Any]) -> Dict[str, Any]:
        found = dict(settings)
        if isinstance(found.get("pretrained"), dict) and "file" in found["pretrained"]:
            found["pretrained"] = {**found["pretrained"], "file": str(Path(found["pretrained"]["file"]).absolute())}
        if "companion" in found:
            found["companion"] = _absolute_folder(found["companion"])
        return found

    def starts(factors: Mapping[str, Any]) -> Dict[str, Any]:
        return {
            name: [_absolute_folder(each) for each in values] if name == "start" else values
            for name, values in factors.items()
        }

    base = {**design.base}
    if "start" in base:
        base["start"] = _absolute_folder(base["start"])
    return replace(
        design,
        settings=absolute(design.settings),
        networks={name: absolute(settings) for name, settings in design.networks.items()},
        grids={name: starts(factors) for name, factors in design.grids.items()},
        base=base,
    )


def _absolute_folder(name: Any) -> Any:
    return str(Path(name).absolute()) if isinstance(name, str) and Path(name).is_dir() else name


def check_study(plan: StudyPlan, many: bool) -> None:
    """Refuse what cannot be trained, before anything is.

    Raises
    ------
    ConfigError
        If there are very many trainings, a setting that cannot be used, or too few images for a whole grid.
    BundleError
        If a network cannot be made here, or a model or weights to start from are missing or do not fit.
    """
    for grid, wanted in plan.design.cells(kinds_in(plan.images)).items():
        if not plan.grids()[grid]:
            images_for(wanted[0], plan.images, POOL_PART)
    left = plan.left_out()
    if left:
        _LOGGER.warning("left out, since too few images may teach: %s", ", ".join(left))
    cells = plan.trainings()
    require(
        many or len(cells) <= MOST_TRAININGS,
        f"the grids make {len(cells)} trainings, more than {MOST_TRAININGS}; say --yes if so many are meant",
    )
    tried = set()
    for cell in cells.values():
        images_for(cell, plan.images, POOL_PART)
        config = plan.design.config(cell)
        if cell.start == PRETRAINED:
            require(
                config.pretrained is not None,
                f"{cell.network} is to begin with pre-trained weights, and its settings name none; give pretrained "
                "with file and sha256",
            )
        if (cell.network, cell.start) not in tried:
            tried.add((cell.network, cell.start))
            companion_of(config)
            # Makes the network, and gives it what it begins with.
            begin(config, Path(os.devnull) / CHECKPOINT, "cpu")


def collect(folder: StudyFolder, plan: StudyPlan) -> StudyResults:
    """Put together what came of all trainings.

    Parameters
    ----------
    folder : StudyFolder
    plan : StudyPlan

    Returns
    -------
    StudyResults
    """
    import pandas as pd

    rows: List[Dict[str, Any]] = []
    # Also where nothing was finished, the tables have their columns.
    nothing = np.zeros((1, 1), np.int32)
    scored = ["training", "part", "kind", "image", *all_overlap_scores(overlap(nothing, nothing), 1)]
    tables = {
        SCORES_FILE: [pd.DataFrame(columns=scored)],
        VIEWS_FILE: [pd.DataFrame(columns=["training", "step", ONE_VIEW, SEVERAL_VIEWS])],
    }
    for name, cell in plan.trainings().items():
        row: Dict[str, Any] = {"training": name, **{factor: getattr(cell, factor) for factor in FACTORS}}
        row.update(kinds="+".join(cell.kinds) or ALL_KINDS, replicate=cell.replicate, failed="")
        row.update(dict.fromkeys(TOLD, float("nan")))
        if folder.is_finished(name):
            row.update(json.loads((folder.training(name) / RESULT_FILE).read_text(encoding="utf-8")))
            for file, found in tables.items():
                found.append(read_study_table(folder.training(name) / file).assign(training=name))
        else:
            row["failed"] = folder.reason(name) or f"it did not end; see {folder.work / 'snakemake.log'}"
        rows.append(row)
    # An empty table has no kinds of numbers, and would take those of the others.
    scores, views = (pd.concat(found[1:] or found, ignore_index=True) for found in tables.values())
    grids = {grid: [cell.name for cell in cells] for grid, cells in plan.grids().items()}
    return StudyResults(pd.DataFrame(rows), scores, views, grids)
