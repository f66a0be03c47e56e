"""The fast path: a screen of which NucDL alone does every image set, planned from a list and settings.

Its folder is that of any screen, with ``segmentation.json`` in the place of the pipeline.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from nucdl_core import __version__
from nucdl_core.config import SegmentConfig, from_mapping, require
from nucdl_core.errors import ConfigError
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.device import format_name, resolve_device
from nucdl_core.model.loading import load_model
from nucdl_core.screen.cellprofiler.pipeline_rules import read_model
from nucdl_core.screen.cellprofiler.planner import check_output, write_screen
from nucdl_core.screen.core.image_list import cut_into_chunks, scan_list
from nucdl_core.screen.core.plan import (
    FORMAT,
    SETTINGS,
    PlannedImages,
    PlannedPipeline,
    ScreenError,
    ScreenFolder,
    ScreenPlan,
    read_plan,
)
from nucdl_core.screen.core.wells import NUCLEI
from nucdl_core.screen.fast.label_images import FORMATS, require_format
from nucdl_core.screen.fast.task import FastRequest

STEP = "segmentation"
TOGETHER = {"cpu": 1, "cuda": 8}
"""Images of which the network calls are computed together."""


@dataclass(frozen=True)
class FastSettings:
    """What is done to each image set; ``segmentation.json``.

    Attributes
    ----------
    config : SegmentConfig
    device : str
        "cpu" or "cuda": what the configuration's "auto" was found to be, and has to be until the end.
    channel : str
        Name of the image that shows nuclei.
    labels : str
        "tiff", "zarr" or "none": kind of the label images.
    together : int
        Images of which the network calls are computed together.
    number_format : str
        Of the network, such as "float32".
    """

    config: SegmentConfig
    device: str
    channel: str
    labels: str
    together: int
    number_format: str

    def __post_init__(self) -> None:
        require(self.labels in FORMATS, f"label images are {self.labels!r}; give one of {', '.join(FORMATS)}")
        require(self.together >= 1, f"{self.together} images are computed together; give at least 1")


def plan_fast(request: FastRequest) -> Tuple[ScreenFolder, ScreenPlan]:
    """Check everything that can be checked before the work, and write the plan.

    Where the same work has been planned there already, nothing is written, so that it can go on.

    Returns
    -------
    ScreenFolder
    ScreenPlan

    Raises
    ------
    NucDLError
        With one line that says why there is no plan; nothing was started then.
    """
    folder = ScreenFolder(request.output.absolute(), SETTINGS)
    check_output(folder)
    require_format(request.labels)
    device = resolve_device(request.config.device)
    model = read_model(request.config.model)
    images = scan_list(request.csv.absolute(), (), request.allow_missing)
    settings = FastSettings(
        dataclasses.replace(request.config, keep_probability=False),
        device,
        choose_channel(images.channels, request.channel),
        request.labels,
        request.together or TOGETHER[device],
        format_name(load_model(find_bundle(request.config.model), device).dtype),
    )
    text = format_settings(settings)
    order, chunks = cut_into_chunks(images.groups, False, request.chunk_size)
    plan = ScreenPlan(
        format=FORMAT,
        nucdl=__version__,
        pipeline=_describe(settings, text),
        images=PlannedImages(images.sha256, len(images.starts), images.columns, images.channels),
        plugins=None,
        grouping=(),
        chunk_size=request.chunk_size,
        chunks=len(chunks),
        limits=request.limits,
        models=(model,),
    )
    if folder.plan.exists():
        _require_same(folder, plan, settings)
    else:
        write_screen(folder, plan, images, (order, chunks), text)
    return folder, plan


def _describe(settings: FastSettings, text: str) -> PlannedPipeline:
    sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return PlannedPipeline(SETTINGS, sha256, (STEP,), (settings.channel,), (NUCLEI,))


def choose_channel(channels: Sequence[str], wanted: Optional[str]) -> str:
    """Decide which image of the list shows nuclei.

    Raises
    ------
    ScreenError
        If the list has several and none was chosen, or none of that name.
    """
    names = ", ".join(channels)
    if wanted is None and len(channels) > 1:
        raise ScreenError(f"the list has the images {names}; choose the one that shows nuclei by --channel")
    if wanted is not None and wanted not in channels:
        raise ScreenError(f"the list has no image {wanted!r}, only {names}; choose one of these by --channel")
    return wanted or channels[0]


def format_settings(settings: FastSettings) -> str:
    """Write settings as JSON."""
    values = dataclasses.asdict(settings)
    # JSON knows no infinity.
    values["config"] = {name: None if value == math.inf else value for name, value in values["config"].items()}
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def read_settings(folder: ScreenFolder) -> FastSettings:
    """Read ``segmentation.json``.

    Raises
    ------
    ScreenError
        If it is missing, or was altered or made by another version.
    """
    try:
        values: Dict[str, Any] = json.loads(folder.pipeline.read_text(encoding="utf-8"))
        config = dict(values["config"])
        if config["maximum_diameter"] is None:
            config["maximum_diameter"] = math.inf
        return from_mapping(FastSettings, {**values, "config": from_mapping(SegmentConfig, config)})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ConfigError) as error:
        raise ScreenError(f"{folder.pipeline} cannot be understood ({error}); give a new folder") from error


def _require_same(folder: ScreenFolder, plan: ScreenPlan, settings: FastSettings) -> None:
    """Refuse a folder in which something else was begun."""
    former = read_plan(folder)
    if former == plan:
        return
    if former.pipeline.name != SETTINGS:
        raise ScreenError(f"{folder.root} holds a screen of the pipeline {former.pipeline.name}; give a new folder")
    changes = _changes(read_settings(folder), settings) + _changes(former.limits, plan.limits)
    if former.images != plan.images:
        changes.append("another list of images")
    if former.models != plan.models:
        changes.append("another model")
    others = [name for name in ("nucdl", "chunk_size") if getattr(former, name) != getattr(plan, name)]
    changes += [f"{name} {getattr(former, name)}, not {getattr(plan, name)}" for name in others]
    raise ScreenError(
        f"{folder.root} was begun with {'; '.join(changes)}; repeat the former command to go on, or give a new folder "
        "to start again"
    )


def _changes(former: Any, now: Any) -> List[str]:
    """Say in words which settings differ."""
    changes: List[str] = []
    for each in dataclasses.fields(now):
        before, after = getattr(former, each.name), getattr(now, each.name)
        if dataclasses.is_dataclass(after):
            changes += _changes(before, after)
        elif before != after:
            changes.append(f"{each.name.replace('_', ' ')} {before}, not {after}")
    return changes
