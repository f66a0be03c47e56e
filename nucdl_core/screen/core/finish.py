"""The end of a screen, whoever did its chunks: which are missing, merged tables, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

from nucdl_core.screen.core.merge import MergedScreen, merge_screen
from nucdl_core.screen.core.plan import Chunk, ScreenFolder, read_chunks, read_plan
from nucdl_core.screen.core.process import stop_on_signals
from nucdl_core.screen.core.publish import is_published, read_manifest
from nucdl_core.screen.core.report import HTML_REPORT, RUN_REPORT, count_left_out, write_screen_report
from nucdl_core.screen.core.work import lock_screen, private_folder


@dataclass(frozen=True)
class ScreenEnd:
    """How a run ended.

    Attributes
    ----------
    unfinished : dict of str to str
        Chunks that could not be finished, by name, and why. If there are any, there is nothing else.
    merged : MergedScreen or None
    report : Path or None
        The report: HTML, or JSON where the packages for HTML are absent.
    succeeded, failed, left_out : int
        Image sets; those that were left out are among the failed ones.
    """

    unfinished: Dict[str, str]
    merged: Optional[MergedScreen] = None
    report: Optional[Path] = None
    succeeded: int = 0
    failed: int = 0
    left_out: int = 0


def missing_chunks(folder: ScreenFolder) -> List[Chunk]:
    """List the chunks that are not finished.

    Raises
    ------
    ScreenError
        If the folder holds no plan.
    """
    return [chunk for chunk in read_chunks(folder) if not is_published(folder.result(chunk), chunk)]


def merge_again(folder: ScreenFolder) -> ScreenEnd:
    """Merge the tables of a screen whose chunks are all finished, and write its report.

    Raises
    ------
    ScreenError
        As `merge.merge_screen`, or if a run holds the screen.
    """
    read_plan(folder)
    with stop_on_signals(), lock_screen(folder):
        return merge_and_report(folder)


def merge_and_report(folder: ScreenFolder) -> ScreenEnd:
    """Merge the tables of a screen whose chunks are all finished, and write its report; its lock must be held."""
    merged = merge_screen(folder)
    html = write_screen_report(folder, merged.chunks)
    manifests = [each.manifest for each in merged.chunks]
    return ScreenEnd(
        unfinished={},
        merged=merged,
        report=folder.merged / (HTML_REPORT if html else RUN_REPORT),
        succeeded=sum(len(manifest.succeeded) for manifest in manifests),
        failed=sum(manifest.failed for manifest in manifests),
        left_out=count_left_out(folder.merged),
    )


def discard_failed_chunks(folder: ScreenFolder) -> int:
    """Take away the results of chunks with failed image sets, so that they are done again; return how many."""
    count = 0
    for chunk in read_chunks(folder):
        place = folder.result(chunk)
        if is_published(place, chunk) and read_manifest(place).failed:
            with private_folder(folder, chunk.name) as work:
                place.rename(work / "discarded")
            count += 1
    return count
