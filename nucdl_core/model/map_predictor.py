"""Networks that tell all maps, the size of nuclei among them, such as our U-Net: size models for all."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from typing import Iterator, List, Mapping, Optional

import torch
from torch import nn

from nucdl_core.arrays import Floats
from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import RANGES, Bundle, BundleDescription, read_tensors
from nucdl_core.model.pixel_predictor import PixelPredictor, cropped
from nucdl_core.model.predictor import Tensors
from nucdl_core.steps.contours import CONTOURS_ONLY, Refinement
from nucdl_core.steps.instances import Maps
from nucdl_core.steps.size import Pixels, estimate_diameters
from nucdl_core.steps.views import VIEW_SETS


class MapPredictor(PixelPredictor):
    """A network that tells all maps, on a device; it is its own size model.

    Parameters
    ----------
    network : networks.maps.MapNetwork
    description, device, dtype
        See `Predictor`.
    ranges : mapping of float32 arrays (C,), optional
        How large each feature becomes; needed where `dtype` is qint8.
    """

    tile_sides = (1536, 768, 384)
    whole_pixels = 3000**2

    def __init__(
        self,
        network: nn.Module,
        description: BundleDescription,
        device: str,
        dtype: torch.dtype,
        ranges: Optional[Mapping[str, Floats]] = None,
    ) -> None:
        super().__init__(network, description, device, dtype)
        if ranges is not None and dtype == torch.qint8:
            self.network = self.network.in_integers(ranges)

    @classmethod
    def from_bundle(cls, network: nn.Module, bundle: Bundle, device: str, dtype: torch.dtype) -> MapPredictor:
        """See `Predictor.from_bundle`; for integers the bundle holds how large each feature becomes."""
        path = bundle.folder / RANGES
        ranges = read_tensors(path) if dtype == torch.qint8 else None
        try:
            return cls(network, bundle.description, device, dtype, ranges)
        except (KeyError, RuntimeError) as error:
            raise BundleError(f"{path} does not fit the weights ({error}); install the model again") from error

    @property
    def size_model(self) -> MapPredictor:
        """The model itself."""
        return self

    def maps_at(self, image: Floats, scale: float) -> Maps:
        """Predict the maps of an image at another scale; arrays (H * scale, W * scale), see `view_maps`."""
        exact = self.stride / self.block(scale)
        rows, cols = (math.ceil(side * exact) for side in image.shape)
        return cropped(self.view_maps(image, scale, VIEW_SETS["none"])[0], rows, cols)

    def estimate_diameters(self, image: Pixels) -> List[float]:
        """Estimate the typical nucleus diameter of an image, and those of nuclei of very different size.

        Parameters
        ----------
        image : float32 array (H, W) or NormalizedImage

        Returns
        -------
        list of float
            In pixels, the typical one first; the canonical diameter alone where no nucleus is seen. See
            `size.estimate_diameters`.
        """
        canonical = self.description.canonical_diameter
        return estimate_diameters(image, canonical, self.maps_at) or [canonical]

    def refinement(self, threshold: float) -> Refinement:
        """Return how outlines are corrected: as it was tuned with the model, or by the published pixel and no more.

        The published numbers for merging and dropping objects suit the network of their authors, who tuned them on it;
        a probability means something else in every network, so that the threshold is the given one.
        """
        return self.description.refinement or replace(CONTOURS_ONLY, threshold=threshold)

    @contextlib.contextmanager
    def recording(self) -> Iterator[Mapping[str, Tensors]]:
        """See `Predictor.recording`: how large the features become, where the network also runs in integers."""
        with self.network.recorded_ranges() as ranges:
            files = {RANGES: ranges} if self.network.integers else {}
            yield files
