"""From the weights of a bundle to a network that is ready to run."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nucdl_core.arrays import AnyArray
from nucdl_core.errors import BundleError


def load_weights(network: nn.Module, tensors: Dict[str, AnyArray], path: Path) -> None:
    """Put a bundle's weights, kept in half precision, into a float32 network.

    Raises
    ------
    BundleError
        If names or shapes do not fit.
    """
    state = {
        name: torch.from_numpy(tensor.astype(np.float32) if tensor.dtype.kind == "f" else tensor)
        for name, tensor in tensors.items()
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        details = " ".join(str(error).split())
        raise BundleError(f"{path} does not fit the architecture that its description names: {details}") from error


def fold_batch_norm(network: nn.Module) -> None:
    """Merge every batch norm into the convolution before it; same output, one pass over memory less."""
    for module in network.modules():
        names = list(module._modules)
        for name, following in zip(names, names[1:]):
            convolution, norm = module._modules[name], module._modules[following]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module._modules[name] = fuse_conv_bn_eval(convolution, norm)
                module._modules[following] = nn.Identity()
