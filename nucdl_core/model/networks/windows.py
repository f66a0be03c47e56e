"""Networks that look at each pixel in a window around it, without a way down and up: DeepCell, and a simple CNN."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Union

import torch
from torch import Tensor, nn
from torch.nn import functional

from nucdl_core.model.networks import meanings
from nucdl_core.model.networks.maps import PixelNetwork

POOL = "pool"
# Kernel sides of DeepCell's convolutions for a window of 61 x 61, from which a single pixel is left.
DEEPCELL_LAYERS: Sequence[Union[int, str]] = (3, 4, POOL, 3, 3, POOL, 3, 3, POOL, 4)
WINDOW = 61
THREE_CLASSES = 3


class WindowNetwork(nn.Sequential):
    """One DeepCell network: 7 convolutions, 3 poolings and 2 dense layers, run on all windows of an image at once.

    A pooling would halve the resolution. Instead it moves by one pixel, and all that follows skips every other one
    (dilation), so that each pixel gets what its own window would give.

    Parameters
    ----------
    channels : int
        Of the convolutions.
    dense : int
        Of the last convolution, which sees what is left of the window, and of the dense layer.
    """

    def __init__(self, channels: int, dense: int) -> None:
        layers: List[nn.Module] = []
        before, dilation = 1, 1
        last = len(DEEPCELL_LAYERS) - 1
        for number, side in enumerate(DEEPCELL_LAYERS):
            if isinstance(side, str):
                layers.append(nn.MaxPool2d(2, stride=1, dilation=dilation))
                dilation *= 2
            else:
                layers += self._convolution(before, dense if number == last else channels, side, dilation)
                before = channels
        layers += self._convolution(dense, dense, 1, 1)
        super().__init__(*layers, nn.Conv2d(dense, THREE_CLASSES, 1))

    @staticmethod
    def _convolution(before: int, after: int, side: int, dilation: int) -> List[nn.Module]:
        convolution = nn.Conv2d(before, after, side, dilation=dilation, bias=False)
        return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]


class DeepCell(PixelNetwork):
    """DeepCell as Caicedo et al. (Cytometry A 2019) compare it: three classes, the mean of five networks.

    ``forward`` returns the logits of one network after the other.

    Parameters
    ----------
    members : int
        Networks.
    channels, dense : int
        See `WindowNetwork`.
    """

    stride = 32

    def __init__(self, members: int = 5, channels: int = 64, dense: int = 200) -> None:
        super().__init__()
        self.members = nn.ModuleList(WindowNetwork(channels, dense) for _ in range(members))

    @staticmethod
    def as_maps(said: Tensor) -> Tensor:
        """See `PixelNetwork.as_maps`: the mean of what the networks say."""
        each = [meanings.three_classes(member) for member in said.chunk(said.shape[1] // THREE_CLASSES, dim=1)]
        mean: Tensor = sum(each[1:], each[0]) / len(each)
        return mean

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """See `PixelNetwork.parts`."""
        return {"heads": list(self.parameters())}

    def forward(self, image: Tensor) -> Tensor:
        """See `PixelNetwork`."""
        padded: Any = functional.pad(image, [WINDOW // 2] * 4, mode="replicate")
        return torch.cat([member(padded) for member in self.members], dim=1)


class SimpleCNN(PixelNetwork):
    """The simple CNN of Wang and Song: batch norm, six convolutions of 3 x 3, and one that tells the mask.

    Parameters
    ----------
    widths : sequence of int
        Channels of the convolutions.
    """

    as_maps = staticmethod(meanings.mask)
    stride = 32

    def __init__(self, widths: Sequence[int] = (16, 16, 32, 32, 64, 64)) -> None:
        super().__init__()
        layers: List[nn.Module] = [nn.BatchNorm2d(1)]
        for before, after in zip([1, *widths], widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def parts(self) -> Dict[str, List[nn.Parameter]]:
        """See `PixelNetwork.parts`."""
        return {"heads": list(self.parameters())}

    def forward(self, image: Tensor) -> Tensor:
        """See `PixelNetwork`."""
        said: Tensor = self.layers(image)
        return said
