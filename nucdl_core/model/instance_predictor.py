"""Networks that find nuclei one by one, such as a Mask R-CNN, together with the map model that they rely on."""

from __future__ import annotations

from typing import List, Optional, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nucdl_core.arrays import Floats
from nucdl_core.model.bundle import BundleDescription
from nucdl_core.model.guided import GuidedPredictor
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.model.networks.maskrcnn import Examination
from nucdl_core.model.predictor import Tensors, run_views
from nucdl_core.results import Found
from nucdl_core.steps.detections import Detections, InstancePrediction, decode_views, merge_views
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.resampling import pad_to_multiples, resize
from nucdl_core.steps.views import View

TESTED = ("objectness", "scores", "masks")


class InstancePredictor(GuidedPredictor):
    """A network that gives boxes with small masks, on a device.

    Parameters
    ----------
    network : nn.Module
        Such as `networks.maskrcnn.NucleusMaskRCNN`.
    description, device, dtype, size_model
        See `GuidedPredictor`; boxes are always computed in float32.
    """

    # Every nucleus of a tile is held as a mask of its own, so that tiles are smaller than those of maps. The halo need
    # only show nuclei whole: up to four times the canonical diameter.
    tile_sides = (768, 384, 192)
    whole_pixels = 768**2
    halo = 128

    def __init__(
        self,
        network: nn.Module,
        description: BundleDescription,
        device: str,
        dtype: torch.dtype,
        size_model: Optional[MapPredictor] = None,
    ) -> None:
        super().__init__(network, description, device, dtype, size_model)
        self.network = self.network.to(device).to(memory_format=torch.channels_last)

    def predict(self, image: Floats, diameter: float, views: Sequence[View]) -> InstancePrediction:
        """See `Predictor.predict`."""
        height, width = image.shape
        block = self.block_at(diameter)
        padded = pad_to_multiples(image, block)
        rows, cols = (side // block * self.stride for side in padded.shape)
        found = run_views(resize(padded, (rows, cols)), views, self.run)
        shown = (padded.shape[0], padded.shape[1])
        return InstancePrediction(views, found, shown, (height, width), self.stride / block)

    def find(self, prediction: InstancePrediction, decision: Decision) -> Found:
        """See `Predictor.find`; several views vote."""
        found = decode_views(prediction, decision, self.description.canonical_diameter)
        return found[0] if len(found) == 1 else merge_views(found)

    def respond(self, image: Floats) -> Tensors:
        """Return what the parts of the network say about an image, for its self-test; see `Predictor.respond`.

        Returns
        -------
        dict of float32 arrays
            By the names of `TESTED`: of the anchors, and of the boxes that part the image like a chessboard of fields
            of one stride. Unlike the list of nuclei these do not jump where a number lies near a threshold.
        """
        image = pad_to_multiples(image, self.stride)
        rows, cols = (np.arange(0, side, self.stride, dtype=np.float32) for side in image.shape)
        corners = np.stack(np.meshgrid(cols, rows), axis=-1).reshape(-1, 2)
        boxes = torch.from_numpy(np.concatenate([corners, corners + self.stride], axis=1))
        with torch.inference_mode(), self._in_its_number_format():
            result: Examination = self.network.examine(self._batch([image]), boxes.to(self.device))
        parts = (result.objectness.sigmoid(), result.scores, result.masks)
        return {name: part.cpu().numpy() for name, part in zip(TESTED, parts)}

    def compute(self, images: Sequence[Floats]) -> List[Detections]:
        """Return the nuclei of each image; see `Predictor.compute`."""
        with torch.inference_mode(), self._in_its_number_format():
            found, _ = self.network(self._batch(images))
        return [
            Detections(
                boxes=one["boxes"].cpu().numpy()[:, [1, 0, 3, 2]],
                scores=one["scores"].cpu().numpy(),
                masks=one["masks"][:, 0].cpu().numpy(),
            )
            for one in found
        ]

    def _in_its_number_format(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def _batch(self, images: Sequence[Floats]) -> Tensor:
        batch = torch.from_numpy(np.stack(images))[:, None].to(self.device)
        return batch.contiguous(memory_format=torch.channels_last)
