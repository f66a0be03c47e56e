"""What all networks that tell something about each pixel have in common."""

from __future__ import annotations

import abc
import contextlib
from typing import ContextManager, Dict, List, Mapping

from torch import Tensor, nn

from nucdl_core.arrays import Floats
from nucdl_core.errors import BundleError

MAPS = ("foreground", "boundary", "distance", "size")


class PixelNetwork(nn.Module, abc.ABC):
    """A network from images to something about each pixel, which can be told as maps.

    ``forward`` takes float (B, 1, H, W) with H and W multiples of `stride` and returns (B, C, H, W), where C and their
    meaning are the network's own.

    Attributes
    ----------
    stride : int
    """

    stride: int

    @staticmethod
    @abc.abstractmethod
    def as_maps(said: Tensor) -> Tensor:
        """Tell as maps what the network said.

        Parameters
        ----------
        said : float32 tensor (B, C, H, W)
            From ``forward``. It may be overwritten.

        Returns
        -------
        float32 tensor (B, 4, H, W)
            In the order of `MAPS`: foreground, boundary and distance to the rim in [0, 1] (0 at the rim, 1 at the
            centre), and the base-2 logarithm of nucleus diameter over canonical diameter; 0 where it tells no such map.
        """

    @abc.abstractmethod
    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """Parameters by the stage of training up to which they learn: "all", "late" or "heads"."""


class MapNetwork(PixelNetwork):
    """A network that tells all maps, the size of nuclei among them.

    ``forward`` returns (B, 4, H, W), in the order of `MAPS`: logits of foreground, of the nucleus boundary and of the
    distance to the rim, and the base-2 logarithm of nucleus diameter over canonical diameter.

    Attributes
    ----------
    integers : bool
        Whether `in_integers` gives a faster form of it.
    """

    integers: bool = False

    @staticmethod
    def as_maps(said: Tensor) -> Tensor:
        """See `PixelNetwork.as_maps`."""
        said[:, :3].sigmoid_()
        return said

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
