"""A planned screen, run to its end: chunks, merged tables, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional

from nucdl_core.screen.cellprofiler.engine import LOG, EngineOptions, Progress, run_missing_chunks
from nucdl_core.screen.core.merge import MergedScreen, merge_screen
from nucdl_core.screen.core.plan import SETTINGS, ScreenError, ScreenFolder, read_chunks, read_plan
from nucdl_core.screen.core.process import stop_on_signals
from nucdl_core.screen.core.publish import is_published, read_manifest
from nucdl_core.screen.core.report import HTML_REPORT, RUN_REPORT, write_report
from nucdl_core.screen.core.work import lock_screen, private_folder, read_error


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
    succeeded, failed : int
        Image sets.
    """

    unfinished: Dict[str, str]
    merged: Optional[MergedScreen] = None
    report: Optional[Path] = None
    succeeded: int = 0
    failed: int = 0


def finish_screen(
    folder: ScreenFolder, options: EngineOptions, progress: Optional[Progress] = None, retry_failed: bool = False
) -> ScreenEnd:
    """Run the chunks that are missing, merge the tables and write the report.

    Parameters
    ----------
    folder : ScreenFolder
        Planned; what is finished in it is kept.
    options : EngineOptions
    progress : callable, optional
        Called with the number of finished chunks.
    retry_failed : bool
        Whether chunks with failed image sets are done again.

    Returns
    -------
    ScreenEnd

    Raises
    ------
    ScreenError
        If there is no plan, or one of the fast path, another run holds the screen, there is no Snakemake, or results
        were altered.
    NucDLError
        If something cannot be written.
    StopRequest
        If the program was asked to stop by a signal; the screen can be resumed.
    """
    if read_plan(folder).pipeline.name == SETTINGS:
        raise ScreenError(f"{folder.root} was made by 'nucdl segment --csv'; repeat that command to go on")
    with stop_on_signals(), lock_screen(folder):
        if retry_failed:
            discard_failed_chunks(folder)
        left = run_missing_chunks(folder, options, progress)
        if left:
            unknown = f"did not end, and left no reason; see {folder.work / LOG}"
            return ScreenEnd({chunk.name: read_error(folder, chunk.name) or unknown for chunk in left})
        return merge_and_report(folder)


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
    html = write_report(folder, merged.chunks)
    manifests = [each.manifest for each in merged.chunks]
    return ScreenEnd(
        unfinished={},
        merged=merged,
        report=folder.merged / (HTML_REPORT if html else RUN_REPORT),
        succeeded=sum(len(manifest.succeeded) for manifest in manifests),
        failed=sum(manifest.failed for manifest in manifests),
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
