"""Networks that give maps: foreground, boundary, distance and size of each pixel, such as a U-Net."""

from __future__ import annotations

import contextlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Iterator, List, Mapping, Optional, Sequence

import numpy as np
import torch
from torch import nn

from nucdl_core.arrays import AnyArray, Floats
from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import RANGES, Bundle, BundleDescription, read_tensors
from nucdl_core.model.networks.maps import MAPS
from nucdl_core.model.predictor import Predictor, Tensors, run_views
from nucdl_core.results import Found
from nucdl_core.steps.contours import CONTOURS_ONLY, Refinement
from nucdl_core.steps.instances import Decision, MapPrediction, Maps, find_instances, on_image_pixels
from nucdl_core.steps.resampling import pad_to_multiples, resize
from nucdl_core.steps.size import Pixels, estimate_diameters
from nucdl_core.steps.views import VIEW_SETS, View, agreement, undo_view

# Views of a tile in which nuclei are looked for at the same time: each takes some memory.
MOST_AT_ONCE = 4


class MapPredictor(Predictor):
    """A network that gives maps, on a device; it is its own size model.

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
    # Wider than the default network sees (190 px), so that a tile gives what the whole image would give.
    halo = 224

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
        else:
            self.network = self.network.to(device, dtype).to(memory_format=torch.channels_last)

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

    def maps_at(self, image: Floats, scale: float) -> Maps:
        """Predict the maps of an image at another scale; arrays (H * scale, W * scale), see `view_maps`."""
        exact = self.stride / self.block(scale)
        rows, cols = (math.ceil(side * exact) for side in image.shape)
        return _cropped(self.view_maps(image, scale, VIEW_SETS["none"])[0], rows, cols)

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
        scale = self.description.canonical_diameter / diameter
        block = self.block(scale)
        maps = self.view_maps(image, scale, views)
        mean = mean_maps(maps)
        padded = (height + -height % block, width + -width % block)
        probability = resize(mean.foreground, padded)[:height, :width]
        exact = self.stride / block
        rows, cols = math.ceil(height * exact), math.ceil(width * exact)
        return MapPrediction(
            [_cropped(view, rows, cols) for view in maps], _cropped(mean, rows, cols), probability, exact
        )

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

    @contextlib.contextmanager
    def recording(self) -> Iterator[Mapping[str, Tensors]]:
        """See `Predictor.recording`: how large the features become, where the network also runs in integers."""
        with self.network.recorded_ranges() as ranges:
            files = {RANGES: ranges} if self.network.integers else {}
            yield files

    def compute(self, images: Sequence[Floats]) -> AnyArray:
        """Return the maps of images (N, H, W) as a float32 array (N, 4, H, W)."""
        with torch.inference_mode():
            taken = torch.float32 if self.dtype == torch.qint8 else self.dtype
            batch = torch.from_numpy(np.stack(images))[:, None].to(self.device, taken)
            maps = self.network(batch.contiguous(memory_format=torch.channels_last)).float()
            maps[:, :3].sigmoid_()
            array: AnyArray = maps.cpu().numpy()
        return array


def mean_maps(maps: Sequence[Maps]) -> Maps:
    """Average the maps of several views; see Moshkov et al. (Sci. Rep. 2020)."""
    if len(maps) == 1:
        return maps[0]
    return Maps(*(np.mean([getattr(view, key) for view in maps], axis=0) for key in MAPS))


def _cropped(maps: Maps, rows: int, cols: int) -> Maps:
    return Maps(*(getattr(maps, key)[:rows, :cols] for key in MAPS))
