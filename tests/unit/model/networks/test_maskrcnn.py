import sys

import pytest
import torch

from nucdl_core.errors import BundleError
from nucdl_core.model.networks.maskrcnn import MOST_NUCLEI, NucleusMaskRCNN
from nucdl_core.model.networks.unet import UNet
from nucdl_core.model.registry import build_network

WIDTHS = (4, 4, 8, 8, 8)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return NucleusMaskRCNN(WIDTHS, channels=8)


def one_nucleus(box=(20.0, 12.0, 44.0, 40.0), side=64):
    masks = torch.zeros(1, side, side, dtype=torch.uint8)
    left, top, right, bottom = map(int, box)
    masks[0, top:bottom, left:right] = 1
    return {"boxes": torch.tensor([box]), "labels": torch.ones(1, dtype=torch.int64), "masks": masks}


def nothing(side=64):
    empty = torch.zeros(0, side, side, dtype=torch.uint8)
    return {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "masks": empty}


def test_training_gives_the_five_terms_of_the_loss_also_for_an_image_without_nuclei(network):
    found, losses = network.train()(torch.rand(2, 1, 64, 64), [one_nucleus(), nothing()])
    assert found == []
    assert {*losses} == {f"loss_{name}" for name in ("objectness", "rpn_box_reg", "classifier", "box_reg", "mask")}
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_nuclei_have_boxes_inside_the_image_falling_scores_and_masks(network):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found, losses = network.eval()(torch.rand(2, 1, 64, 96))
    assert losses == {}
    for one in found:
        count = len(one["scores"])
        assert one["masks"].shape == (count, 1, 28, 28)
        assert 0 <= one["masks"].min() <= one["masks"].max() <= 1
        assert (one["boxes"][:, 2:] > one["boxes"][:, :2]).all()
        assert (one["boxes"] >= 0).all() and (one["boxes"] <= torch.tensor([96.0, 64.0, 96.0, 64.0])).all()
        assert (one["scores"].diff() <= 0).all()
        assert count <= MOST_NUCLEI


def test_boxes_are_exact_although_the_network_runs_in_bfloat16(network):
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        boxes = network.eval()(torch.rand(1, 1, 64, 640))[0][0]["boxes"]
    assert boxes.dtype == torch.float32
    assert (boxes != boxes.bfloat16().float()).any()


def test_it_takes_the_weights_of_a_trained_encoder(network):
    encoder = UNet(WIDTHS).encoder.state_dict()
    own = {name: value for name, value in network.state_dict().items() if name.startswith("encoder.")}
    assert {name[len("encoder.") :]: value.shape for name, value in own.items()} == {
        name: value.shape for name, value in encoder.items()
    }


def test_every_parameter_belongs_to_one_stage_of_training(network):
    parts = network.parts()
    assert [*parts] == ["all", "late", "heads"]
    numbers = [id(parameter) for part in parts.values() for parameter in part]
    assert sorted(numbers) == sorted(id(parameter) for parameter in network.parameters())


def test_its_examination_is_the_same_each_time(network):
    image, boxes = torch.rand(1, 1, 64, 64), torch.tensor([[0.0, 0.0, 32.0, 32.0], [10.0, 20.0, 40.0, 44.0]])
    with torch.inference_mode():
        first, second = (network.eval().examine(image, boxes) for _ in range(2))
    assert first.objectness.shape == (1, 6, 16, 16)
    assert first.scores.shape == (2,) and first.masks.shape == (2, 28, 28)
    assert all(torch.equal(one, other) for one, other in zip(first, second))


def test_another_number_of_levels_than_five_is_refused():
    with pytest.raises(BundleError, match="2 widths came; the pyramid has 5 levels"):
        build_network("maskrcnn", {"widths": [4, 8]})


def test_without_torchvision_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(BundleError, match=r'needs torchvision.*pip install "nucdl\[maskrcnn\]"'):
        build_network("maskrcnn", {})
