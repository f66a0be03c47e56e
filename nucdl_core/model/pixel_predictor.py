"""Networks that tell something about each pixel, whatever it is, as maps from which nuclei are found."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, List, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nucdl_core.arrays import AnyArray, Floats
from nucdl_core.model.bundle import BundleDescription
from nucdl_core.model.networks.maps import MAPS
from nucdl_core.model.predictor import Predictor, Tensors, run_views
from nucdl_core.results import Found
from nucdl_core.steps.instances import Decision, MapPrediction, Maps, find_instances, on_image_pixels
from nucdl_core.steps.resampling import pad_to_multiples, resize
from nucdl_core.steps.views import View, agreement, undo_view

# Views of a tile in which nuclei are looked for at the same time: each takes some memory.
MOST_AT_ONCE = 4


class PixelPredictor(Predictor):
    """A network that tells something about each pixel, on a device.

    Parameters
    ----------
    network : networks.maps.PixelNetwork
    description, device, dtype
        See `Predictor`.
    """

    # Wider than the default network sees (190 px), so that a tile gives what the whole image would give.
    halo = 224

    def __init__(self, network: nn.Module, description: BundleDescription, device: str, dtype: torch.dtype) -> None:
        super().__init__(network, description, device, dtype)
        # Of the network as it was given: what it becomes in integers says the same.
        self._as_maps: Callable[[Tensor], Tensor] = self.network.as_maps
        if dtype != torch.qint8:
            self.network = self.network.to(device, dtype).to(memory_format=torch.channels_last)

    def maps(self, image: Floats) -> Maps:
        """Predict the maps of an image whose nuclei have about the canonical diameter.

        Parameters
        ----------
        image : float32 array (H, W)
            Normalized.

        Returns
        -------
        Maps
            Arrays (H, W).
        """
        height, width = image.shape
        padded = pad_to_multiples(image, self.stride)
        return Maps(*self.run([padded])[0][:, :height, :width])

    def view_maps(self, image: Floats, scale: float, views: Sequence[View]) -> List[Maps]:
        """Predict the maps of several views of an image at another scale.

        The image is padded to whole blocks of `block` pixels, each of which becomes one stride of the network. So a
        part of an image that begins at a multiple of `block` gives the maps that the whole image gives there.

        Parameters
        ----------
        image : float32 array (H, W)
            Normalized.
        scale : float
            Network pixels per image pixel.
        views : sequence of View

        Returns
        -------
        list of Maps
            One per view, turned back; arrays (h, w) that begin at the image's first pixel and reach up to one
            block beyond its last one, at ``stride / block`` network pixels per image pixel.
        """
        block = self.block(scale)
        padded = pad_to_multiples(image, block)
        rows, cols = (side // block * self.stride for side in padded.shape)
        maps: List[AnyArray] = run_views(resize(padded, (rows, cols)), views, self.run)
        return [Maps(*undo_view(one, view)) for one, view in zip(maps, views)]

    def predict(self, image: Floats, diameter: float, views: Sequence[View]) -> MapPrediction:
        """See `Predictor.predict`."""
        height, width = image.shape
        scale = self.scale_at(diameter)
        block = self.block(scale)
        maps = self.view_maps(image, scale, views)
        mean = mean_maps(maps)
        padded = (height + -height % block, width + -width % block)
        probability = resize(mean.foreground, padded)[:height, :width]
        exact = self.stride / block
        rows, cols = math.ceil(height * exact), math.ceil(width * exact)
        return MapPrediction(
            [cropped(view, rows, cols) for view in maps], cropped(mean, rows, cols), probability, exact
        )

    def find(self, prediction: MapPrediction, decision: Decision) -> Found:
        """See `Predictor.find`; several views are averaged, and looked at one by one to tell how far they agree."""
        canonical, views = self.description.canonical_diameter, prediction.views
        found, agreed = find_instances(prediction.maps, decision, canonical), None
        if len(views) > 1:
            with ThreadPoolExecutor(min(len(views), MOST_AT_ONCE, torch.get_num_threads())) as pool:
                seen = list(pool.map(lambda maps: find_instances(maps, decision, canonical), views))
            agreed = agreement(found, seen)
        return on_image_pixels(found, prediction, decision, agreed)

    def respond(self, image: Floats) -> Tensors:
        """Return "maps" (3, H, W): foreground, boundary and distance; see `Predictor.respond`."""
        maps = self.maps(image)
        return {"maps": np.stack([maps.foreground, maps.boundary, maps.distance])}

    def compute(self, images: Sequence[Floats]) -> AnyArray:
        """Return the maps of images (N, H, W) as a float32 array (N, 4, H, W)."""
        with torch.inference_mode():
            taken = torch.float32 if self.dtype == torch.qint8 else self.dtype
            batch = torch.from_numpy(np.stack(images))[:, None].to(self.device, taken)
            said = self.network(batch.contiguous(memory_format=torch.channels_last))
            array: AnyArray = self._as_maps(said.float()).cpu().numpy()
        return array


def mean_maps(maps: Sequence[Maps]) -> Maps:
    """Average the maps of several views; see Moshkov et al. (Sci. Rep. 2020)."""
    if len(maps) == 1:
        return maps[0]
    return Maps(*(np.mean([getattr(view, key) for view in maps], axis=0) for key in MAPS))


def cropped(maps: Maps, rows: int, cols: int) -> Maps:
    """Cut maps to so many rows and columns from their first pixel."""
    return Maps(*(getattr(maps, key)[:rows, :cols] for key in MAPS))
