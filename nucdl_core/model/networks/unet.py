"""The U-Net with four maps: foreground, boundary, distance and size.

The encoder-decoder with skip connections and batch norm after each convolution follows the U-Net of
Caicedo et al. (Cytometry A 2019). Two changes make it fast on a CPU: the image enters as 2 x 2 blocks, one
block a pixel with four channels, and the maps leave the same way, so that all convolutions run at half
resolution while the maps keep the full one.
"""

from __future__ import annotations

from typing import ContextManager, Dict, List, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from nucdl_core.arrays import Floats
from nucdl_core.model.networks.maps import MAPS, MapNetwork

BLOCK = 2


class ConvBlock(nn.Sequential):
    """Two 3 x 3 convolutions, each with batch norm and ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        layers: List[nn.Module] = []
        for channels in (channels_in, channels_out):
            layers += [
                nn.Conv2d(channels, channels_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels_out),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


def make_encoder(widths: Sequence[int]) -> nn.ModuleList:
    """Make the levels of an encoder with the given channels, for `encode`."""
    inputs = [BLOCK * BLOCK, *widths[:-1]]
    return nn.ModuleList(ConvBlock(a, b) for a, b in zip(inputs, widths))


def encode(encoder: nn.ModuleList, image: Tensor) -> List[Tensor]:
    """Return the features of each level for images (B, 1, H, W), the finest, at half their resolution, first."""
    levels: List[Tensor] = []
    features = functional.pixel_unshuffle(image, BLOCK)
    for level in encoder:
        if levels:
            features = functional.max_pool2d(features, 2)
        features = level(features)
        levels.append(features)
    return levels


class UNet(MapNetwork):
    """U-Net on 2 x 2 blocks of the image.

    Parameters
    ----------
    widths : sequence of int
        Channels of each level, from the finest to the coarsest; one pooling step between two levels.
    """

    integers = True

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 192, 256)) -> None:
        super().__init__()
        widths = list(widths)
        self.stride = BLOCK * 2 ** (len(widths) - 1)
        self.encoder = make_encoder(widths)
        self.decoder = nn.ModuleList(ConvBlock(fine + coarse, fine) for fine, coarse in zip(widths[:-1], widths[1:]))
        self.head = nn.Conv2d(widths[0], len(MAPS) * BLOCK * BLOCK, 1)

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """Parameters by the stage of training up to which they learn: "all", "late" or "heads"."""
        early, late = self.encoder[:-2], self.encoder[-2:]
        heads = [*self.decoder.parameters(), *self.head.parameters()]
        return {"all": list(early.parameters()), "late": list(late.parameters()), "heads": heads}

    def shift_size(self, octaves: float) -> None:
        """See `MapNetwork`."""
        with torch.no_grad():
            self.state_dict()["head.bias"][-BLOCK * BLOCK :] += octaves

    def recorded_ranges(self) -> ContextManager[Dict[str, Floats]]:
        """See `MapNetwork` and `int8.recorded_ranges`."""
        from nucdl_core.model.networks.int8 import recorded_ranges

        return recorded_ranges(self)

    def in_integers(self, ranges: Mapping[str, Floats]) -> nn.Module:
        """See `MapNetwork` and `int8.Int8UNet`."""
        from nucdl_core.model.networks.int8 import Int8UNet

        return Int8UNet(self, ranges)

    def forward(self, image: Tensor) -> Tensor:
        """Return the four maps of a batch of normalized images; see `MapNetwork` for shapes."""
        skips = encode(self.encoder, image)
        features = skips.pop()
        for level in reversed(self.decoder):
            features = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = level(torch.cat([features, skips.pop()], dim=1))
        maps: Tensor = functional.pixel_shuffle(self.head(features), BLOCK)
        return maps
