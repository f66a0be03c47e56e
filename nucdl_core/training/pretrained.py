"""Weights that were trained elsewhere, such as torchvision's on ImageNet or COCO: a local file that a person names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nucdl_core.config import require
from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import sha256_of

# What a person runs once, outside NucDL.
CONVERT = (
    'python -c "import torch; from safetensors.torch import save_file; '
    "save_file(torch.load('{0}', map_location='cpu', weights_only=True), '{0}.safetensors')\""
)


@dataclass(frozen=True)
class PretrainedWeights:
    """A file with weights of a network's encoder, or of more of it.

    Attributes
    ----------
    file : str
        A safetensors file of a state dictionary with torchvision's names. It is never downloaded.
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
        state: Dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise BundleError(
            f"{path} is no safetensors file ({error}); a file of torch (.pth) can run what is in it when it is opened, "
            f"so that NucDL opens none: turn it into one where you trust it, with: {CONVERT.format(path)}"
        ) from error
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
