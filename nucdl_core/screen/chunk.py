"""The program that does one chunk of a planned screen with CellProfiler; Snakemake's jobs and job arrays run it.

python -m nucdl_core.screen.chunk OUTPUT NUMBER
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import List, Optional

from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import make_folder
from nucdl_core.screen.cellprofiler.chunk import run_chunk
from nucdl_core.screen.core.plan import ScreenFolder
from nucdl_core.screen.core.process import StopRequest, stop_on_signals


def chunk_program(arguments: Optional[List[str]] = None) -> int:
    """Run one chunk; return the exit code: 0 if it is published, whether image sets failed or not."""
    parser = argparse.ArgumentParser(prog="python -m nucdl_core.screen.chunk", description="Run one chunk of a screen.")
    parser.add_argument("output", type=Path, help="folder of the screen")
    parser.add_argument("number", type=int, help="number of the chunk, from 1")
    parser.add_argument("--marker", type=Path, help="file to make once the chunk is published")
    parser.add_argument("--with-parent", action="store_true", help="stop when the process that started this one ends")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of this computer, of which it takes one for itself")
    given = parser.parse_args(arguments)
    parent = os.getppid() if given.with_parent else None
    try:
        with stop_on_signals():
            run_chunk(ScreenFolder(given.output.absolute()), given.number, parent, given.gpus)
            if given.marker is not None:
                make_folder(given.marker.parent)
                given.marker.touch()
    except StopRequest as request:
        return request.code
    except NucDLError as error:
        sys.stderr.write(f"chunk {given.number}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(chunk_program())
