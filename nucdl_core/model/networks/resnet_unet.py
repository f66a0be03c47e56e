"""Networks for each pixel with a ResNet as encoder: U-Net, two feature pyramids, and one without a decoder."""

from __future__ import annotations

from typing import Collection, Dict, List, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from nucdl_core.model.networks import meanings
from nucdl_core.model.networks.maps import PixelNetwork
from nucdl_core.model.networks.resnet import (
    BASIC,
    channels_of,
    encode_resnet,
    make_resnet,
    require_torchvision,
    resnet_parts,
)
from nucdl_core.model.networks.unet import ConvBlock


class ResNetUNet(PixelNetwork):
    """The U-Net ResNet of Kromp et al.: the encoder is a ResNet34, skips are kept; nuclei were shrunk.

    Parameters
    ----------
    widths : sequence of int
        Channels of the decoder's levels, from stride 16 to the full resolution: five.
    depth : int
        Of the ResNet, see `resnet.make_resnet`.

    Raises
    ------
    BundleError
        If torchvision is not installed.
    ValueError
        If there are not five levels.
    """

    as_maps = staticmethod(meanings.shrunk_nuclei)
    stride = 32

    def __init__(self, widths: Sequence[int] = (256, 128, 64, 32, 16), depth: int = 34) -> None:
        super().__init__()
        encoded = channels_of(depth)
        if len(widths) != len(encoded):
            raise ValueError(f"{len(widths)} widths came; the decoder has {len(encoded)} levels")
        self.encoder = make_resnet("unet_resnet34", depth)
        coarse, skips = [encoded[-1], *widths[:-1]], [*reversed(encoded[:-1]), 0]
        self.decoder = nn.ModuleList(ConvBlock(a + b, width) for a, b, width in zip(coarse, skips, widths))
        self.head = nn.Conv2d(widths[-1], 1, 1)

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """See `PixelNetwork.parts`."""
        return {**resnet_parts(self.encoder), "heads": [*self.decoder.parameters(), *self.head.parameters()]}

    def encoders(self, names: Collection[str] = ()) -> List[nn.Module]:
        """Return what published weights of a ResNet can be given to."""
        return [self.encoder]

    def forward(self, image: Tensor) -> Tensor:
        """See `PixelNetwork`."""
        skips = encode_resnet(self.encoder, image)
        features = skips.pop()
        for level in self.decoder:
            enlarged = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = level(torch.cat([enlarged, skips.pop()], dim=1) if skips else enlarged)
        said: Tensor = self.head(features)
        return said


class FeaturePyramid(nn.Module):
    """A feature pyramid network that tells one number per pixel: its levels, from stride 4 on, are enlarged and added.

    Parameters
    ----------
    depth : int
        Of its ResNet.
    channels : int
        Of the pyramid.
    """

    def __init__(self, depth: int, channels: int) -> None:
        super().__init__()
        self.encoder = make_resnet("fpn2", depth)
        encoded = channels_of(depth)[1:]
        self.pyramid = require_torchvision("fpn2").ops.FeaturePyramidNetwork(encoded, channels)
        self.narrow = nn.ModuleList(ConvBlock(channels, channels // 2) for _ in encoded)
        self.head = nn.Conv2d(channels // 2, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return a logit of each pixel, (B, 1, H, W), for images (B, 1, H, W)."""
        levels = {str(number): level for number, level in enumerate(encode_resnet(self.encoder, image)[1:])}
        narrowed = [narrow(level) for narrow, level in zip(self.narrow, self.pyramid(levels).values())]
        size = narrowed[0].shape[-2:]
        together = torch.stack([functional.interpolate(level, size=size, mode="bilinear") for level in narrowed])
        said: Tensor = functional.interpolate(self.head(together.sum(dim=0)), size=image.shape[-2:], mode="bilinear")
        return said


class TwoPyramids(PixelNetwork):
    """FPN2-WS of Zaki et al. (Cytometry A 2020): one pyramid for the distance to the rim, one for the border.

    Parameters
    ----------
    depth : int
        Of the ResNet of each pyramid, see `resnet.make_resnet`.
    channels : int
        Of the pyramids.

    Raises
    ------
    BundleError
        If torchvision is not installed.
    """

    as_maps = staticmethod(meanings.distance_and_border)
    stride = 32

    def __init__(self, depth: int = 34, channels: int = 256) -> None:
        super().__init__()
        self.distance, self.border = (FeaturePyramid(depth, channels) for _ in range(2))

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """See `PixelNetwork.parts`."""
        encoders = [resnet_parts(encoder) for encoder in self.encoders()]
        parts = {name: [each for encoder in encoders for each in encoder[name]] for name in ("all", "late")}
        known = {id(each) for part in parts.values() for each in part}
        return {**parts, "heads": [each for each in self.parameters() if id(each) not in known]}

    def encoders(self, names: Collection[str] = ()) -> List[nn.Module]:
        """Return what published weights of a ResNet can be given to."""
        return [self.distance.encoder, self.border.encoder]

    def forward(self, image: Tensor) -> Tensor:
        """See `PixelNetwork`."""
        return torch.cat([self.distance(image), self.border(image)], dim=1)


class MaskResNet(PixelNetwork):
    """The ResNet of Wang and Song: its last features, an eighth of the image in size, are read out and enlarged.

    Parameters
    ----------
    depth : int
        See `resnet.make_resnet`; with 18 or 34 the last features are a 32nd of the image in size.

    Raises
    ------
    BundleError
        If torchvision is not installed.
    """

    as_maps = staticmethod(meanings.mask)
    stride = 32

    def __init__(self, depth: int = 101) -> None:
        super().__init__()
        self.encoder = make_resnet("resnet", depth, dilated=depth not in BASIC)
        self.head = nn.Sequential(ConvBlock(channels_of(depth)[-1], 128), nn.Conv2d(128, 1, 1))

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """See `PixelNetwork.parts`."""
        return {**resnet_parts(self.encoder), "heads": list(self.head.parameters())}

    def encoders(self, names: Collection[str] = ()) -> List[nn.Module]:
        """Return what published weights of a ResNet can be given to."""
        return [self.encoder]

    def forward(self, image: Tensor) -> Tensor:
        """See `PixelNetwork`."""
        said: Tensor = self.head(encode_resnet(self.encoder, image)[-1])
        return functional.interpolate(said, size=image.shape[-2:], mode="bilinear")
