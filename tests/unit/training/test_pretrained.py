"""Weights that were trained elsewhere: a local file, and no other than the one that is meant."""

import hashlib
import pickle

import pytest
import torch
from safetensors.torch import save_file

from nucdl_core.errors import BundleError, ConfigError
from nucdl_core.model.networks.maskrcnn_resnet import ResNetMaskRCNN
from nucdl_core.model.networks.resnet_unet import ResNetUNet, TwoPyramids
from nucdl_core.model.networks.unet import UNet
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.loop import begin
from nucdl_core.training.pretrained import PretrainedWeights, give_pretrained

torchvision = pytest.importorskip("torchvision")


def kept(path, state):
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    return PretrainedWeights(str(path), hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def classifier():
    torch.manual_seed(1)
    return torchvision.models.resnet18(weights=None).state_dict()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_the_encoder_takes_the_weights_and_leaves_the_classifier(tmp_path, classifier, suffix):
    network = ResNetUNet([4] * 5, 18)
    assert give_pretrained(network, kept(tmp_path / f"weights{suffix}", classifier)) == ["fc.bias", "fc.weight"]
    assert torch.equal(network.encoder.conv1.weight, classifier["conv1.weight"])
    assert torch.equal(network.encoder.layer4[1].bn2.weight, classifier["layer4.1.bn2.weight"])


def test_both_encoders_of_two_pyramids_take_them(tmp_path, classifier):
    network = TwoPyramids(18, 4)
    give_pretrained(network, kept(tmp_path / "weights.pth", classifier))
    for encoder in network.encoders():
        assert torch.equal(encoder.conv1.weight, classifier["conv1.weight"])


def test_a_mask_rcnn_takes_what_torchvision_trained_on_coco_but_for_its_classes(tmp_path):
    torch.manual_seed(1)
    coco = torchvision.models.detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    network = ResNetMaskRCNN(50)
    left = give_pretrained(network, kept(tmp_path / "coco.pth", coco))
    assert {name.rsplit(".", 1)[0] for name in left} == {
        "roi_heads.box_predictor.cls_score",
        "roi_heads.box_predictor.bbox_pred",
        "roi_heads.mask_predictor.mask_fcn_logits",
    }
    assert torch.equal(network.rpn.head.cls_logits.weight, coco["rpn.head.cls_logits.weight"])
    assert torch.equal(network.backbone.body.conv1.weight, coco["backbone.body.conv1.weight"])


def test_a_mask_rcnn_takes_the_weights_of_its_resnet_alone(tmp_path, classifier):
    network = ResNetMaskRCNN(18, channels=8)
    assert give_pretrained(network, kept(tmp_path / "weights.pth", classifier)) == ["fc.bias", "fc.weight"]
    assert torch.equal(network.backbone.body.conv1.weight, classifier["conv1.weight"])


def test_a_training_begins_with_them(tmp_path, classifier):
    weights = kept(tmp_path / "weights.pth", classifier)
    config = TrainConfig("tiny", "unet_resnet34", {"widths": [4] * 5, "depth": 18}, pretrained=weights)
    state = begin(config, tmp_path / "none", "cpu")
    assert torch.equal(state.network.encoder.conv1.weight, classifier["conv1.weight"])


def test_another_file_than_the_one_that_is_meant_is_refused(tmp_path, classifier):
    weights = kept(tmp_path / "weights.pth", classifier)
    with pytest.raises(BundleError, match="is not the file that is meant"):
        give_pretrained(ResNetUNet([4] * 5, 18), PretrainedWeights(weights.file, "0" * 64))


def test_a_missing_file_is_not_downloaded(tmp_path):
    with pytest.raises(BundleError, match="NucDL downloads nothing"):
        give_pretrained(ResNetUNet([4] * 5, 18), PretrainedWeights(str(tmp_path / "none.pth"), "0" * 64))


def test_weights_of_another_network_are_refused(tmp_path, classifier):
    with pytest.raises(BundleError, match=r"fits \d+ of \d+ tensors of ResNet"):
        give_pretrained(ResNetUNet([4] * 5, 34), kept(tmp_path / "weights.pth", {"conv1.weight": torch.zeros(1)}))


def test_a_network_without_a_resnet_says_that_it_takes_none(tmp_path, classifier):
    with pytest.raises(BundleError, match="UNet takes no weights that were trained elsewhere"):
        give_pretrained(UNet([4, 8]), kept(tmp_path / "weights.pth", classifier))


@pytest.mark.parametrize("content", [b"", b"no weights", pickle.dumps({"a": print})])
def test_a_file_that_holds_no_weights_is_refused_and_nothing_in_it_is_run(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    weights = PretrainedWeights(str(path), hashlib.sha256(content).hexdigest())
    with pytest.raises(BundleError, match="holds no"):
        give_pretrained(ResNetUNet([4] * 5, 18), weights)


def test_a_checksum_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="give the 64 hexadecimal digits"):
        PretrainedWeights("weights.pth", "abc")
