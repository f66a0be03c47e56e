"""What every benchmark prints first: the machine and the versions that its figures belong to."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import torch

from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.model.bundle import find_bundle, read_description
from nucdl_core.model.device import format_name
from nucdl_core.model.loading import dtype_for

LIBRARIES = ("cellprofiler", "numpy", "scikit-image", "torch")


def describe_machine() -> str:
    """One line: processor, threads, number format of the network, versions."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    number_format = format_name(dtype_for(read_description(find_bundle(DEFAULT_MODEL)), "cpu"))
    return (
        f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, network in {number_format}; "
        f"Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
