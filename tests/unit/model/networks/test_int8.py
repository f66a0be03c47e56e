"""The U-Net in 8-bit integers gives what it gives in float32, up to small steps."""

import copy

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import RANGES, read_bundle, read_description, write_description
from nucdl_core.model.device import fast_dtype
from nucdl_core.model.loading import load_map_model, make_predictor
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.model.networks.int8 import ENGINES, Int8UNet, convolutions, equalized, recorded_ranges
from nucdl_core.model.networks.maps import MapNetwork
from nucdl_core.model.networks.unet import UNet
from nucdl_core.model.weights import fold_batch_norm

pytestmark = pytest.mark.skipif(
    not set(ENGINES) <= set(torch.backends.quantized.supported_engines), reason="torch has no integer convolutions here"
)


@pytest.fixture
def network():
    """A folded network with biases and channels of very different range, some a power of two in number, some not."""
    torch.manual_seed(0)
    made = UNet([4, 6, 8]).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data = 10 ** torch.empty(module.num_features).uniform_(-1, 1)
            module.bias.data.uniform_(-0.5, 0.5)
    fold_batch_norm(made)
    return made


@pytest.fixture
def image():
    torch.manual_seed(1)
    return torch.rand(2, 1, 32, 48)


def ranges_of(network, image):
    with torch.inference_mode(), recorded_ranges(network) as ranges:
        network(image)
    return ranges


def test_the_convolutions_are_named_in_the_order_in_which_they_run(network, image):
    assert list(ranges_of(network, image)) == list(convolutions(network))
    assert list(convolutions(network))[-4:] == ["decoder.1.0", "decoder.1.3", "decoder.0.0", "decoder.0.3"]


def test_a_recorded_range_is_the_largest_value_of_a_channel_over_all_images(network, image):
    with torch.inference_mode(), recorded_ranges(network) as ranges:
        network(image[:1])
        network(image[1:])
    blocks = torch.nn.functional.pixel_unshuffle(image, 2)
    with torch.inference_mode():
        expected = network.encoder[0][0](blocks).amax((0, 2, 3)).clamp_min(0)
    assert np.allclose(ranges["encoder.0.0"], expected, atol=1e-5)


def test_nothing_is_recorded_after_the_end(network, image):
    ranges = ranges_of(network, image)
    before = copy.deepcopy(ranges)
    with torch.inference_mode():
        network(10 * image)
    assert all(np.array_equal(ranges[name], before[name]) for name in ranges)


def test_integers_give_the_maps_of_float32(network, image):
    with torch.inference_mode():
        exact = network(image)
        found = Int8UNet(network, ranges_of(network, image))(image)
    error = (found - exact).std(dim=(0, 2, 3)) / exact.std(dim=(0, 2, 3))
    assert found.shape == exact.shape
    assert (error < 0.06).all()


def test_bringing_channels_together_changes_nothing_in_exact_arithmetic(network, image):
    bounds = {name: torch.from_numpy(bound + 0.1) for name, bound in ranges_of(network, image).items()}
    other = copy.deepcopy(network)
    with torch.inference_mode():
        exact = network(image)
        layers = [*convolutions(other).values(), other.head]
        for layer, (weight, bias) in zip(layers, equalized(network, bounds)):
            layer.weight.data, layer.bias.data = weight, bias
        found = other(image)
    assert not torch.equal(other.head.weight, network.head.weight)
    assert torch.allclose(found, exact, atol=1e-4)


def test_a_silent_channel_does_no_harm(network, image):
    network.encoder[0][0].weight.data[1] = 0
    network.encoder[0][0].bias.data[1] = -1
    ranges = ranges_of(network, image)
    assert ranges["encoder.0.0"][1] == 0
    with torch.inference_mode():
        assert torch.isfinite(Int8UNet(network, ranges)(image)).all()


def test_the_network_itself_stays_as_it_was(network, image):
    ranges = ranges_of(network, image)
    before = copy.deepcopy(network.state_dict())
    Int8UNet(network, ranges)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_torchs_engine_stays_as_it_was(network, image):
    before = torch.backends.quantized.engine
    Int8UNet(network, ranges_of(network, image))
    assert torch.backends.quantized.engine == before


def with_ranges(folder, change=lambda ranges: ranges):
    """Add ranges to a bundle of an untrained network."""
    predictor = make_predictor(read_bundle(folder), "cpu", torch.float32)
    sample = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    with recorded_ranges(predictor.network) as ranges:
        predictor.maps(sample)
    save_file(change(ranges), folder / RANGES)
    write_description(folder, read_description(folder))
    return sample


def test_a_bundle_with_ranges_runs_in_integers_where_the_processor_can(tiny_bundle, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    fast_dtype.cache_clear()
    assert load_map_model(tiny_bundle, "cpu").dtype != torch.qint8
    sample = with_ranges(tiny_bundle)
    fast, exact = load_map_model(tiny_bundle, "cpu"), make_predictor(read_bundle(tiny_bundle), "cpu", torch.float32)
    fast_dtype.cache_clear()
    assert fast.dtype == torch.qint8
    assert np.abs(fast.maps(sample).foreground - exact.maps(sample).foreground).max() < 0.02


@pytest.mark.parametrize(
    "change",
    [
        lambda ranges: {name: bound for name, bound in ranges.items() if name != "encoder.0.0"},
        lambda ranges: {name: np.ones(3, np.float32) for name in ranges},
    ],
)
def test_ranges_of_another_network_are_an_error_that_names_the_file(tiny_bundle, change):
    with_ranges(tiny_bundle, change)
    with pytest.raises(BundleError, match="ranges.safetensors does not fit the weights"):
        make_predictor(read_bundle(tiny_bundle), "cpu", torch.qint8)


def test_batches_of_views_are_computed_in_integers_too(network, image):
    description = type("Description", (), {"canonical_diameter": 24.0})()
    predictor = MapPredictor(network, description, "cpu", torch.qint8, ranges_of(network, image))
    both = predictor.compute([image[0, 0].numpy(), image[1, 0].numpy()])
    alone = predictor.compute([image[1, 0].numpy()])
    assert np.allclose(both[1], alone[0], atol=1e-6)


def test_a_network_without_a_form_in_integers_says_so():
    class OnlyFloats(MapNetwork):
        def shift_size(self, octaves):
            """Not needed here."""

        def parts(self):
            """Nor this."""

    with pytest.raises(BundleError, match="OnlyFloats has no form in 8-bit integers"):
        OnlyFloats().in_integers({})
    with pytest.raises(TypeError, match="abstract"):
        MapNetwork()
