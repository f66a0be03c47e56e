"""A third family of models, in one file: a network that takes bright islands for nuclei.

It stands for the families that are still to come: whatever works with it needs to know no family by name.
"""

import numpy as np
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional

from nucdl_core.model.loading import load_companion
from nucdl_core.model.predictor import Predictor, run_views
from nucdl_core.model.registry import Family
from nucdl_core.results import Found
from nucdl_core.steps.resampling import pad_to_multiples, resize
from nucdl_core.steps.views import undo_view
from nucdl_core.training.lessons import Lesson, instance_crop

NAME = "islands"
FAMILY = Family(
    network=f"{__name__}:IslandNetwork",
    predictor=f"{__name__}:IslandPredictor",
    lesson=f"{__name__}:LESSON",
    calibration=f"{__name__}:CHOICES",
    decision={"decoder": "instances"},
    tells_sizes=False,
)
CHOICES = {"instances": {"foreground": (0.4, 0.5, 0.6)}}


class IslandNetwork(nn.Module):
    """One probability per pixel, from the brightness of the pixel alone."""

    stride = 4

    def __init__(self, gain=8.0):
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.tensor([gain])), nn.Parameter(torch.tensor([-4.0]))

    def parts(self):
        return {"heads": [self.gain, self.offset]}

    def forward(self, images):
        return self.gain * images + self.offset


class IslandPredictor(Predictor):
    tile_sides, whole_pixels, halo = (256, 128, 64), 256**2, 64

    def __init__(self, network, description, device, dtype):
        super().__init__(network, description, device, dtype)
        self._size_model = load_companion(description, device)

    @property
    def size_model(self):
        return self._size_model

    def predict(self, image, diameter, views):
        block = self.block_at(diameter)
        padded = pad_to_multiples(image, block)
        sides = tuple(side // block * self.stride for side in padded.shape)
        seen = [undo_view(one, view) for one, view in zip(run_views(resize(padded, sides), views, self.run), views)]
        mean = np.mean(seen, axis=0, dtype=np.float32)
        return resize(mean, padded.shape)[: image.shape[0], : image.shape[1]]

    def find(self, prediction, decision):
        labels = ndimage.label(prediction > decision.foreground)[0].astype(np.int32)
        return Found(labels, np.bincount(labels.ravel())[1:], prediction)

    def respond(self, image):
        return {"probability": self.run([pad_to_multiples(image, self.stride)])[0]}

    def compute(self, images):
        with torch.inference_mode():
            return self.network(torch.from_numpy(np.stack(images))).sigmoid().numpy()


def losses(network, batch):
    truth = (batch["labels"] > 0).float()[:, None]
    return {"total": functional.binary_cross_entropy_with_logits(network(batch["image"]), truth)}


LESSON = Lesson(instance_crop, losses)
