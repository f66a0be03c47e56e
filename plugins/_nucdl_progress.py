"""How far a large image is, while CellProfiler waits for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cellprofiler_core.preferences import report_progress

if TYPE_CHECKING:
    from nucdl_core.progress import TileProgress


def tile_progress(doing: str) -> TileProgress:
    """Return a function for the engine to call after each tile of a large image.

    It writes into the status line of CellProfiler's window where the window itself computes: in test mode. Otherwise
    worker processes compute, from whose threads CellProfiler takes no reports; what the engine logs by itself appears
    in the log of the window's process.

    Parameters
    ----------
    doing : str
        What the status line says is being done, such as "Finding nuclei".

    Returns
    -------
    callable
        Takes the number of tiles that are done and the number of all.
    """

    def tell(done: int, count: int) -> None:
        if threading.current_thread() is threading.main_thread():
            if done == 1:
                report_progress("NucDL", 0, doing)
            report_progress("NucDL", done / count, doing)

    return tell
