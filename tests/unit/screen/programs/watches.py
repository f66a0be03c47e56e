"""Watches the stand-in for the process of the fast path, until it is killed itself.

watches.py CASE TASK
"""

import sys
from pathlib import Path

from nucdl_core.screen.fast import watch
from nucdl_core.screen.fast.task import parse_task

watch.worker_command = lambda: (sys.executable, str(Path(__file__).with_name("worker_stand_in.py")), sys.argv[1])
watch.watch_run(parse_task(sys.argv[2]))
