"""Architectures by registered name: a bundle names one and gives its arguments, never code."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping

from torch import nn

from nucdl_core.errors import BundleError
from nucdl_core.model.networks.maskrcnn import NucleusMaskRCNN
from nucdl_core.model.networks.unet import UNet

ARCHITECTURES: Dict[str, Callable[..., nn.Module]] = {"unet": UNet, "maskrcnn": NucleusMaskRCNN}


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Make an untrained network.

    Parameters
    ----------
    name : str
        A key of `ARCHITECTURES`.
    arguments : mapping
        Keyword arguments of that architecture.

    Raises
    ------
    BundleError
        If the name is not registered or the arguments do not fit.
    """
    if name not in ARCHITECTURES:
        raise BundleError(f"architecture {name!r} is not known; this version knows {', '.join(sorted(ARCHITECTURES))}")
    try:
        return ARCHITECTURES[name](**arguments)
    except (TypeError, ValueError) as error:
        raise BundleError(f"architecture {name!r} does not take the arguments {dict(arguments)}: {error}") from error
