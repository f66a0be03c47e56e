"""What published networks say, as maps."""

import numpy as np
import pytest
import torch

from nucdl_core.model.networks import meanings
from nucdl_core.steps.instances import Decision, Maps, find_instances

FAR = 20.0


def maps_of(said, meaning):
    return Maps(*meaning(torch.as_tensor(said, dtype=torch.float32)[None])[0].numpy())


def two_squares():
    """Two nuclei of 6 x 6 that touch, and the pixels of their own outline."""
    labels = np.zeros((10, 16), np.int32)
    labels[2:8, 2:8], labels[2:8, 8:14] = 1, 2
    inner = np.zeros(labels.shape, bool)
    inner[3:7, 3:7] = inner[3:7, 9:13] = True
    return labels, inner


def logits(mask):
    return np.where(mask, FAR, -FAR)


def test_three_classes_are_background_or_not_and_the_boundary():
    labels, inner = two_squares()
    said = np.stack([logits(labels == 0), logits(inner), logits((labels > 0) & ~inner)])
    maps = maps_of(said, meanings.three_classes)
    assert np.array_equal(maps.foreground > 0.5, labels > 0)
    assert np.array_equal(maps.boundary > 0.5, (labels > 0) & ~inner)
    found = find_instances(maps, Decision("three_class", seed=0.5, smallest=0.1), 6.0)
    assert np.array_equal(found > 0, labels > 0)
    assert found.max() == 2


def test_the_weight_of_the_boundary_in_training_does_not_widen_nuclei():
    # Half as probable as the background, a boundary that weighs ten times as much is said with odds of five to one.
    said = np.log(np.array([1, 1e-6, 5], np.float32))[:, None, None] * np.ones((1, 4, 4), np.float32)
    maps = maps_of(said, meanings.three_classes)
    assert np.allclose(maps.foreground, 1 / 3, atol=1e-3)
    assert np.allclose(maps.boundary, 5 / 6, atol=1e-3)


def test_shrunk_nuclei_grow_back_and_are_told_apart():
    labels, inner = two_squares()
    maps = maps_of(logits(inner)[None], meanings.shrunk_nuclei)
    found = find_instances(maps, Decision("distance", seed=0.5, smallest=0.1), 6.0)
    assert np.array_equal(found, labels)


def test_distance_and_border_part_what_touches_at_the_border():
    labels, inner = two_squares()
    said = np.stack([np.where(labels > 0, -2.0, -FAR), logits((labels > 0) & ~inner)])
    said[0][4:6, 4:6] = said[0][4:6, 10:12] = FAR
    maps = maps_of(said, meanings.distance_and_border)
    found = find_instances(maps, Decision("border", foreground=0.2, seed=0.6, smallest=0.1, score=0.0), 6.0)
    assert np.array_equal(found > 0, labels > 0)
    assert found.max() == 2
    assert (found[4:6, 2:8] == found[4, 4]).all() and (found[4:6, 8:14] == found[4, 10]).all()


def test_what_is_near_the_middle_of_its_nucleus_is_far_from_the_rim():
    labels, _ = two_squares()
    along = (2 * np.arange(6) + 1) / 6 - 1
    down = np.zeros(labels.shape)
    right = np.zeros(labels.shape)
    for first in (2, 8):
        down[2:8, first : first + 6], right[2:8, first : first + 6] = along[:, None], along
    maps = maps_of(np.stack([logits(labels > 0), down, right]), meanings.positions)
    assert maps.distance[4, 4] > 0.7 and maps.distance[2, 2] == 0 and maps.distance[0, 0] < 1e-6
    assert np.array_equal(find_instances(maps, Decision("distance", seed=0.5, smallest=0.1), 6.0), labels)


def test_a_mask_is_the_foreground_and_nothing_else():
    maps = maps_of(np.full((1, 4, 4), FAR), meanings.mask)
    assert maps.foreground.min() > 0.99
    assert not (maps.boundary.any() or maps.distance.any() or maps.size.any())


@pytest.mark.parametrize(
    "outputs, meaning",
    [
        (3, meanings.three_classes),
        (1, meanings.shrunk_nuclei),
        (2, meanings.distance_and_border),
        (3, meanings.positions),
        (1, meanings.mask),
    ],
)
def test_maps_lie_between_0_and_1_whatever_was_said(outputs, meaning):
    said = 50 * torch.randn(2, outputs, 8, 8, generator=torch.Generator().manual_seed(0))
    maps = meaning(said)
    assert maps.shape == (2, 4, 8, 8)
    assert 0 <= maps[:, :3].min() <= maps[:, :3].max() <= 1
    assert not maps[:, 3].any()
