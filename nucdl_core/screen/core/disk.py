"""Whether a disk is full, which no image can help."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Optional

LEAST_FREE_MB = 64
"""With less (MiB), a disk is full as far as a process that failed is concerned: it may have died without saying so."""


def full_disk(*folders: Path) -> Optional[str]:
    """Say which of the disks of some folders is full, and how much room is left; None where there is room."""
    for folder in folders:
        free = shutil.disk_usage(folder).free / 2**20
        if free < LEAST_FREE_MB:
            return f"the disk of {folder} has only {free:.1f} MiB left"
    return None
