"""Weights that were trained elsewhere, such as torchvision's on ImageNet or COCO: a local file that a person names."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nucdl_core.config import require
from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import sha256_of

SAFETENSORS = ".safetensors"


@dataclass(frozen=True)
class PretrainedWeights:
    """A file with weights of a network's encoder, or of more of it.

    Attributes
    ----------
    file : str
        A state dictionary as torch or safetensors writes it, with torchvision's names. It is never downloaded.
    sha256 : str
        Of the file, 64 hexadecimal digits.
    """

    file: str
    sha256: str

    def __post_init__(self) -> None:
        digits = set("0123456789abcdef")
        require(
            len(self.sha256) == 64 and set(self.sha256) <= digits,
            f"sha256 of {self.file} is {self.sha256!r}; give the 64 hexadecimal digits that 'sha256sum' prints",
        )


def read_pretrained(weights: PretrainedWeights) -> Dict[str, Tensor]:
    """Read the weights, once they are known to be the ones that are meant.

    Raises
    ------
    BundleError
        If the file is missing, is another one, or holds no weights.
    """
    path = Path(weights.file)
    if not path.is_file():
        raise BundleError(f"there is no file {path} with pre-trained weights; NucDL downloads nothing: put it there")
    found = sha256_of(path)
    if found != weights.sha256:
        raise BundleError(
            f"{path} is not the file that is meant: its sha256 is {found}, {weights.sha256} was expected; get it "
            "again, or give the sha256 of this one"
        )
    try:
        # Nothing in the file is executed.
        state = (
            load_file(path) if path.suffix == SAFETENSORS else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise BundleError(f"{path} holds no weights that can be read: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise BundleError(f"{path} holds no state dictionary: names with tensors were expected")
    return state


def give_pretrained(network: nn.Module, weights: PretrainedWeights) -> List[str]:
    """Give a network's encoders the weights of a file, as far as names and shapes are the same.

    Parameters
    ----------
    network : nn.Module
        With ``encoders``, which returns the parts that take weights of given names.
    weights : PretrainedWeights

    Returns
    -------
    list of str
        Names of the weights that none of its parts took.

    Raises
    ------
    BundleError
        If the file cannot be used, or the network takes no such weights, or hardly any of these.
    """
    if not hasattr(network, "encoders"):
        raise BundleError(
            f"{type(network).__name__} takes no weights that were trained elsewhere, only networks with a ResNet do; "
            f"leave {weights.file} away, or choose another architecture"
        )
    given, left = read_pretrained(weights), set()
    for encoder in network.encoders(given):  # type: ignore[operator]
        own = encoder.state_dict()
        fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
        if 2 * len(fitting) < len(own):
            raise BundleError(
                f"{weights.file} fits {len(fitting)} of {len(own)} tensors of {type(encoder).__name__}; give the "
                "weights of the same network, with torchvision's names"
            )
        encoder.load_state_dict({**own, **fitting})
        left |= set(given) - set(fitting)
    return sorted(left)
