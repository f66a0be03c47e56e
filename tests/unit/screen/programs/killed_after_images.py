"""Segments a plate and kills itself after so many images.

killed_after_images.py COUNT LIST OUTPUT
"""

import os
import signal
import sys
from pathlib import Path

UNIT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(UNIT), str(UNIT.parent)]


def main(count, path, output):
    from fast_folders import run

    left = [int(count)]

    def progress(done):
        left[0] -= done
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    run(Path(path), Path(output), workers=2, progress=progress)


if __name__ == "__main__":
    main(*sys.argv[1:])
