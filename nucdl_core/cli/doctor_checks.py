"""What NucDL needs and what there is of it on this computer, each in a line that says what to do."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, List

from nucdl_core import __version__
from nucdl_core.errors import NucDLError
from nucdl_core.extras import EXTRAS, install_line, lacking

GOOD, MISSING, BAD = "ok", "missing", "BAD"
FIELD_SHAPE = (520, 696)
LEAST_FREE_GB = 1.0


@dataclass(frozen=True)
class CheckedThing:
    """What was found of one thing.

    Attributes
    ----------
    name : str
    state : str
        "ok"; "missing" where something optional is not there; "BAD" where NucDL does not work so.
    told : str
        What is there, or what is missing and what to do.
    """

    name: str
    state: str
    told: str


def examine() -> Iterator[CheckedThing]:
    """Look at everything, the engine first."""
    yield CheckedThing("NucDL", GOOD, f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    yield _tried("computing", _computing, BAD)
    yield _tried("models", _models, BAD)
    yield _tried("one image", _one_image, BAD)
    yield _tried("writing", _writing, BAD)
    yield _tried("worker", _worker, BAD)
    yield _tried("CellProfiler", _cellprofiler, MISSING)
    yield _tried("Snakemake", _snakemake, MISSING)
    for name, (_, purpose) in EXTRAS.items():
        yield _extra(name, purpose)


def _tried(name: str, look: Callable[[], str], otherwise: str) -> CheckedThing:
    try:
        return CheckedThing(name, GOOD, look())
    except (NucDLError, OSError, ImportError) as error:
        return CheckedThing(name, otherwise, str(error) or type(error).__name__)


def _computing() -> str:
    import torch

    from nucdl_core.model.device import fast_dtype, format_name, resolve_device

    device = resolve_device("auto")
    where = torch.cuda.get_device_name() if device == "cuda" else "the CPU; no GPU that PyTorch can use"
    fast = format_name(fast_dtype(device, integers=True))
    return f"on {where}, {os.cpu_count()} cores, numbers as {fast}, torch {torch.__version__}"


def _models() -> str:
    from nucdl_core.model.listing import list_models

    usable = [model.name for model in list_models() if model.problem is None]
    problems = [f"{model.name}: {model.problem}" for model in list_models() if model.problem is not None]
    return "; ".join([", ".join(usable), *(f"cannot be used: {problem}" for problem in problems)])


def _one_image() -> str:
    import numpy as np

    from nucdl_core.config import DEFAULT_MODEL
    from nucdl_core.errors import NucDLError
    from nucdl_core.model.bundle import find_bundle
    from nucdl_core.model.device import resolve_device
    from nucdl_core.model.loading import load_model
    from nucdl_core.segment import segment
    from nucdl_core.simulate.field import FieldConfig
    from nucdl_core.simulate.image import simulate_field

    folder = find_bundle(DEFAULT_MODEL)
    load_model(folder, resolve_device("auto")).self_test(folder)
    field = simulate_field(FieldConfig(size=FIELD_SHAPE, count=60), np.random.default_rng(0))
    segment(field.image)
    start = time.perf_counter()
    found = segment(field.image)
    seconds = time.perf_counter() - start
    true = int(field.labels.max())
    if not 0.8 * true <= found.count <= 1.2 * true:
        raise NucDLError(f"{found.count} nuclei were found in a simulated image of {true}; install NucDL again")
    return (
        f"{seconds:.2f} s for {FIELD_SHAPE[0]} x {FIELD_SHAPE[1]} px ({found.count} of {true} simulated nuclei found)"
    )


def _writing() -> str:
    import shutil

    here = Path.cwd()
    with tempfile.NamedTemporaryFile(dir=here):
        pass
    free = shutil.disk_usage(here).free / 2**30
    if free < LEAST_FREE_GB:
        raise NucDLError(f"{free:.1f} GB are free in {here}; make room, or work in another folder")
    return f"{here} can be written, {free:.0f} GB free"


def _worker() -> str:
    from nucdl_core.cellprofiler.supplied import engine_command, supplied_folder
    from nucdl_core.worker.trial import try_process

    supplied_folder("plugins")
    seconds = try_process(worker_command_line(engine_command()))
    return f"serves a CellProfiler elsewhere after {seconds:.1f} s; 'nucdl plugins install FOLDER' gives it the modules"


def worker_command_line(command: str) -> List[str]:
    """Return how the modules start the engine's process: by the ``nucdl`` command, or by a Python."""
    by_python = [command, "-c", "from nucdl_core.cli.main import main; main()", "worker"]
    return by_python if Path(command).name.lower().startswith("python") else [command, "worker"]


def _cellprofiler() -> str:
    from nucdl_core.cellprofiler.headless import find_cellprofiler, find_java_home

    program = find_cellprofiler()
    return f"{program}, Java in {find_java_home()}; plugins: --plugins-directory, or Preferences in the window"


def _snakemake() -> str:
    from nucdl_core.screen.cellprofiler.snakemake import find_snakemake

    return f"{find_snakemake()}, for screens by CellProfiler and studies"


def _extra(name: str, purpose: str) -> CheckedThing:
    missing = lacking(name)
    if not missing:
        return CheckedThing(name, GOOD, purpose)
    how = f"{sys.executable} -m {install_line(name)}"
    return CheckedThing(name, MISSING, f"{', '.join(missing)}, for {purpose}: {how}")
