"""A planned screen, run to its end: chunks, merged tables, report."""

from __future__ import annotations

from typing import Optional

from nucdl_core.screen.cellprofiler.engine import SNAKEMAKE_LOG, ChunkProgress, run_missing_chunks
from nucdl_core.screen.cellprofiler.snakemake import EngineOptions
from nucdl_core.screen.core.finish import ScreenEnd, discard_failed_chunks, merge_and_report
from nucdl_core.screen.core.plan import ScreenError, ScreenFolder, read_plan
from nucdl_core.screen.core.process import stop_on_signals
from nucdl_core.screen.core.work import lock_screen, read_error


def finish_screen(
    folder: ScreenFolder,
    options: EngineOptions,
    progress: Optional[ChunkProgress] = None,
    retry_failed: bool = False,
) -> ScreenEnd:
    """Run the chunks that are missing, merge the tables and write the report.

    Parameters
    ----------
    folder : ScreenFolder
        Planned; what is finished in it is kept.
    options : EngineOptions
    progress : callable, optional
        See `engine.ChunkProgress`.
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
    if read_plan(folder).procedure.by_nucdl_alone:
        raise ScreenError(f"{folder.root} was made by 'nucdl segment --csv'; repeat that command to go on")
    with stop_on_signals(), lock_screen(folder):
        if retry_failed:
            discard_failed_chunks(folder)
        left = run_missing_chunks(folder, options, progress)
        if left:
            unknown = f"did not end, and left no reason; see {folder.work / SNAKEMAKE_LOG}"
            return ScreenEnd({chunk.name: read_error(folder, chunk.name) or unknown for chunk in left})
        return merge_and_report(folder)
