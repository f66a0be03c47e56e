"""Holds one of two GPUs of a screen until its input ends; prints which.

holds_gpu.py FOLDER
"""

import sys
from pathlib import Path

from nucdl_core.screen.cellprofiler.gpus import hold_gpu
from nucdl_core.screen.core.plan import ScreenFolder

with hold_gpu(ScreenFolder(Path(sys.argv[1])).work, 2) as gpu:
    sys.stdout.write(f"{gpu}\n")
    sys.stdout.flush()
    sys.stdin.read()
