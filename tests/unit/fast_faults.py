"""A process of the fast path that really crashes or hangs, at images whose height or name says so.

fast_faults.py MARKER TASK PIPE     does a task, like the real one; a file MARKER remembers that it was killed
fast_faults.py watch MARKER TASK    watches such processes, like the command
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

UNIT = Path(__file__).resolve().parent
CRASHES, HANGS, KILLS_ONCE, KILLS_PARENT = 41, 42, 43, 44
HANGS_AT_READING = "never.tif"


def faulty_command(marker):
    """Return what takes the place of `watch.worker_command`."""
    return sys.executable, __file__, str(marker)


def work(marker):
    """Do the task of the command line with images at which something happens."""
    from nucdl_core.cli import fast_worker
    from nucdl_core.screen.core import report
    from nucdl_core.screen.fast import images

    real_segment, real_read = images.segment_unfiltered, images.read_file

    def segment(pixels, *arguments, **options):
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
        return real_segment(pixels, *arguments, **options)

    def read(file, limits):
        if file.path.name == HANGS_AT_READING:
            # A call into a library that lets no other thread of Python run meanwhile.
            ctypes.PyDLL(None).sleep(1000)
        return real_read(file, limits)

    images.segment_unfiltered, images.read_file = segment, read
    # Drawing the maps of a report takes longer than all else.
    report.can_write_html = lambda: False
    return fast_worker.worker_program(sys.argv[-2:])


def watch(marker, task):
    from nucdl_core.screen.fast import watch
    from nucdl_core.screen.fast.task import parse_task

    watch.worker_command = lambda: faulty_command(marker)
    return watch.watch_run(parse_task(task))


if __name__ == "__main__":
    sys.exit(watch(*sys.argv[2:]) if sys.argv[1] == "watch" else work(sys.argv[1]))
