import numpy as np
import pytest
import torch
from drawings import disks

from nucdl_core.training.targets import boundary_map, gap_map, normalized_distance


def test_distance_is_1_at_the_centre_and_falls_to_the_rim():
    distance = normalized_distance(disks((31, 31), [(15, 15)], 10))
    assert distance[15, 15] == 1
    assert 0 < distance[15, 6] < 0.2
    assert (np.diff(distance[15, 15:26]) < 0).all()
    assert distance[0, 0] == 0


def test_small_and_large_nuclei_reach_the_same_height():
    distance = normalized_distance(disks((60, 60), [(12, 12), (40, 40)], 8))
    assert distance[12, 12] == distance[40, 40] == 1


def test_touching_nuclei_have_a_rim_between_them():
    labels = np.array([[1] * 5 + [2] * 5] * 7, np.int32)
    distance = normalized_distance(labels)
    assert distance[3, 4] == distance[3, 5] < 0.3


def test_the_image_border_is_no_rim():
    distance = normalized_distance(np.array([[1, 1, 1, 1, 0]] * 4, np.int32))
    assert distance[:, 0].tolist() == [1, 1, 1, 1]


def test_an_empty_field_has_no_distance():
    assert not normalized_distance(np.zeros((5, 5), np.int32)).any()


def as_tensor(rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_the_boundary_lies_on_both_sides_of_the_outline():
    row = as_tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0]] * 3)
    assert boundary_map(row)[1].int().tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0]


def test_the_gap_lies_between_neighbours_only():
    row = as_tensor([[0] * 4 + [1] * 9 + [0] * 2 + [2] * 9 + [0] * 4])
    gap = gap_map(row)[0].int().tolist()
    assert gap[13:15] == [1, 1]
    assert gap[:8] == [0] * 8
    assert sum(gap) == 6 - 2


@pytest.mark.parametrize("draw", [boundary_map, gap_map])
def test_an_empty_field_has_neither_boundary_nor_gap(draw):
    assert not draw(torch.zeros(6, 6)).any()


def test_a_part_wholly_inside_a_nucleus_has_no_rim():
    assert (normalized_distance(np.ones((5, 7), np.int32)) == 1).all()
