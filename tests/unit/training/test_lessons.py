import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from nucdl_core.config import from_mapping
from nucdl_core.errors import BundleError, ConfigError
from nucdl_core.model import device
from nucdl_core.model.bundle import WEIGHTS, find_bundle
from nucdl_core.model.networks.maskrcnn import NucleusMaskRCNN
from nucdl_core.training.config import Stage, TrainConfig
from nucdl_core.training.lessons import instance_crop, instance_losses, instance_targets, map_losses, start_from
from nucdl_core.training.loop import learning_rate, set_pace
from nucdl_core.training.superpose import Layers

WIDTHS = [4, 4, 8, 8, 8]
STAGES = [
    {"until": 0.5, "learning_rate": 1e-3},
    {"until": 0.8, "learning_rate": 5e-4, "trains": "late"},
    {"until": 1.0, "learning_rate": 1e-4, "trains": "heads"},
]


def layers(labels, inside=None):
    nothing = np.zeros(labels.shape, np.float32)
    return Layers(nothing, labels, nothing, nothing, np.ones(labels.shape, bool) if inside is None else inside)


def two_nuclei():
    labels = np.zeros((32, 32), np.int32)
    labels[2:9, 4:20], labels[15:30, 25:31] = 3, 7
    return labels


def test_targets_are_the_boxes_and_masks_of_the_labels():
    targets = instance_targets(torch.from_numpy(np.where(two_nuclei() == 7, 2, two_nuclei() // 3)))
    assert targets["boxes"].tolist() == [[4, 2, 20, 9], [25, 15, 31, 30]]
    assert targets["labels"].tolist() == [1, 1]
    assert targets["masks"].sum(dim=(1, 2)).tolist() == [7 * 16, 15 * 6]


def test_a_crop_without_nuclei_has_no_targets():
    targets = instance_targets(torch.zeros(16, 16, dtype=torch.int32))
    assert targets["boxes"].shape == (0, 4)
    assert targets["masks"].shape == (0, 16, 16)


def test_a_crop_is_renumbered_and_dark_beyond_the_border_of_its_source():
    inside = np.ones((32, 32), bool)
    inside[:, :10] = False
    crop = instance_crop(np.ones((32, 32), np.float32), layers(two_nuclei(), inside), TrainConfig("tiny"))
    assert crop["labels"].unique().tolist() == [0, 1, 2]
    assert not crop["labels"][:, :10].any()
    assert crop["image"].shape == (1, 32, 32)
    assert crop["image"][0, :, :10].max() == 0 < crop["image"][0, :, 10:].min()


def test_the_losses_sum_up_to_the_total():
    torch.manual_seed(0)
    batch = {"image": torch.rand(1, 1, 64, 64), "labels": torch.zeros(1, 64, 64, dtype=torch.int32)}
    batch["labels"][0, 10:40, 20:50] = 1
    losses = instance_losses(NucleusMaskRCNN(WIDTHS, 8).train(), batch)
    total = losses.pop("total")
    assert set(losses) == {"objectness", "rpn_box_reg", "classifier", "box_reg", "mask"}
    assert float(total.detach()) == pytest.approx(float(sum(loss.detach() for loss in losses.values())), rel=1e-5)


def test_a_network_starts_from_the_encoder_of_a_finished_model():
    network = NucleusMaskRCNN()
    heads = {name: value.clone() for name, value in network.state_dict().items() if not name.startswith("encoder.")}
    start_from(network, "nuclei_unet")
    trained = load_file(find_bundle("nuclei_unet") / WEIGHTS)
    for name, value in network.state_dict().items():
        expected = torch.from_numpy(trained[name]) if name.startswith("encoder.") else heads[name]
        assert torch.equal(value, expected.to(value.dtype)), name


def test_a_network_of_other_widths_cannot_start_from_it():
    with pytest.raises(BundleError, match=r"encoder.0.*has the shape"):
        start_from(NucleusMaskRCNN(WIDTHS, 8), "nuclei_unet")


def test_a_network_that_shares_nothing_cannot_start_from_it():
    with pytest.raises(BundleError, match="shares no part"):
        start_from(torch.nn.Conv2d(1, 1, 1), "nuclei_unet")


def config(**changes):
    values = {"name": "tiny", "architecture": "maskrcnn", "steps": 1000, "stages": STAGES, **changes}
    return from_mapping(TrainConfig, values)


def test_stages_have_their_learning_rates_and_hold_still_what_has_learnt():
    network = NucleusMaskRCNN(WIDTHS, 8)
    optimizer = torch.optim.AdamW(network.parameters())
    learning = {}
    for step in (300, 600, 900):
        set_pace(network, optimizer, config(), step)
        parts = {name: all(p.requires_grad for p in part) for name, part in network.parts().items()}
        learning[step] = (optimizer.param_groups[0]["lr"], *parts.values())
    assert learning == {300: (1e-3, True, True, True), 600: (5e-4, False, True, True), 900: (1e-4, False, False, True)}
    assert learning_rate(config(), 0) < 1e-5


def test_stages_are_settings():
    assert config().stages[1] == Stage(0.8, 5e-4, "late")


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"stages": [{"until": 0.5, "learning_rate": 1}]}, r"the stages last until \[0.5\]"),
        ({"stages": STAGES[::-1]}, "each must end after the one before"),
        ({"stages": [{"until": 0, "learning_rate": 1}]}, "a stage lasts until 0"),
        ({"stages": [{"until": 1, "learning_rate": 0}]}, "the learning rate of a stage is 0"),
        ({"stages": [{"until": 1, "learning_rate": 1, "trains": "some"}]}, "a stage trains 'some'"),
        ({"stages": [{"until": 1, "rate": 1}]}, "unknown setting rate"),
    ],
)
def test_impossible_stages_are_refused_with_the_reason(changes, reason):
    with pytest.raises(ConfigError, match=reason):
        from_mapping(TrainConfig, {"name": "tiny", "architecture": "maskrcnn", "stages": STAGES, **changes})


@pytest.mark.parametrize(("hardware", "computed"), [(True, torch.bfloat16), (False, torch.float32)])
def test_training_computes_in_bfloat16_only_where_the_hardware_does(monkeypatch, hardware, computed):
    device.fast_dtype.cache_clear()
    monkeypatch.setattr(device, "_computes_bfloat16", lambda name: hardware)
    seen = []

    class Noting(torch.nn.Conv2d):
        def forward(self, image):
            found = super().forward(image)
            seen.append(found.dtype)
            return found

    size, batch = (2, 1, 8, 8), {}
    for name in ("image", "gap", "sized", "inside"):
        batch[name] = torch.ones(size)
    batch["targets"] = torch.zeros(2, 4, 8, 8)
    losses = map_losses(Noting(1, 4, 1), batch)
    device.fast_dtype.cache_clear()
    assert seen == [computed]
    assert losses["total"].dtype == torch.float32
