"""Weights that were trained elsewhere: a local file, and no other than the one that is meant."""

import hashlib
import shlex
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from nucdl_core.errors import BundleError, ConfigError
from nucdl_core.model.networks.maskrcnn_resnet import ResNetMaskRCNN
from nucdl_core.model.networks.resnet_unet import ResNetUNet, TwoPyramids
from nucdl_core.model.networks.unet import UNet
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.loop import begin
from nucdl_core.training.pretrained import CONVERT, PretrainedWeights, give_pretrained

torchvision = pytest.importorskip("torchvision")


def kept(path, state):
    save_file(state, path)
    return PretrainedWeights(str(path), hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def classifier():
    torch.manual_seed(1)
    return torchvision.models.resnet18(weights=None).state_dict()


def test_the_encoder_takes_the_weights_and_leaves_the_classifier(tmp_path, classifier):
    network = ResNetUNet([4] * 5, 18)
    assert give_pretrained(network, kept(tmp_path / "weights.safetensors", classifier)) == ["fc.bias", "fc.weight"]
    assert torch.equal(network.encoder.conv1.weight, classifier["conv1.weight"])
    assert torch.equal(network.encoder.layer4[1].bn2.weight, classifier["layer4.1.bn2.weight"])


def test_both_encoders_of_two_pyramids_take_them(tmp_path, classifier):
    network = TwoPyramids(18, 4)
    give_pretrained(network, kept(tmp_path / "weights.safetensors", classifier))
    for encoder in network.encoders():
        assert torch.equal(encoder.conv1.weight, classifier["conv1.weight"])


def test_a_mask_rcnn_takes_what_torchvision_trained_on_coco_but_for_its_classes(tmp_path):
    torch.manual_seed(1)
    coco = torchvision.models.detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    network = ResNetMaskRCNN(50)
    left = give_pretrained(network, kept(tmp_path / "coco.safetensors", coco))
    assert {name.rsplit(".", 1)[0] for name in left} == {
        "roi_heads.box_predictor.cls_score",
        "roi_heads.box_predictor.bbox_pred",
        "roi_heads.mask_predictor.mask_fcn_logits",
    }
    assert torch.equal(network.rpn.head.cls_logits.weight, coco["rpn.head.cls_logits.weight"])
    assert torch.equal(network.backbone.body.conv1.weight, coco["backbone.body.conv1.weight"])


def test_a_mask_rcnn_takes_the_weights_of_its_resnet_alone(tmp_path, classifier):
    network = ResNetMaskRCNN(18, channels=8)
    assert give_pretrained(network, kept(tmp_path / "weights.safetensors", classifier)) == ["fc.bias", "fc.weight"]
    assert torch.equal(network.backbone.body.conv1.weight, classifier["conv1.weight"])


def test_a_training_begins_with_them(tmp_path, classifier):
    weights = kept(tmp_path / "weights.safetensors", classifier)
    config = TrainConfig("tiny", "unet_resnet34", {"widths": [4] * 5, "depth": 18}, pretrained=weights)
    state = begin(config, tmp_path / "none", "cpu")
    assert torch.equal(state.network.encoder.conv1.weight, classifier["conv1.weight"])


def test_another_file_than_the_one_that_is_meant_is_refused(tmp_path, classifier):
    weights = kept(tmp_path / "weights.safetensors", classifier)
    with pytest.raises(BundleError, match="is not the file that is meant"):
        give_pretrained(ResNetUNet([4] * 5, 18), PretrainedWeights(weights.file, "0" * 64))


def test_a_missing_file_is_not_downloaded(tmp_path):
    with pytest.raises(BundleError, match="NucDL downloads nothing"):
        give_pretrained(ResNetUNet([4] * 5, 18), PretrainedWeights(str(tmp_path / "none.safetensors"), "0" * 64))


def test_weights_of_another_network_are_refused(tmp_path, classifier):
    with pytest.raises(BundleError, match=r"fits \d+ of \d+ tensors of ResNet"):
        give_pretrained(
            ResNetUNet([4] * 5, 34), kept(tmp_path / "weights.safetensors", {"conv1.weight": torch.zeros(1)})
        )


def test_a_network_without_a_resnet_says_that_it_takes_none(tmp_path, classifier):
    with pytest.raises(BundleError, match="UNet takes no weights that were trained elsewhere"):
        give_pretrained(UNet([4, 8]), kept(tmp_path / "weights.safetensors", classifier))


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x04}\x94."])
def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    weights = PretrainedWeights(str(path), hashlib.sha256(content).hexdigest())
    with pytest.raises(BundleError, match="is no safetensors file .* opens none: turn it into one"):
        give_pretrained(ResNetUNet([4] * 5, 18), weights)


def test_the_command_that_an_error_gives_turns_a_file_of_torch_into_one_that_is_taken(tmp_path, classifier):
    path = tmp_path / "weights.pth"
    torch.save(classifier, path)
    _, _, code = shlex.split(CONVERT.format(path))
    subprocess.run([sys.executable, "-c", code], check=True)
    made = path.with_name("weights.pth.safetensors")
    network = ResNetUNet([4] * 5, 18)
    give_pretrained(network, PretrainedWeights(str(made), hashlib.sha256(made.read_bytes()).hexdigest()))
    assert torch.equal(network.encoder.conv1.weight, classifier["conv1.weight"])


def test_a_checksum_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="give the 64 hexadecimal digits"):
        PretrainedWeights("weights.safetensors", "abc")
