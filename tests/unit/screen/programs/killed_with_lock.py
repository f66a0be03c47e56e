"""Locks a screen and kills itself.

killed_with_lock.py FOLDER
"""

import os
import signal
import sys
from pathlib import Path

from nucdl_core.screen.core.plan import ScreenFolder
from nucdl_core.screen.core.work import lock_screen

with lock_screen(ScreenFolder(Path(sys.argv[1]))):
    os.kill(os.getpid(), signal.SIGKILL)
