"""A process of the fast path that really crashes or hangs at images whose height says so."""

import os
import signal
import sys
import time
from pathlib import Path

from nucdl_core.cli import fast_worker as cli_fast_worker
from nucdl_core.screen.core import report
from nucdl_core.screen.fast import images as fast_images

CRASHES, HANGS, KILLS_ONCE, KILLS_PARENT = 41, 42, 43, 44
TESTS = Path(__file__).resolve().parents[1]


def faulty_command(marker):
    """Return the command for `watch_run`; a file `marker` remembers that the process has been killed."""
    code = f"import sys; sys.path[:0] = {[str(TESTS), str(TESTS / 'unit')]!r}; "
    return sys.executable, "-c", f"{code}from fast_faults import main; sys.exit(main({str(marker)!r}))"


def main(marker):
    """Do the task of the command line with images at which something happens."""
    real = fast_images.segment_unfiltered

    def faulty(pixels, *arguments, **options):
        height = pixels.shape[0]
        if height == CRASHES:
            os.kill(os.getpid(), signal.SIGSEGV)
        if height == KILLS_ONCE and not os.path.exists(marker):
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if height == KILLS_PARENT:
            os.kill(os.getppid(), signal.SIGKILL)
        if height in (HANGS, KILLS_PARENT):
            time.sleep(1000)
        return real(pixels, *arguments, **options)

    fast_images.segment_unfiltered = faulty
    # Drawing the maps of a report takes longer than all else.
    report.can_write_html = lambda: False
    return cli_fast_worker.main()
