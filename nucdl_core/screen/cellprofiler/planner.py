"""From what the user gives to a plan, or to one line that says why there is none; nothing is started before."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Mapping, Optional, Tuple

from nucdl_core import __version__
from nucdl_core.config import require
from nucdl_core.screen.cellprofiler.pipeline_file import format_pipeline, parse_pipeline
from nucdl_core.screen.cellprofiler.pipeline_rules import AdaptedPipeline, adapt_pipeline, used_models
from nucdl_core.screen.cellprofiler.preflight import Preflight, check_pipeline
from nucdl_core.screen.core.image_list import ImageList, cut_into_chunks, list_start, scan_list
from nucdl_core.screen.core.naming import list_images
from nucdl_core.screen.core.new_screen import check_output, write_screen
from nucdl_core.screen.core.plan import (
    PLAN_FORMAT,
    Chunk,
    Costs,
    PlannedImages,
    Procedure,
    ScreenError,
    ScreenFolder,
    ScreenLimits,
    ScreenPlan,
    read_plan,
)

START_SHARE = 0.05
"""Largest share of a process's time that may go into its start."""
_MISSING_IMAGE = re.compile(r": (\S+) not in ")
USUAL_COSTS = Costs(start_seconds=8.0, image_set_seconds=1.0)
"""What is assumed where nothing was measured: CellProfiler starts in 3 to 5 s, a model is loaded in 3 to 4 s."""


@dataclass(frozen=True)
class PlanRequest:
    """What a screen is planned from.

    Attributes
    ----------
    pipeline, output : Path
        The ``.cppipe`` file and the folder of the screen.
    csv : Path or None
        LoadData's list of image sets; or else `images` and `naming`.
    images : Path or None
        Folder of images.
    naming : str or None
        How its files are named, see `naming`.
    channels : mapping of str to str
        What the pipeline calls images of that folder, and which channels these are, see `naming.list_images`.
    plugins : Path or None
        Folder of CellProfiler plugins.
    chunk_size : int or None
        Image sets per chunk; None computes it.
    grouping : tuple of str or None
        Metadata whose groups stay in one chunk; None takes those that the pipeline groups by.
    limits : ScreenLimits
    costs : Costs or None
        Measured costs; None assumes usual ones.
    cores : int
        How many processes will run at once; where chunks are computed, there is one for each, if it pays.
    allow_missing : bool
        Plan although image files are missing.
    """

    pipeline: Path
    output: Path
    csv: Optional[Path] = None
    images: Optional[Path] = None
    naming: Optional[str] = None
    channels: Mapping[str, str] = field(default_factory=dict)
    plugins: Optional[Path] = None
    chunk_size: Optional[int] = None
    grouping: Optional[Tuple[str, ...]] = None
    limits: ScreenLimits = field(default_factory=ScreenLimits)
    costs: Optional[Costs] = None
    cores: int = 1
    allow_missing: bool = False

    def __post_init__(self) -> None:
        require(
            (self.csv is None) != (self.images is None),
            "give the image sets either by --csv or by --images with --naming, and not by both",
        )
        require(
            (self.images is None) == (self.naming is None),
            "--images and --naming belong together: the naming says what the names of the files mean; give both",
        )
        require(
            not self.channels or self.images is not None,
            "--channel goes with --images: in a list, the columns say themselves what the images are called",
        )


def plan_screen(request: PlanRequest) -> ScreenPlan:
    """Check all that can be checked before the work, and write the plan into the folder of the screen.

    The checks come from cheap to expensive: output, pipeline, models, list, CellProfiler. Where the same screen has
    been planned there already, nothing is written.

    Parameters
    ----------
    request : PlanRequest

    Returns
    -------
    ScreenPlan

    Raises
    ------
    NucDLError
        With one line that says why there is no plan; nothing was started then.
    """
    folder = ScreenFolder(request.output.absolute())
    check_output(folder)
    pipeline = adapt_pipeline(parse_pipeline(request.pipeline))
    models = used_models(pipeline.modules)
    grouping = choose_grouping(request.grouping, pipeline.grouping)
    with tempfile.TemporaryDirectory(prefix="nucdl_") as scratch:
        images = scan_list(_list_path(request, Path(scratch)), grouping, request.allow_missing)
        preflight = _checked_pipeline(pipeline, images, request)
        size = request.chunk_size or _size_before(folder)
        if size is None:
            cores = 1 if preflight.aggregating else request.cores
            size = chunk_size(request.costs or USUAL_COSTS, len(images.starts), cores)
        order, chunks = cut_into_chunks(images.groups, bool(grouping), size)
        _refuse_split_groups(pipeline, preflight, chunks)
        plan = ScreenPlan(
            format=PLAN_FORMAT,
            nucdl=__version__,
            procedure=_describe_pipeline(request.pipeline, pipeline, preflight, images),
            images=PlannedImages(images.sha256, len(images.starts), images.columns, images.channels),
            plugins=None if request.plugins is None else str(request.plugins.resolve()),
            grouping=grouping,
            chunk_size=size,
            chunks=len(chunks),
            limits=request.limits,
            models=models,
            costs=request.costs,
        )
        if folder.plan.exists():
            return _same_plan(folder, plan)
        write_screen(folder, plan, images, (order, chunks), format_pipeline(pipeline.modules))
    return plan


def _checked_pipeline(pipeline: AdaptedPipeline, images: ImageList, request: PlanRequest) -> Preflight:
    """Let CellProfiler check the pipeline; where it misses images of a folder, say how they get their names."""
    try:
        return check_pipeline(pipeline.modules, list_start(images), request.plugins)
    except ScreenError as error:
        missing = _MISSING_IMAGE.search(str(error))
        if request.images is None or missing is None:
            raise
        raise ScreenError(
            f"{error}. The images of the folder are called {', '.join(images.channels)}; say which is which, for "
            f"example --channel {missing.group(1)}={images.channels[0]}"
        ) from error


def _list_path(request: PlanRequest, scratch: Path) -> Path:
    """Return the list, made of the folder of images where none was given."""
    if request.csv is not None:
        return request.csv.absolute()
    path = scratch / "images.csv"
    text = list_images(request.images or Path(), request.naming or "", request.channels)
    path.write_text(text, encoding="utf-8")
    return path


def choose_grouping(wanted: Optional[Tuple[str, ...]], of_pipeline: Tuple[str, ...]) -> Tuple[str, ...]:
    """Decide by what image sets are kept together.

    Parameters
    ----------
    wanted : tuple of str or None
        What the user asked for, if anything.
    of_pipeline : tuple of str
        What the pipeline groups by, if anything.

    Raises
    ------
    ScreenError
        If the pipeline's groups would be spread over several chunks.
    """
    if wanted is None:
        return of_pipeline
    if of_pipeline and not set(wanted) <= set(of_pipeline):
        raise ScreenError(
            f"the pipeline groups by {','.join(of_pipeline)}, chunks of {','.join(wanted)} would cut its groups; "
            "leave --group out, or name fewer"
        )
    return wanted


def _size_before(folder: ScreenFolder) -> Optional[int]:
    """Return the size of the chunks that are planned already, whatever computer planned them."""
    return read_plan(folder).chunk_size if folder.plan.exists() else None


def chunk_size(costs: Costs, image_sets: int, cores: int = 1) -> int:
    """Compute how many image sets one process should do.

    A process that takes ``s`` seconds to start and ``c`` for each of ``n`` image sets spends the share
    ``s / (s + n c)`` on its start. It is at most `START_SHARE` ``p`` from ``n = s (1 - p) / (p c)`` on, that is from
    ``19 s / c`` image sets on for 5 %. The screen is cut into as many even chunks of at least that size as it has. But
    no core is left idle for the sake of that share, unless a process would take longer to start than to work.

    Parameters
    ----------
    costs : Costs
    image_sets : int
        Of the whole screen.
    cores : int
        Processes that run at once.

    Returns
    -------
    int
        At least 1, at most `image_sets`.
    """
    least = math.ceil(costs.start_seconds * (1 - START_SHARE) / (START_SHARE * costs.image_set_seconds))
    worth_starting = int(image_sets * costs.image_set_seconds / max(costs.start_seconds, costs.image_set_seconds))
    return math.ceil(image_sets / max(1, image_sets // least, min(cores, worth_starting)))


def _refuse_split_groups(pipeline: AdaptedPipeline, preflight: Preflight, chunks: List[Chunk]) -> None:
    """Refuse a pipeline that combines all image sets, where chunks would make it combine only their own."""
    if preflight.aggregating and not pipeline.grouping and len(chunks) > 1:
        raise ScreenError(
            f"{preflight.aggregating[0]} combines all image sets, but a chunk sees only its own; group the image sets "
            "in LoadData, such as by Plate, or do all in one process with a --chunk-size as large as the list"
        )


def _describe_pipeline(path: Path, pipeline: AdaptedPipeline, preflight: Preflight, images: ImageList) -> Procedure:
    return Procedure(
        name=path.name,
        sha256=hashlib.sha256(format_pipeline(pipeline.modules).encode("utf-8")).hexdigest(),
        steps=tuple(module.name for module in pipeline.modules if module.enabled),
        channels=tuple(name for name in images.channels if name in preflight.channels),
        tables=preflight.tables,
        changes=pipeline.changes,
    )


def _same_plan(folder: ScreenFolder, plan: ScreenPlan) -> ScreenPlan:
    """Return the plan that is there, if it is the same."""
    former = read_plan(folder)
    if former != plan:
        parts = [part.name for part in dataclasses.fields(plan)]
        differing = [name for name in parts if getattr(plan, name) != getattr(former, name)]
        names = ["pipeline" if name == "procedure" else name for name in differing]
        raise ScreenError(
            f"{folder.root} holds another screen, which differs in {', '.join(names)}; give a new folder, or go on "
            "with that screen by 'nucdl screen resume'"
        )
    return former
