"""Models that cannot tell how large nuclei are, together with the companion that tells them."""

from __future__ import annotations

from typing import Optional, TypeVar

import torch
from torch import nn

from nucdl_core.model.bundle import BundleDescription
from nucdl_core.model.loading import load_companion
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.model.pixel_predictor import PixelPredictor
from nucdl_core.model.predictor import Gate, Predictor


class GuidedPredictor(Predictor):
    """A model that relies on a companion for the size of nuclei and for corrected outlines.

    Parameters
    ----------
    network, description, device, dtype
        See `Predictor`.
    size_model : MapPredictor, optional
        The companion; without it, the one that the description names.

    Raises
    ------
    BundleError
        See `loading.load_companion`.
    """

    def __init__(
        self,
        network: nn.Module,
        description: BundleDescription,
        device: str,
        dtype: torch.dtype,
        size_model: Optional[MapPredictor] = None,
    ) -> None:
        super().__init__(network, description, device, dtype)
        self._size_model = load_companion(description, device) if size_model is None else size_model

    @property
    def size_model(self) -> MapPredictor:
        """The companion."""
        return self._size_model

    def through(self: AnyGuided, gate: Gate) -> AnyGuided:
        """Return a predictor of the same networks, the companion's included, that asks a gate to run them."""
        other = super().through(gate)
        other._size_model = self._size_model.through(gate)
        return other


AnyGuided = TypeVar("AnyGuided", bound=GuidedPredictor)


class GuidedPixelPredictor(GuidedPredictor, PixelPredictor):
    """A network that tells something about each pixel, but not how large nuclei are, on a device."""

    # Most of these networks compute at the full resolution of the image, with many channels.
    tile_sides = (768, 384, 192)
    whole_pixels = 1024**2
