"""What became of a screen: ``run_report.json`` for programs, ``report.html`` for people."""

from __future__ import annotations

import datetime
import platform
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Sequence, Set

import pandas as pd

from nucdl_core.files.writing import file_sha256, write_json
from nucdl_core.screen.core.html import can_write_html, write_html
from nucdl_core.screen.core.merge import FinishedChunk
from nucdl_core.screen.core.plan import ScreenFolder, ScreenPlan, read_plan
from nucdl_core.screen.core.publish import FAILED, INSPECTION
from nucdl_core.screen.core.records import LEFT_OUT
from nucdl_core.screen.core.throughput import measure_throughput
from nucdl_core.screen.core.verify import IMAGE_NUMBER
from nucdl_core.screen.core.wells import doubts_of_images, well_table

RUN_REPORT = "run_report.json"
HTML_REPORT = "report.html"
MOST_REASONS = 20
MOST_OF_ANOTHER_SIZE = 20
MOST_DOUBTFUL = 20


def make_report(folder: ScreenFolder, finished: Sequence[FinishedChunk]) -> Dict[str, Any]:
    """Collect what a screen's chunks and merged tables tell.

    Parameters
    ----------
    folder : ScreenFolder
        Merged.
    finished : sequence of FinishedChunk
        All its chunks, from `merge.collect_chunks`.

    Returns
    -------
    dict
        Plain values, see `write_screen_report`.
    """
    plan = read_plan(folder)
    manifests = [each.manifest for each in finished]
    succeeded = sum(len(manifest.succeeded) for manifest in manifests)
    wells = well_table(folder.merged)
    return {
        "nucdl_screen_report": 1,
        "written": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "host": platform.node(),
        "folder": str(folder.root),
        "first_chunk_begun": min(manifest.begun for manifest in manifests),
        "pipeline": plan.procedure.name,
        "image_sets": plan.images.image_sets,
        "succeeded": succeeded,
        "failed": sum(manifest.failed for manifest in manifests),
        "left_out": count_left_out(folder.merged),
        "failures": _reasons(folder.merged / FAILED),
        **_sizes(folder.merged / INSPECTION),
        **_doubts(folder.merged),
        "chunks": len(finished),
        "processes": sum(manifest.processes for manifest in manifests),
        "peak_memory_mb": max(manifest.peak_memory_mb for manifest in manifests),
        "throughput": _throughput(finished, plan.images.image_sets),
        "seconds_per_step": _sum(manifest.seconds for manifest in manifests),
        "processor_seconds_per_module": _sum(manifest.step_seconds for manifest in manifests),
        "versions": _versions(manifest.versions for manifest in manifests),
        "hashes": _hashes(folder, plan),
        "objects": wells.attrs["objects"],
        "wells": wells.to_dict(orient="records"),
    }


def count_left_out(merged: Path) -> int:
    """Count the failed image sets whose fields were not wanted, see `plan.FieldLimits`."""
    table = pd.read_csv(merged / FAILED, usecols=["Step"], dtype=str, encoding_errors="surrogateescape")
    return int((table["Step"] == LEFT_OUT).sum())


def _reasons(path: Path) -> List[Dict[str, Any]]:
    """Count the failures for each reason, the most frequent first."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding_errors="surrogateescape")
    # Each field that was left out has its own value; what they share is said before it.
    short = table["Reason"].str.split(":").str[0]
    reasons = table["Reason"].where(table["Step"] != LEFT_OUT, short)
    counts = Counter(zip(table["Step"], table["Module"], reasons))
    return [
        {"step": step, "module": module, "reason": reason, "image_sets": count}
        for (step, module, reason), count in counts.most_common(MOST_REASONS)
    ]


def _sizes(path: Path) -> Dict[str, Any]:
    """Find the size of most images, and the image sets that have another one."""
    table = pd.read_csv(path, usecols=[IMAGE_NUMBER, "height", "width"], encoding_errors="surrogateescape")
    table = table.drop_duplicates(IMAGE_NUMBER)
    sizes = [(int(height), int(width)) for height, width in zip(table["height"], table["width"])]
    counts = Counter(sizes)
    # The smaller size wins a tie, so that the order does not matter.
    usual = min(counts, key=lambda size: (-counts[size], size)) if counts else None
    others = [int(number) for number, size in zip(table[IMAGE_NUMBER], sizes) if size != usual]
    return {
        "usual_size": usual and {"height": usual[0], "width": usual[1]},
        "of_another_size": len(others),
        "first_of_another_size": others[:MOST_OF_ANOTHER_SIZE],
    }


def _doubts(merged: Path) -> Dict[str, Any]:
    """Count the images that cannot be trusted, for each reason, and name the first of them."""
    images = doubts_of_images(merged)
    table = images[images["doubtful"] == 1]
    return {
        "doubtful": len(table),
        "doubts": {str(reason): int(count) for reason, count in Counter(table["reason"]).most_common()},
        "first_doubtful": [int(number) for number in table[IMAGE_NUMBER][:MOST_DOUBTFUL]],
    }


def _throughput(finished: Sequence[FinishedChunk], image_sets: int) -> Dict[str, float]:
    """Compute image sets per hour, by the clock of one process and in the time in which any process worked."""
    found = measure_throughput([each.manifest for each in finished])
    return {
        "process_hours": round(found.process_seconds / 3600, 4),
        "image_sets_per_process_hour": round(3600 * image_sets / max(found.process_seconds, 1e-3), 1),
        "hours_worked": round(found.worked_seconds / 3600, 4),
        "hours_from_first_to_last": round(found.span_seconds / 3600, 4),
        "image_sets_per_hour": round(found.per_hour, 1),
    }


def _sum(parts: Iterable[Mapping[str, float]]) -> Dict[str, float]:
    total: Dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return {name: round(value, 2) for name, value in sorted(total.items())}


def _versions(parts: Iterable[Mapping[str, str]]) -> Dict[str, List[str]]:
    """List every version of each program that took part; more than one is worth a look."""
    found: Dict[str, Set[str]] = {}
    for part in parts:
        for name, version in part.items():
            found.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in found.items()}


def _hashes(folder: ScreenFolder, plan: ScreenPlan) -> Dict[str, Any]:
    tables = sorted(path for path in folder.merged.iterdir() if path.name not in (RUN_REPORT, HTML_REPORT))
    return {
        "plan": file_sha256(folder.plan),
        "pipeline": plan.procedure.sha256,
        "list": plan.images.sha256,
        "models": {model.name: model.sha256 for model in plan.models},
        "tables": {path.name: file_sha256(path) for path in tables},
    }


def write_screen_report(folder: ScreenFolder, finished: Sequence[FinishedChunk]) -> bool:
    """Write the report of a merged screen.

    Parameters
    ----------
    folder : ScreenFolder
    finished : sequence of FinishedChunk

    Returns
    -------
    bool
        Whether ``report.html`` was written beside ``run_report.json``; it needs jinja2 and matplotlib.

    Raises
    ------
    NucDLError
        If they cannot be written.
    """
    report = make_report(folder, finished)
    write_json(folder.merged / RUN_REPORT, report)
    if not can_write_html():
        return False
    write_html(folder.merged / HTML_REPORT, report)
    return True
