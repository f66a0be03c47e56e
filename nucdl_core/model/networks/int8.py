"""The U-Net in 8-bit integers: half the time of bfloat16 where the processor multiplies integers directly.

Weights have a step of their own for each output channel, features one for each layer. Features of one layer differ
much in range from channel to channel, so that channels are first brought closer to each other: what one convolution
gives divided by a factor, the next one takes multiplied by it, which changes nothing in exact arithmetic because ReLU,
pooling and enlarging commute with a positive factor (cross-layer equalization, Nagel et al., ICCV 2019). The first
convolution, which sees the faint differences of dim nuclei, and the last one, which gives the maps, stay in float32.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Mapping, Tuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nucdl_core.arrays import Floats
from nucdl_core.model.networks.unet import BLOCK, UNet

# How far the ranges of channels are brought together: 0 not at all, 1 wholly.
EQUALIZATION = 0.75
# A channel counts as having at least this share of its layer's widest range, or a silent one would be divided by 0.
SILENT = 1e-3
LARGEST_WEIGHT, LARGEST_FEATURE = 127, 255
# oneDNN is the faster one of torch's engines for integers, but with 192 output channels it prepares the weights anew at
# every call for some sizes of images, which takes up to a hundred times as long as the convolution. It was never seen
# to do that with a power of two.
FASTER, STEADIER = ENGINES = ("onednn", "fbgemm")
# Where a level's two convolutions stand in a `ConvBlock`.
FIRST, SECOND = "0", "3"


@contextmanager
def recorded_ranges(network: UNet) -> Iterator[Dict[str, Floats]]:
    """Record how large each feature becomes while the network runs.

    Parameters
    ----------
    network : UNet
        In evaluation mode, batch norm folded into the convolutions.

    Yields
    ------
    dict of float32 arrays (C,)
        The largest value of each channel after each convolution's ReLU, by the convolution's name; it fills while
        the network runs.
    """
    ranges: Dict[str, Floats] = {}
    hooks = [layer.register_forward_hook(_recorder(name, ranges)) for name, layer in convolutions(network).items()]
    try:
        yield ranges
    finally:
        for hook in hooks:
            hook.remove()


def convolutions(network: UNet) -> Dict[str, nn.Conv2d]:
    """Name the 3 x 3 convolutions of a network, two for each level, in the order in which they run."""
    levels = [(f"encoder.{n}", level) for n, level in enumerate(network.encoder)]
    levels += reversed([(f"decoder.{n}", level) for n, level in enumerate(network.decoder)])
    return {
        f"{name}.{position}": layer
        for name, level in levels
        for position, layer in enumerate(level.children())
        if isinstance(layer, nn.Conv2d)
    }


class Int8UNet(nn.Module):
    """A trained U-Net whose convolutions multiply 8-bit integers.

    Parameters
    ----------
    network : UNet
        In float32, batch norm folded into the convolutions; it is not changed.
    ranges : mapping of float32 arrays (C,)
        As `recorded_ranges` gives them. Features beyond are cut.

    Raises
    ------
    KeyError, RuntimeError
        If the ranges do not fit the network.

    Notes
    -----
    ``forward`` takes and returns what `UNet` does, in float32.
    """

    def __init__(self, network: UNet, ranges: Mapping[str, Floats]) -> None:
        super().__init__()
        names = list(convolutions(network))
        bounds = {name: torch.from_numpy(np.maximum(ranges[name], SILENT * ranges[name].max())) for name in names}
        self.first, *layers = equalized(network, bounds)
        self.steps = [float(bounds[name].max() ** (1 - EQUALIZATION)) / LARGEST_FEATURE for name in names]
        self.layers = [prepacked(weight, bias) for weight, bias in layers[:-1]]
        self.head = layers[-1]
        self.levels = len(network.encoder)

    def forward(self, image: Tensor) -> Tensor:
        """Return the four maps of a batch of normalized images; see `UNet`."""
        layers = iter(zip(self.layers, self.steps[1:]))
        skips = self._encode(image, layers)
        features = skips.pop()
        while skips:
            skip = skips.pop()
            features = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            step = max(features.q_scale(), skip.q_scale())
            features = torch.ops.quantized.cat([features, skip], 1, step, 0)
            features = convolve(convolve(features, next(layers)), next(layers))
        maps: Tensor = functional.pixel_shuffle(functional.conv2d(features.dequantize(), *self.head), BLOCK)
        return maps

    def _encode(self, image: Tensor, layers: Iterator[Tuple[torch.ScriptObject, float]]) -> List[Tensor]:
        blocks = functional.pixel_unshuffle(image, BLOCK).contiguous(memory_format=torch.channels_last)
        fine = functional.conv2d(blocks, *self.first, padding=1).relu_()
        features = torch.quantize_per_tensor(fine, self.steps[0], 0, torch.quint8)
        levels = [convolve(features, next(layers))]
        for _ in range(1, self.levels):
            features = convolve(functional.max_pool2d(levels[-1], 2), next(layers))
            levels.append(convolve(features, next(layers)))
        return levels


def equalized(network: UNet, bounds: Mapping[str, Tensor]) -> List[Tuple[Tensor, Tensor]]:
    """Return weight and bias of the convolutions, in their order, and of the head, with channels brought together."""
    factors = {name: bound**EQUALIZATION for name, bound in bounds.items()}
    layers, incoming = [], torch.ones(1)
    for name, layer in convolutions(network).items():
        part, level, position = name.split(".")
        if (part, position) == ("decoder", FIRST):
            # A level of the decoder sees the coarser features beside those of the encoder's level of its own scale.
            incoming = torch.cat([incoming, factors[f"encoder.{level}.{SECOND}"]])
        layers.append(rescaled(layer, incoming, factors[name]))
        incoming = factors[name]
    return [*layers, rescaled(network.head, incoming, torch.ones(1))]


def rescaled(layer: nn.Conv2d, incoming: Tensor, outgoing: Tensor) -> Tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution whose inputs were divided by factors, and whose outputs shall be."""
    with torch.no_grad():
        weight = layer.weight * incoming[None, :, None, None] / outgoing[:, None, None, None]
        return weight, cast(Tensor, layer.bias) / outgoing


def prepacked(weight: Tensor, bias: Tensor) -> torch.ScriptObject:
    """Round a convolution's weights, each output channel with a step of its own, and lay them out for the processor."""
    steps = weight.abs().amax((1, 2, 3)).clamp_min(torch.finfo(torch.float32).tiny) / LARGEST_WEIGHT
    zeros = torch.zeros(len(steps), dtype=torch.int64)
    rounded = torch.quantize_per_channel(weight, steps, zeros, 0, torch.qint8)
    with engine(FASTER if is_power_of_two(len(bias)) else STEADIER):
        packed: torch.ScriptObject = torch.ops.quantized.conv2d_prepack(rounded, bias, [1, 1], [1, 1], [1, 1], 1)
    return packed


def is_power_of_two(number: int) -> bool:
    """Tell whether a positive number is a power of two."""
    return number & (number - 1) == 0


@contextmanager
def engine(name: str) -> Iterator[None]:
    """Let torch lay out weights for one of its engines for integers; they are computed by it ever after."""
    former = torch.backends.quantized.engine
    torch.backends.quantized.engine = name
    try:
        yield
    finally:
        torch.backends.quantized.engine = former


def convolve(features: Tensor, layer: Tuple[torch.ScriptObject, float]) -> Tensor:
    """Run a convolution with ReLU on quantized features; `layer` is its packed weights and the step of its output."""
    found: Tensor = torch.ops.quantized.conv2d_relu(features, *layer, 0)
    return found


def _recorder(name: str, ranges: Dict[str, Floats]) -> Callable[[nn.Module, Tuple[Tensor, ...], Tensor], None]:
    def record(_layer: nn.Module, _inputs: Tuple[Tensor, ...], found: Tensor) -> None:
        # ReLU follows in place.
        largest: Floats = found.detach().float().amax((0, 2, 3)).clamp_min(0).numpy().copy()
        ranges[name] = np.maximum(largest, ranges[name]) if name in ranges else largest

    return record
