"""U-Nets at the full resolution of the image, as they were published.

Our own `unet` sees the image in blocks and tells four maps; these are what it is compared with.
"""

from __future__ import annotations

from typing import Dict, List, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from nucdl_core.model.networks import meanings
from nucdl_core.model.networks.maps import PixelNetwork
from nucdl_core.model.networks.unet import ConvBlock


class PlainUNet(PixelNetwork):
    """A U-Net: at each level two 3 x 3 convolutions with batch norm, skips kept.

    Parameters
    ----------
    widths : sequence of int
        Channels of each level, from the finest to the coarsest; one pooling step between two levels.
    outputs : int
        Channels that it tells.
    transposed : bool
        Whether transposed convolutions enlarge the features, instead of repeated pixels.
    """

    def __init__(self, widths: Sequence[int], outputs: int, transposed: bool = False) -> None:
        super().__init__()
        widths = list(widths)
        # With fewer levels, images would be rescaled to few sizes only.
        self.stride = max(32, 2 ** (len(widths) - 1))
        self.encoder = nn.ModuleList(ConvBlock(a, b) for a, b in zip([1, *widths], widths))
        pairs = list(zip(widths[:-1], widths[1:]))
        self.enlarging = nn.ModuleList(enlarger(coarse, transposed) for _, coarse in pairs)
        self.decoder = nn.ModuleList(ConvBlock(fine + coarse, fine) for fine, coarse in pairs)
        self.head = nn.Conv2d(widths[0], outputs, 1)

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """See `PixelNetwork.parts`."""
        heads = [*self.enlarging.parameters(), *self.decoder.parameters(), *self.head.parameters()]
        return {
            "all": list(self.encoder[:-1].parameters()),
            "late": list(self.encoder[-1:].parameters()),
            "heads": heads,
        }

    def decoded(self, image: Tensor) -> List[Tensor]:
        """Return the features of each level on the way up, (B, widths[i], H / 2**i, W / 2**i), the coarsest first."""
        skips = [self.encoder[0](image)]
        for level in self.encoder[1:]:
            skips.append(level(functional.max_pool2d(skips[-1], 2)))
        features = [skips.pop()]
        for enlarge, level in zip(reversed(self.enlarging), reversed(self.decoder)):
            features.append(level(torch.cat([enlarge(features[-1]), skips.pop()], dim=1)))
        return features

    def forward(self, image: Tensor) -> Tensor:
        """See `PixelNetwork`."""
        said: Tensor = self.head(self.decoded(image)[-1])
        return said


def enlarger(channels: int, transposed: bool) -> nn.Module:
    """Make a layer that doubles height and width."""
    if transposed:
        return nn.ConvTranspose2d(channels, channels, 2, stride=2)
    return nn.Upsample(scale_factor=2.0, mode="nearest")


class ThreeClassUNet(PlainUNet):
    """The U-Net of Caicedo et al. (Cytometry A 2019): background, interior and boundary; 7.8 million parameters.

    Parameters
    ----------
    widths : sequence of int
        See `PlainUNet`.
    """

    as_maps = staticmethod(meanings.three_classes)

    def __init__(self, widths: Sequence[int] = (64, 128, 256, 512)) -> None:
        super().__init__(widths, outputs=3)


class ShrunkUNet(PlainUNet):
    """The U-Net of Kromp et al.: nuclei that were shrunk so that none touch.

    Parameters
    ----------
    widths : sequence of int
        See `PlainUNet`.
    """

    as_maps = staticmethod(meanings.shrunk_nuclei)

    def __init__(self, widths: Sequence[int] = (64, 128, 256, 512, 1024)) -> None:
        super().__init__(widths, outputs=1)


class MaskUNet(PlainUNet):
    """The U-Net of Wang and Song: a mask, 19 convolutions and 4 transposed ones.

    Parameters
    ----------
    widths : sequence of int
        See `PlainUNet`.
    """

    as_maps = staticmethod(meanings.mask)

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 128, 256)) -> None:
        super().__init__(widths, outputs=1, transposed=True)


class PositionUNet(PlainUNet):
    """A U-Net with a feature pyramid that tells where in its nucleus each pixel lies, as jacobkie's 2018DSB.

    Parameters
    ----------
    widths : sequence of int
        See `PlainUNet`.
    channels : int
        That each level contributes to the pyramid.
    """

    as_maps = staticmethod(meanings.positions)

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 256, 512), channels: int = 32) -> None:
        super().__init__(widths, outputs=3)
        self.pyramid = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in reversed(list(widths)))
        self.head = nn.Conv2d(channels, 3, 1)

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """See `PixelNetwork.parts`."""
        parts = super().parts()
        return {**parts, "heads": [*parts["heads"], *self.pyramid.parameters()]}

    def forward(self, image: Tensor) -> Tensor:
        """See `PixelNetwork`."""
        size = image.shape[-2:]
        levels = (narrow(features) for narrow, features in zip(self.pyramid, self.decoded(image)))
        enlarged = [functional.interpolate(level, size=size, mode="bilinear", align_corners=False) for level in levels]
        said: Tensor = self.head(functional.relu(torch.stack(enlarged).sum(dim=0)))
        return said
