"""A process with a child, for tests of what is seen of it and what is left of it.

family.py swells MEGABYTES      the child takes so much memory, and both stay
family.py stops PID FILE        the child writes its number, sends SIGTERM to the process PID, and both stay
family.py leaves FILE           the child writes its number and stays, the process itself ends at once
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main(role, *arguments):
    if role != "child":
        child = subprocess.Popen(
            [sys.executable, __file__, "child", role, *arguments], start_new_session=role == "leaves"
        )
        if role != "leaves":
            child.wait()
        while role == "leaves" and not Path(arguments[-1]).exists():
            time.sleep(0.01)
        # Long enough for somebody to see both.
        time.sleep(2)
        return
    role, *arguments = arguments
    note = Path(arguments[-1])
    note.with_suffix(".part").write_text(str(os.getpid()))
    note.with_suffix(".part").rename(note)
    if role == "stops":
        os.kill(int(arguments[0]), signal.SIGTERM)
    held = bytearray(b"1" * int(arguments[0]) * 1_000_000) if role == "swells" else b""
    time.sleep(1000)
    del held


if __name__ == "__main__":
    main(*sys.argv[1:])
