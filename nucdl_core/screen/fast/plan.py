"""The fast path: a screen of which NucDL alone does every image set, planned from a list and settings.

Its folder is that of any screen, with ``segmentation.json`` in the place of the pipeline.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any, List, Optional, Sequence, Tuple

from nucdl_core import __version__
from nucdl_core.model.bundle import find_bundle
from nucdl_core.model.device import format_name, resolve_device
from nucdl_core.model.loading import load_model
from nucdl_core.screen.core.identity import identify_model
from nucdl_core.screen.core.image_list import cut_into_chunks, scan_list
from nucdl_core.screen.core.new_screen import check_output, write_screen
from nucdl_core.screen.core.plan import (
    PLAN_FORMAT,
    SETTINGS,
    PlannedImages,
    Procedure,
    ScreenError,
    ScreenFolder,
    ScreenPlan,
    read_plan,
)
from nucdl_core.screen.core.wells import NUCLEI
from nucdl_core.screen.fast.label_images import require_format
from nucdl_core.screen.fast.settings import FastSettings, format_settings, read_settings
from nucdl_core.screen.fast.task import CHUNK_SIZE, FastRequest

SEGMENTATION = "segmentation"
"""The one step of the fast path."""
USUAL_BATCH = {"cpu": 1, "cuda": 8}
"""Images that go through the network at once, by device."""


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
    model = identify_model(request.config.model)
    images = scan_list(request.csv.absolute(), (), request.allow_missing)
    settings = FastSettings(
        dataclasses.replace(request.config, keep_probability=request.outputs.probability),
        device,
        choose_channel(images.channels, request.channel),
        request.labels,
        request.batch or USUAL_BATCH[device],
        format_name(load_model(find_bundle(request.config.model), device).dtype),
        request.outputs,
    )
    text = format_settings(settings)
    size = request.chunk_size or (read_plan(folder).chunk_size if folder.plan.exists() else CHUNK_SIZE)
    order, chunks = cut_into_chunks(images.groups, False, size)
    plan = ScreenPlan(
        format=PLAN_FORMAT,
        nucdl=__version__,
        procedure=_describe(settings, text),
        images=PlannedImages(images.sha256, len(images.starts), images.columns, images.channels),
        plugins=None,
        grouping=(),
        chunk_size=size,
        chunks=len(chunks),
        limits=request.limits,
        models=(model,),
    )
    if folder.plan.exists():
        return folder, _same_plan(folder, plan, settings)
    write_screen(folder, plan, images, (order, chunks), text)
    return folder, plan


def _describe(settings: FastSettings, text: str) -> Procedure:
    sha256 = hashlib.sha256(text.encode("utf-8")).hexdigest()
    return Procedure(SETTINGS, sha256, (SEGMENTATION,), (settings.channel,), (NUCLEI,))


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


def _same_plan(folder: ScreenFolder, plan: ScreenPlan, settings: FastSettings) -> ScreenPlan:
    """Return the plan that is there, if it is the same work; refuse a folder in which something else was begun."""
    former = read_plan(folder)
    if not former.procedure.by_nucdl_alone:
        raise ScreenError(f"{folder.root} holds a screen of the pipeline {former.procedure.name}; give a new folder")
    begun = read_settings(folder)
    # Nobody chooses the columns of the tables: they stay as they were.
    changes = _changes(begun, dataclasses.replace(settings, flags=begun.flags)) + _changes(former.limits, plan.limits)
    if former.images != plan.images:
        changes.append("another list of images")
    if former.models != plan.models:
        changes.append("another model")
    for name, words in (("nucdl", "NucDL"), ("chunk_size", "chunk size")):
        if getattr(former, name) != getattr(plan, name):
            changes.append(f"{words} {getattr(former, name)}, not {getattr(plan, name)}")
    if not changes:
        return former
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
            changes.append(f"{each.name.replace('_', ' ')} {_in_words(before)}, not {_in_words(after)}")
    return changes


def _in_words(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
