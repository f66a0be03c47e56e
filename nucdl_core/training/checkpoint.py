"""State of a training run on disk: tensors as safetensors, never pickles; replaced atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer

from nucdl_core.errors import BundleError
from nucdl_core.files.writing import write_bytes


def save_checkpoint(path: Path, step: int, network: nn.Module, average: nn.Module, optimizer: Optimizer) -> None:
    """Write step, weights, averaged weights and optimizer state to one file.

    Raises
    ------
    NucDLError
        If the file cannot be written; an older one stays.
    """
    tensors: Dict[str, Tensor] = {"step": torch.tensor(step)}
    tensors.update({f"network.{key}": value for key, value in network.state_dict().items()})
    tensors.update({f"average.{key}": value for key, value in average.state_dict().items()})
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{key}": value for key, value in state.items()})
    content = save({key: value.detach().clone().contiguous() for key, value in tensors.items()})
    write_bytes(path, content)


def load_checkpoint(path: Path, network: nn.Module, average: nn.Module, optimizer: Optimizer) -> int:
    """Restore what `save_checkpoint` wrote and return the step.

    Raises
    ------
    BundleError
        If the checkpoint is damaged or belongs to another network.
    """
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise BundleError(f"{path} is damaged ({error}); remove it, and training begins anew") from error
    try:
        network.load_state_dict(_part(tensors, "network"))
        average.load_state_dict(_part(tensors, "average"))
    except RuntimeError as error:
        raise BundleError(
            f"{path} belongs to another network: {error}; remove it, or train with the configuration it came from"
        ) from error
    state: Dict[int, Dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(tensors["step"])


def load_average(path: Path, network: nn.Module) -> None:
    """Put the averaged weights of a checkpoint, those that become the model, into `network`."""
    network.load_state_dict(_part(load_file(path), "average"))


def _part(tensors: Dict[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    return {key[len(prefix) + 1 :]: value for key, value in tensors.items() if key.startswith(prefix + ".")}
