"""What published networks learn from a crop."""

import numpy as np
import pytest
import torch

from nucdl_core.training.config import TrainConfig
from nucdl_core.training.published import (
    BORDER_LESSON,
    MASK_LESSON,
    POSITION_LESSON,
    SHRUNK_LESSON,
    THREE_CLASS_LESSON,
    blurred_border,
    relative_positions,
)
from nucdl_core.training.superpose import Layers
from nucdl_core.training.targets import normalized_distance

CONFIG = TrainConfig("tiny")
FAR = 20.0


def touching():
    labels = np.zeros((12, 16), np.int32)
    labels[3:8, 2:7], labels[3:8, 7:12] = 4, 9
    return labels


def crop_of(lesson, labels, inside=None):
    image = (labels > 0).astype(np.float32)
    layers = Layers(
        image, labels, normalized_distance(labels), image, np.ones(labels.shape, bool) if inside is None else inside
    )
    return lesson.finish(image, layers, CONFIG)


def batch_of(crop):
    return {name: value[None] for name, value in crop.items()}


def loss_of(lesson, crop, said):
    return lesson.losses(lambda image: torch.as_tensor(said, dtype=torch.float32), batch_of(crop))["total"].item()


def logits(mask):
    return FAR * (2 * torch.as_tensor(mask).float() - 1)


def test_the_boundary_is_the_outermost_pixel_of_each_nucleus():
    classes = crop_of(THREE_CLASS_LESSON, touching())["classes"].numpy()
    expected = (touching() > 0).astype(int)
    expected[3:8, 2:12] = 2
    expected[4:7, 3:6] = expected[4:7, 8:11] = 1
    assert np.array_equal(classes, expected)


def test_a_wrong_boundary_costs_ten_times_as_much_as_wrong_background():
    crop = crop_of(THREE_CLASS_LESSON, touching())
    right = logits(torch.nn.functional.one_hot(crop["classes"], 3).permute(2, 0, 1))[None]
    costs = []
    for row, col in ((0, 0), (3, 4)):
        said = right.clone()
        said[0, :, row, col] = 0
        costs.append(loss_of(THREE_CLASS_LESSON, crop, said))
    assert loss_of(THREE_CLASS_LESSON, crop, right) < 1e-6
    assert costs[1] == pytest.approx(10 * costs[0], rel=1e-4)


def test_several_networks_learn_the_same_each_for_itself():
    crop = crop_of(THREE_CLASS_LESSON, touching())
    said = torch.randn(1, 6, 12, 16, generator=torch.Generator().manual_seed(0))
    each = [loss_of(THREE_CLASS_LESSON, crop, part) for part in said.chunk(2, dim=1)]
    assert loss_of(THREE_CLASS_LESSON, crop, said) == pytest.approx(np.mean(each), rel=1e-5)


def test_shrunk_nuclei_do_not_touch_and_what_lies_between_them_weighs_most():
    crop = crop_of(SHRUNK_LESSON, touching())
    truth, weight = crop["truth"][0].numpy(), crop["weight"][0].numpy()
    assert truth.sum() == 2 * 9
    assert not truth[:, 6:8].any()
    assert (weight[4:7, 6:8] == 11).all()
    assert weight[0, 15] == 1 and weight[5, 3] == 1


def test_the_blurred_border_is_brightest_on_the_border():
    border = blurred_border(np.pad(np.ones((20, 20), np.int32), 10))
    assert border[20, 10] == pytest.approx(1, abs=0.1)
    assert border[20, 20] < 0.01
    assert border[0, 0] < 1e-3


def test_distance_and_border_are_told_by_a_network_each():
    crop = crop_of(BORDER_LESSON, touching())
    right = torch.logit(crop["targets"].clamp(1e-6, 1 - 1e-6))[None]
    assert loss_of(BORDER_LESSON, crop, right) < 1e-6
    wrong = right.clone()
    wrong[:, 1] = -FAR
    terms = BORDER_LESSON.losses(lambda image: wrong, batch_of(crop))
    assert terms["distance"] < 1e-6 < 0.01 < terms["border"]


def test_positions_run_from_one_side_of_a_nucleus_to_the_other():
    down, right = relative_positions(touching())
    assert np.allclose(right[4, 2:7], [-0.8, -0.4, 0, 0.4, 0.8])
    assert np.allclose(right[4, 7:12], [-0.8, -0.4, 0, 0.4, 0.8])
    assert np.allclose(down[3:8, 4], [-0.8, -0.4, 0, 0.4, 0.8])
    assert not down[0].any()


def test_positions_count_in_nuclei_only():
    crop = crop_of(POSITION_LESSON, touching())
    said = torch.cat([logits(crop["truth"]), crop["positions"]])[None]
    assert loss_of(POSITION_LESSON, crop, said) < 1e-6
    said[0, 1:, 0, 0] = 5
    assert loss_of(POSITION_LESSON, crop, said) < 1e-6
    said[0, 1:, 5, 4] = 5
    assert loss_of(POSITION_LESSON, crop, said) > 0.1


def test_the_loss_of_a_mask_is_what_iou_lacks_to_1():
    crop = crop_of(MASK_LESSON, touching())
    half = crop["truth"].clone()
    half[:, :, :7] = 0
    assert loss_of(MASK_LESSON, crop, logits(crop["truth"])[None]) == pytest.approx(0, abs=1e-6)
    # 25 of 50 pixels; one is added above and below so that nothing is found in nothing.
    assert loss_of(MASK_LESSON, crop, logits(half)[None]) == pytest.approx(1 - 26 / 51, abs=1e-4)


@pytest.mark.parametrize(
    "lesson, outputs",
    [
        (THREE_CLASS_LESSON, 3),
        (SHRUNK_LESSON, 1),
        (BORDER_LESSON, 2),
        (POSITION_LESSON, 3),
        (MASK_LESSON, 1),
    ],
)
def test_what_lies_beyond_the_border_of_the_image_does_not_count(lesson, outputs):
    inside = np.ones(touching().shape, bool)
    inside[:, 13:] = False
    crop = crop_of(lesson, touching(), inside)
    said = torch.randn(1, outputs, 12, 16, generator=torch.Generator().manual_seed(0))
    before = loss_of(lesson, crop, said)
    said[..., 13:] = 7.0
    assert loss_of(lesson, crop, said) == pytest.approx(before, rel=1e-5)
