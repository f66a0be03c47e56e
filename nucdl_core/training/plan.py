"""What a training on own images was begun with, so that it goes on with the same and with nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence

from nucdl_core.errors import ConfigError
from nucdl_core.files.writing import make_folder, write_json
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.sources import AnnotatedImage
from nucdl_core.training.split import Part

PLAN, REPORT, VALIDATION, APART, RUN = "plan.json", "report.html", "validation", "model", "run"


def working_folder(output: Path) -> Path:
    """Return the folder of a training, beside the model that comes out."""
    return output.with_name(f"{output.name}_training")


def digest_of(source: AnnotatedImage) -> str:
    """Return a fingerprint of an image with its nuclei, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for tensor in (source.pyramid[0], source.labels * source.foreground):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Plan:
    """Settings, split, images and starting model of a training.

    Attributes
    ----------
    config : TrainConfig
    parts : sequence of Part
    images : dict of str to str
        Fingerprint of each image, see `digest_of`.
    start : str
        sha256 of the model that it begins with, or, where it begins with chance, is compared with.
    """

    config: TrainConfig
    parts: Sequence[Part]
    images: Mapping[str, str]
    start: str

    def keep(self, folder: Path) -> None:
        """Write the plan into the folder of the training, where nothing else was begun.

        A training that was begun with the same plan goes on. One that has ended with another plan makes room.

        Raises
        ------
        ConfigError
            If the folder holds something else, or another training that has not ended.
        NucDLError
            If the folder or the plan cannot be written.
        """
        keep_run_plan(folder, dataclasses.asdict(self))


def keep_run_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Write what a training was begun with into its folder; see `Plan.keep`.

    Parameters
    ----------
    folder : Path
    plan : mapping
        What JSON can hold.

    Raises
    ------
    ConfigError, NucDLError
        See `Plan.keep`.
    """
    now: Dict[str, Any] = json.loads(json.dumps(plan))
    path = folder / PLAN
    # A hidden file is the system's, or what was being written when a training was killed.
    if folder.is_dir() and any(not each.name.startswith(".") for each in folder.iterdir()):
        before = _read(path)
        if before == now:
            return
        if not (folder / REPORT).is_file():
            changed = ", ".join(_differences(before, now))
            raise ConfigError(
                f"{folder} holds a training that has not ended and was begun with other settings or images "
                f"({changed}); go on with the former ones, remove this folder, or name another output"
            )
        _make_room(folder)
    make_folder(folder)
    write_json(path, now)
    # Last of all: until then a run that is killed here is seen as one that makes room, and the next one goes on.
    (folder / REPORT).unlink(missing_ok=True)


def _read(path: Path) -> Dict[str, Any]:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path.parent} is where this training would be kept, but holds something else (no readable {PLAN}); "
            "remove it, or name another output"
        ) from error
    return plan if isinstance(plan, dict) else {}


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    """Name what differs between two plans."""
    found = []
    for key in now:
        old, new = before.get(key), now[key]
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            found += [f"{key}: {name}" for name in sorted({*old, *new}) if old.get(name) != new.get(name)][:3]
        else:
            found.append(key)
    return found


def _make_room(folder: Path) -> None:
    """Remove what a training that has ended left in its folder, but for its model, which may be in use."""
    for path in folder.iterdir():
        if path.is_dir() and (path.name == VALIDATION or path.name.startswith(RUN)):
            shutil.rmtree(path)
