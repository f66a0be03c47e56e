"""The published networks have the shapes that their authors give."""

import sys

import pytest
import torch
from torch import nn

from nucdl_core.errors import BundleError
from nucdl_core.model.networks.plain_unet import MaskUNet, PositionUNet, ShrunkUNet, ThreeClassUNet
from nucdl_core.model.networks.resnet_unet import MaskResNet, ResNetUNet, TwoPyramids
from nucdl_core.model.registry import build_network


def count(network, kind):
    return sum(isinstance(module, kind) for module in network.modules())


def test_the_unet_of_three_classes_has_7_7_million_parameters_and_pools_three_times():
    network = ThreeClassUNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(7.7e6, rel=0.02)
    assert count(network.encoder, nn.Conv2d) == 8
    assert len(network.encoder) - 1 == 3
    assert count(network, nn.BatchNorm2d) == count(network, nn.Conv2d) - 1


def test_the_unet_of_wang_and_song_has_19_convolutions_and_4_transposed_ones():
    network = MaskUNet([2, 2, 2, 2, 2])
    assert (count(network, nn.Conv2d), count(network, nn.ConvTranspose2d)) == (19, 4)


def test_the_encoder_of_the_unet_resnet_has_34_layers():
    network = ResNetUNet()
    # The last layer of a ResNet34 is its classifier, and three convolutions only bring shortcuts to another width.
    assert count(network.encoder, nn.Conv2d) - 3 + 1 == 34


@pytest.mark.parametrize(
    "network, outputs",
    [
        (ThreeClassUNet([2, 4]), 3),
        (ShrunkUNet([2, 4]), 1),
        (MaskUNet([2, 4]), 1),
        (PositionUNet([2, 4], 2), 3),
        (ResNetUNet([4] * 5, 18), 1),
        (TwoPyramids(18, 4), 2),
        (MaskResNet(50), 1),
    ],
)
def test_each_pixel_of_the_image_is_told_something(network, outputs):
    with torch.inference_mode():
        assert network.eval()(torch.rand(1, 1, 64, 96)).shape == (1, outputs, 64, 96)


def test_each_pyramid_has_an_encoder_of_its_own():
    network = TwoPyramids(18, 4)
    first, second = network.encoders()
    assert first is network.distance.encoder and second is network.border.encoder


@pytest.mark.parametrize("family", ["unet_resnet34", "fpn2", "resnet", "maskrcnn_resnet"])
def test_without_torchvision_it_says_what_to_install(family, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(BundleError, match=rf"family {family} needs torchvision.*nucdl\[maskrcnn\]"):
        build_network(family, {})


def test_a_decoder_with_another_number_of_levels_is_refused():
    with pytest.raises(BundleError, match="3 widths came; the decoder has 5 levels"):
        build_network("unet_resnet34", {"widths": [4, 4, 4], "depth": 18})
