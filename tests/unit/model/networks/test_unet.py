import pytest
import torch

from nucdl_core.model.networks.maps import MAPS
from nucdl_core.model.networks.unet import UNet
from nucdl_core.model.registry import build_network


@pytest.mark.parametrize("widths, stride", [([4, 8], 4), ([4, 6, 8, 8], 16)])
def test_maps_have_the_size_of_the_image(widths, stride):
    network = UNet(widths)
    assert network.stride == stride
    assert network(torch.zeros(2, 1, 2 * stride, 3 * stride)).shape == (2, len(MAPS), 2 * stride, 3 * stride)


def test_every_weight_takes_part():
    network = UNet([4, 8, 8])
    network(torch.randn(1, 1, 32, 32)).square().mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_shifting_the_image_by_its_stride_shifts_the_maps():
    torch.manual_seed(0)
    network = UNet([4, 8]).eval()
    image = torch.zeros(1, 1, 64, 64)
    image[..., 24:40, 24:40] = 1
    moved = torch.roll(image, 4, dims=-1)
    with torch.no_grad():
        assert torch.allclose(network(moved)[..., 16:48], torch.roll(network(image), 4, -1)[..., 16:48], atol=1e-5)


def test_shifting_the_size_changes_the_size_map_alone():
    network, image = UNet([4, 8]).eval(), torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        before = network(image)
        network.shift_size(0.5)
        after = network(image)
    assert torch.allclose(after[:, :3], before[:, :3])
    assert torch.allclose(after[:, 3], before[:, 3] + 0.5, atol=1e-6)


def test_a_network_is_built_by_its_registered_name():
    assert isinstance(build_network("unet", {"widths": [4, 8]}), UNet)
