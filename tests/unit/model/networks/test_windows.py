"""DeepCell on whole images says what it says on each window alone."""

import copy

import pytest
import torch
from torch import nn

from nucdl_core.model.networks.windows import WINDOW, DeepCell, SimpleCNN, WindowNetwork


def windowed(network):
    """Return the network as its authors run it: poolings halve a window until one pixel is left."""
    alone = copy.deepcopy(network)
    for layer in alone:
        if isinstance(layer, nn.MaxPool2d):
            layer.stride, layer.dilation = 2, 1
        if isinstance(layer, nn.Conv2d):
            layer.dilation = (1, 1)
    return alone


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = WindowNetwork(channels=6, dense=10)
    # Batch norm that does something.
    network.train()(torch.rand(4, 1, WINDOW + 9, WINDOW + 9))
    return network.eval()


def test_a_window_of_61_pixels_becomes_one_pixel(network):
    assert windowed(network)(torch.rand(1, 1, WINDOW, WINDOW)).shape == (1, 3, 1, 1)
    assert network(torch.rand(1, 1, WINDOW, WINDOW)).shape == (1, 3, 1, 1)


def test_the_whole_image_gives_each_pixel_what_its_own_window_gives(network):
    image = torch.rand(1, 1, WINDOW + 7, WINDOW + 4)
    with torch.inference_mode():
        whole = network(image)
        alone = windowed(network)
        for row in range(8):
            for col in range(5):
                said = alone(image[:, :, row : row + WINDOW, col : col + WINDOW])[0, :, 0, 0]
                assert torch.allclose(said, whole[0, :, row, col], atol=1e-5)


def test_deepcell_has_the_published_number_of_parameters():
    assert sum(parameter.numel() for parameter in DeepCell().parameters()) == pytest.approx(2.5e6, rel=0.1)


def test_deepcell_tells_the_mean_of_what_its_networks_say():
    torch.manual_seed(0)
    network = DeepCell(members=2, channels=4, dense=4).eval()
    said = network(torch.rand(1, 1, 8, 9))
    assert said.shape == (1, 6, 8, 9)
    each = [DeepCell.as_maps(part) for part in said.chunk(2, dim=1)]
    assert torch.allclose(DeepCell.as_maps(said), (each[0] + each[1]) / 2)


def test_the_simple_cnn_sees_seven_pixels_in_each_direction():
    network = SimpleCNN([2] * 6).eval()
    nn.init.constant_(network.layers[-1].weight, 1.0)
    for parameter in network.parameters():
        parameter.data.abs_()
    image = torch.zeros(1, 1, 32, 32)
    with torch.inference_mode():
        nothing = network(image)
        image[0, 0, 16, 16] = 1
        seen = (network(image) - nothing).abs()[0, 0] > 0
    assert seen.nonzero().amin(dim=0).tolist() == [9, 9] and seen.nonzero().amax(dim=0).tolist() == [23, 23]
