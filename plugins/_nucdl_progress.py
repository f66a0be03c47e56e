"""How far a large image is, while CellProfiler waits for it."""

from __future__ import annotations

import threading
from typing import Callable

from cellprofiler_core.preferences import report_progress


def tile_progress(doing: str) -> Callable[[int, int], None]:
    """Return what tells how far a large image is: in the log, and in the status line where the window itself computes.

    The status line also tells what is being done, such as "Finding nuclei".

    The window computes in test mode. Otherwise workers do, in whose threads CellProfiler takes no reports; what they
    log appears in the log of the window's process.
    """
    from nucdl_core.progress import LoggedProgress

    logged = LoggedProgress()

    def tell(done: int, count: int) -> None:
        logged(done, count)
        if threading.current_thread() is threading.main_thread():
            if done == 1:
                report_progress("NucDL", 0, doing)
            report_progress("NucDL", done / count, doing)

    return tell
