"""State of a training run on disk: tensors as safetensors, never pickles; replaced atomically."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Tuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer

from nucdl_core.errors import BundleError
from nucdl_core.files.writing import write_bytes

Look = Tuple[int, float]
"""Step, and the score on the validation images after it."""


@dataclass
class TrainingState:
    """What a training consists of at one moment.

    Attributes
    ----------
    network, average : nn.Module
        The network that learns, and the moving average of its weights, which becomes the model.
    optimizer : Optimizer
    step : int
        How many steps were made.
    seconds : float
        How long they took, interruptions not counted.
    looks : list of Look
        All looks at the validation images.
    best : dict of str to Tensor
        The averaged weights at the look with the best score; empty before the first one.
    """

    network: nn.Module
    average: nn.Module
    optimizer: Optimizer
    step: int = 0
    seconds: float = 0.0
    looks: List[Look] = field(default_factory=list)
    best: Dict[str, Tensor] = field(default_factory=dict)

    @property
    def best_look(self) -> Look:
        """The look with the best score, of equal ones the first; there must be one."""
        return max(self.looks, key=lambda look: look[1])

    def look(self, score: float) -> None:
        """Note the score of the averaged weights as they are now, and keep them if it is the best."""
        self.looks.append((self.step, score))
        if self.best_look[0] == self.step:
            self.best = copy.deepcopy(self.average.state_dict())


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Write a training's state to one file.

    Raises
    ------
    NucDLError
        If the file cannot be written; an older one stays.
    """
    tensors: Dict[str, Tensor] = {
        "step": torch.tensor(state.step),
        "seconds": torch.tensor(state.seconds, dtype=torch.float64),
        "looks": torch.tensor(state.looks, dtype=torch.float64).reshape(-1, 2),
    }
    tensors.update({f"network.{key}": value for key, value in state.network.state_dict().items()})
    tensors.update({f"average.{key}": value for key, value in state.average.state_dict().items()})
    tensors.update({f"best.{key}": value for key, value in state.best.items()})
    for index, values in state.optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{key}": value for key, value in values.items()})
    content = save({key: value.detach().clone().contiguous() for key, value in tensors.items()})
    write_bytes(path, content)


def load_checkpoint(path: Path, state: TrainingState) -> None:
    """Restore what `save_checkpoint` wrote.

    Raises
    ------
    BundleError
        If the checkpoint is damaged or belongs to another network.
    """
    tensors = _read(path)
    try:
        state.network.load_state_dict(_part(tensors, "network"))
        state.average.load_state_dict(_part(tensors, "average"))
    except RuntimeError as error:
        raise BundleError(
            f"{path} belongs to another network: {error}; remove it, or train with the configuration it came from"
        ) from error
    moments: Dict[int, Dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer").items():
        index, name = key.split(".", 1)
        moments.setdefault(int(index), {})[name] = value
    state.optimizer.load_state_dict({"state": moments, "param_groups": state.optimizer.state_dict()["param_groups"]})
    state.step, state.seconds = int(tensors["step"]), float(tensors.get("seconds", 0.0))
    state.looks, state.best = looks_in(path), _part(tensors, "best")


def load_finished(path: Path, network: nn.Module) -> None:
    """Put the weights of a checkpoint that become the model into `network`: the best ones, or the average.

    Raises
    ------
    BundleError
        If the checkpoint is damaged.
    """
    tensors = _read(path)
    network.load_state_dict(_part(tensors, "best") or _part(tensors, "average"))


def looks_in(path: Path) -> List[Look]:
    """Read the looks at the validation images in a checkpoint.

    Raises
    ------
    BundleError
        If it is damaged.
    """
    looks = _read(path).get("looks", torch.zeros(0, 2))
    return [(int(step), float(score)) for step, score in looks]


def _read(path: Path) -> Dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise BundleError(f"{path} is damaged ({error}); remove it, and training begins anew") from error


def _part(tensors: Dict[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    return {key[len(prefix) + 1 :]: value for key, value in tensors.items() if key.startswith(prefix + ".")}
