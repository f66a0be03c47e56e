"""Networks that turn one image into another: pix2pix (Isola et al., CVPR 2017)."""

from __future__ import annotations

from typing import List

import torch
from torch import Tensor, nn
from torch.nn import functional

HALVINGS = 6
"""Times that the generator halves its input."""
GENERATOR_STEP = 2**HALVINGS
"""Height and width of what the generator takes are multiples of so many pixels."""
# Levels nearest to the bottom at which the generator forgets half of what it knows: its only source of chance.
_DROPOUT_LEVELS = 2


class Pix2Pix(nn.Module):
    """A generator, and the discriminator that tells its images from real ones.

    Parameters
    ----------
    channels : int
        Of what is turned into an image.
    width : int
        Channels of the first level of both; the original has 64.
    """

    def __init__(self, channels: int, width: int = 32) -> None:
        super().__init__()
        self.generator = Generator(channels, width)
        self.discriminator = Discriminator(channels + 1, width)


class Generator(nn.Module):
    """A U-Net from `channels` maps to an image in [-1, 1]; float32 (B, C, H, W) to (B, 1, H, W)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(HALVINGS)]
        self.down = nn.ModuleList(
            _halving(first, second, normalized=0 < level < HALVINGS - 1)
            for level, (first, second) in enumerate(zip([channels, *widths], widths))
        )
        ups = [(widths[-1], widths[-2])]
        ups += [(2 * widths[level], widths[max(level - 1, 0)]) for level in range(HALVINGS - 2, 0, -1)]
        self.up = nn.ModuleList(
            _doubling(first, second, dropout=number < _DROPOUT_LEVELS) for number, (first, second) in enumerate(ups)
        )
        self.last = nn.ConvTranspose2d(2 * width, 1, 4, stride=2, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Make an image; height and width must be multiples of `GENERATOR_STEP`."""
        levels: List[Tensor] = []
        for number, down in enumerate(self.down):
            maps = down(functional.leaky_relu(maps, 0.2) if number else maps)
            levels.append(maps)
        for up, skipped in zip(self.up, levels[-2::-1]):
            maps = torch.cat([up(functional.relu(maps)), skipped], dim=1)
        return torch.tanh(self.last(functional.relu(maps)))


class Discriminator(nn.Module):
    """Tells for patches of 70 x 70 px whether they are real: float32 (B, C, H, W) to logits (B, 1, H / 8, W / 8)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        widths = [channels, width, 2 * width, 4 * width]
        layers: List[nn.Module] = []
        for number in range(3):
            layers += [_halving(widths[number], widths[number + 1], normalized=number > 0), nn.LeakyReLU(0.2)]
        layers += [
            nn.Conv2d(4 * width, 8 * width, 4, padding=1, bias=False),
            nn.InstanceNorm2d(8 * width, affine=True),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8 * width, 1, 4, padding=1),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor, image: Tensor) -> Tensor:
        """Judge an image beside the maps that it was made from."""
        logits: Tensor = self.layers(torch.cat([maps, image], dim=1))
        return logits


def _halving(first: int, second: int, normalized: bool) -> nn.Module:
    convolution = nn.Conv2d(first, second, 4, stride=2, padding=1, bias=not normalized)
    # With one image a step, batch norm is the norm of that image.
    return nn.Sequential(convolution, nn.InstanceNorm2d(second, affine=True)) if normalized else convolution


def _doubling(first: int, second: int, dropout: bool) -> nn.Module:
    layers: List[nn.Module] = [
        nn.ConvTranspose2d(first, second, 4, stride=2, padding=1, bias=False),
        nn.InstanceNorm2d(second, affine=True),
    ]
    return nn.Sequential(*layers, *([nn.Dropout(0.5)] if dropout else []))
