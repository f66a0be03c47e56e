"""What every network that gives maps has in common."""

from __future__ import annotations

import abc
import contextlib
from typing import ContextManager, Dict, Mapping

from torch import nn

from nucdl_core.arrays import Floats
from nucdl_core.errors import BundleError

MAPS = ("foreground", "boundary", "distance", "size")


class MapNetwork(nn.Module, abc.ABC):
    """A network from images to maps.

    ``forward`` takes float (B, 1, H, W) with H and W multiples of `stride` and returns (B, 4, H, W), in the order of
    `MAPS`: logits of foreground, of the nucleus boundary and of the distance to the rim (sigmoid: 0 at the rim, 1 at
    the centre), and the base-2 logarithm of nucleus diameter over canonical diameter.

    Attributes
    ----------
    stride : int
    integers : bool
        Whether `in_integers` gives a faster form of it.
    """

    stride: int
    integers: bool = False

    @abc.abstractmethod
    def shift_size(self, octaves: float) -> None:
        """Add a constant to the size map, as if it had been taught relative to another canonical diameter."""

    def recorded_ranges(self) -> ContextManager[Dict[str, Floats]]:
        """Record, until the end of the block, how large each feature becomes while the network runs."""
        return contextlib.nullcontext({})

    def in_integers(self, ranges: Mapping[str, Floats]) -> nn.Module:
        """Return the network in 8-bit integers, with the ranges that `recorded_ranges` gave.

        Raises
        ------
        BundleError
            If there is no such form of it.
        """
        raise BundleError(
            f"{type(self).__name__} has no form in 8-bit integers, and the model holds ranges for one; install it again"
        )
