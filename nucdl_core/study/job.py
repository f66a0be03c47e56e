"""The program that does one training of a study; Snakemake's jobs run it.

python -m nucdl_core.study.job OUTPUT NAME
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from pathlib import Path
from typing import List, Optional

from nucdl_core.errors import NucDLError
from nucdl_core.files.writing import make_folder, write_bytes
from nucdl_core.screen.cellprofiler.gpus import VISIBLE_GPUS, hold_gpu
from nucdl_core.screen.core.process import POLL_SECONDS
from nucdl_core.study.folder import FAILURE_FILE, StudyFolder


def job_program(arguments: Optional[List[str]] = None) -> int:
    """Do one training; return the exit code, 1 if it failed, for a reason that is kept in its folder."""
    parser = argparse.ArgumentParser(prog="python -m nucdl_core.study.job", description="Do a training of a study.")
    parser.add_argument("output", type=Path, help="folder of the study")
    parser.add_argument("name", help="name of the training")
    parser.add_argument("--marker", type=Path, help="file to make once the training is done")
    parser.add_argument("--threads", type=int, default=1, help="cores")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of this computer, of which it takes one for itself")
    parser.add_argument("--with-parent", action="store_true", help="end when the process that started this one ends")
    given = parser.parse_args(arguments)
    parent = os.getppid() if given.with_parent else None
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    folder = StudyFolder(given.output.absolute())
    try:
        with hold_gpu(folder.work, given.gpus, parent) as gpu:
            if gpu is not None:
                os.environ[VISIBLE_GPUS] = gpu
            _teach(folder, given.name, given.threads, given.device)
    except NucDLError as error:
        _keep_reason(folder, given.name, str(error))
        return 1
    # Whatever went wrong in one training, the others go on, and a person reads why.
    except Exception as error:  # noqa: BLE001
        _keep_reason(folder, given.name, f"{type(error).__name__}: {error}")
        return 1
    if given.marker is not None:
        make_folder(given.marker.parent)
        given.marker.touch()
    return 0


def _teach(folder: StudyFolder, name: str, threads: int, device: str) -> None:
    import torch

    from nucdl_core.study.teach import teach

    torch.set_num_threads(threads)
    teach(folder, name, device)


def _keep_reason(folder: StudyFolder, name: str, reason: str) -> None:
    sys.stderr.write(f"{name}: {reason}\n")
    make_folder(folder.training(name))
    write_bytes(folder.training(name) / FAILURE_FILE, reason.encode("utf-8"))


def _end_with(parent: int) -> None:
    """End this process when its parent has ended: a training goes on from its checkpoint."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(job_program())
