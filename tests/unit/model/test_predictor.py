import dataclasses

import numpy as np
import pytest
import torch
from conftest import edit_description, untrained_map_model
from safetensors.numpy import load_file, save_file

from nucdl_core.errors import BundleError
from nucdl_core.model.bundle import TEST, WEIGHTS, read_bundle, write_description
from nucdl_core.model.loading import load_map_model, make_predictor
from nucdl_core.model.networks.unet import UNet
from nucdl_core.model.pixel_predictor import mean_maps
from nucdl_core.model.weights import fold_batch_norm
from nucdl_core.steps.resampling import resize
from nucdl_core.steps.views import VIEW_SETS, apply_view, undo_view


def predictor(folder, dtype=torch.float32):
    return make_predictor(read_bundle(folder), "cpu", dtype)


def noise(shape):
    return np.random.default_rng(3).random(shape, np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 16), (33, 70)])
def test_maps_have_the_shape_of_the_image(tiny_bundle, shape):
    maps = predictor(tiny_bundle).maps(noise(shape))
    assert maps.foreground.shape == maps.size.shape == shape
    assert 0 <= maps.foreground.min() <= maps.foreground.max() <= 1


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.5])
def test_a_part_that_begins_at_a_block_gives_the_maps_of_the_whole_image(tiny_bundle, scale):
    network, image = predictor(tiny_bundle), noise((240, 90))
    block = network.block(scale)
    exact = network.stride / block
    start = -(-40 // block) * block
    whole, part = network.maps_at(image, scale), network.maps_at(image[start:], scale)
    # The tiny network sees less than 22 of its pixels around each.
    offset, seen = round(start * exact), 22
    assert np.abs(whole.foreground[offset + seen :] - part.foreground[seen:]).max() < 1e-5


def test_maps_at_another_scale_have_the_shape_of_the_scaled_image(tiny_bundle):
    network = predictor(tiny_bundle)
    exact = network.stride / network.block(0.37)
    assert network.maps_at(noise((101, 57)), 0.37).size.shape == (np.ceil(101 * exact), np.ceil(57 * exact))


@pytest.mark.parametrize("shape", [(48, 48), (32, 64)])
def test_every_view_is_predicted_and_turned_back(tiny_bundle, shape):
    image = noise(shape)
    views = predictor(tiny_bundle).view_maps(image, 1.0, VIEW_SETS["all"])
    for view, maps in zip(VIEW_SETS["all"], views):
        alone = predictor(tiny_bundle).maps(np.ascontiguousarray(apply_view(image, view)))
        assert np.abs(maps.foreground - undo_view(alone.foreground, view)).max() < 1e-5
        assert np.abs(maps.size - undo_view(alone.size, view)).max() < 1e-5


@pytest.mark.parametrize("shape", [(1, 5), (33, 70)])
def test_views_of_any_shape_come_back_in_it(tiny_bundle, shape):
    network = predictor(tiny_bundle)
    assert network.predict(noise(shape), 24.0, VIEW_SETS["all"]).probability.shape == shape


def test_the_mean_of_views_averages_every_map(tiny_bundle):
    views = predictor(tiny_bundle).view_maps(noise((16, 16)), 1.0, VIEW_SETS["flips"])
    mean = mean_maps(views)
    assert np.allclose(mean.size, sum(view.size for view in views) / 4, atol=1e-6)
    assert mean_maps(views[:1]) is views[0]


def test_bfloat16_agrees_with_float32(tiny_bundle):
    image = noise((64, 64))
    exact, fast = (predictor(tiny_bundle, dtype).maps(image) for dtype in (torch.float32, torch.bfloat16))
    assert np.abs(exact.foreground - fast.foreground).max() < 0.02


def test_folding_batch_norm_changes_nothing():
    torch.manual_seed(1)
    network = UNet([4, 8])
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(2, 1, 16, 16))
    network.eval()
    image = torch.randn(1, 1, 16, 16)
    expected = network(image)
    fold_batch_norm(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert torch.allclose(network(image), expected, atol=1e-5)


def test_a_predictor_is_loaded_once_per_process(tiny_bundle):
    assert load_map_model(tiny_bundle, "cpu") is load_map_model(tiny_bundle, "cpu")


def test_a_model_that_changes_on_disk_is_verified_again(tiny_bundle):
    load_map_model(tiny_bundle, "cpu")
    (tiny_bundle / WEIGHTS).write_bytes(b"altered")
    with pytest.raises(BundleError, match="was altered"):
        load_map_model(tiny_bundle, "cpu")


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(BundleError, match="is not a model folder"):
        load_map_model(tmp_path / "absent", "cpu")


def test_a_bundle_passes_its_own_test(tiny_bundle):
    assert predictor(tiny_bundle).self_test(tiny_bundle) < 1e-3


def test_another_output_than_expected_fails_the_test(tiny_bundle):
    tensors = load_file(tiny_bundle / TEST)
    save_file({**tensors, "maps": 1 - tensors["maps"]}, tiny_bundle / TEST)
    write_description(tiny_bundle, read_description(tiny_bundle))
    with pytest.raises(BundleError, match="differs from its expected test output"):
        predictor(tiny_bundle).self_test(tiny_bundle)


def test_a_test_without_its_tensors_is_refused(tiny_bundle):
    save_file({"something": np.zeros(1, np.float32)}, tiny_bundle / TEST)
    write_description(tiny_bundle, read_description(tiny_bundle))
    with pytest.raises(BundleError, match="lacks the tensor 'input'"):
        predictor(tiny_bundle).self_test(tiny_bundle)


def read_description(folder):
    """The description, although the files no longer match it."""
    import json

    from nucdl_core.model.bundle import DESCRIPTION, BundleDescription
    from nucdl_core.steps.instances import Decision

    values = json.loads((folder / DESCRIPTION).read_text())
    return BundleDescription(**{**values, "decision": Decision(**values["decision"])})


def test_weights_of_another_architecture_are_refused_with_their_names(tiny_bundle):
    edit_description(tiny_bundle, arguments={"widths": [4, 8, 8]})
    with pytest.raises(BundleError, match=r"does not fit the architecture .*encoder.2"):
        predictor(tiny_bundle)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"architecture": "vit"}, "'vit' is not known"),
        ({"arguments": {"depth": 3}}, "does not take the arguments"),
        ({"arguments": {"widths": []}}, "does not take the arguments"),
        ({"family": "maskrcnn"}, "the network 'unet' and the family 'maskrcnn' do not belong together"),
    ],
)
def test_an_unknown_architecture_is_refused(tiny_bundle, changes, reason):
    edit_description(tiny_bundle, **changes)
    with pytest.raises(BundleError, match=reason):
        predictor(tiny_bundle)


def test_resizing_keeps_the_mean_and_the_position():
    image = np.zeros((40, 60), np.float32)
    image[10:20, 30:40] = 1
    small, large = resize(image, (20, 30)), resize(image, (80, 120))
    assert small[5:10, 15:20].min() > 0.5
    assert small.mean() == pytest.approx(image.mean(), rel=0.01)
    assert large[22:38, 62:78].min() > 0.9


def test_resizing_to_the_same_shape_returns_the_image():
    image = noise((4, 4))
    assert resize(image, (4, 4)) is image


def test_a_model_that_takes_images_as_they_are_sees_them_at_their_own_scale():
    model = untrained_map_model(canonical_diameter=24.0)
    image = np.random.default_rng(0).random((64, 96), np.float32)
    assert model.predict(image, 12.0, VIEW_SETS["none"]).scale == 2
    model.description = dataclasses.replace(model.description, rescaled=False)
    assert model.predict(image, 12.0, VIEW_SETS["none"]).scale == 1


def test_a_model_whose_output_is_not_a_number_fails_its_own_test(tiny_bundle):
    model = make_predictor(read_bundle(tiny_bundle), "cpu", torch.float32)
    for parameter in model.network.parameters():
        parameter.data.fill_(float("nan"))
    with pytest.raises(BundleError, match="differs from its expected test output by nan"):
        model.self_test(tiny_bundle)
