import numpy as np
import pytest
from drawings import disks, ideal_maps

from nucdl_core.errors import ConfigError
from nucdl_core.labels import drop, mean_inside, relabel
from nucdl_core.steps.instances import DECODERS, Decision, find_instances, find_seeds, flood, grow, transfer
from nucdl_core.training.targets import normalized_distance

CANONICAL = 20.0


def test_islands_that_are_too_small_are_no_seeds_and_leave_no_gap():
    sure = np.array([[1, 1, 0, 1, 0, 1], [1, 1, 0, 0, 0, 1]], bool)
    assert find_seeds(sure, 2.0).tolist() == [[1, 1, 0, 0, 0, 2], [1, 1, 0, 0, 0, 2]]
    assert not find_seeds(np.zeros((2, 3), bool), 2.0).any()


@pytest.mark.parametrize("decoder", [decoder for decoder in DECODERS if decoder != "foreground"])
def test_two_touching_disks_are_parted_where_they_touch(decoder):
    truth = disks((40, 60), [(20, 18), (20, 38)], 10)
    found = find_instances(ideal_maps(truth), Decision(decoder), CANONICAL)
    assert found.max() == 2
    assert (found != truth).sum() <= 0.01 * (truth > 0).sum()


@pytest.mark.parametrize("decoder", DECODERS)
def test_an_empty_map_gives_no_nuclei(decoder):
    found = find_instances(ideal_maps(np.zeros((8, 9), np.int32)), Decision(decoder), CANONICAL)
    assert found.shape == (8, 9)
    assert found.max() == 0


def test_debris_and_unsure_nuclei_are_dropped():
    truth = disks((40, 80), [(20, 20), (20, 40), (20, 60)], 8)
    truth[2:4, 2:4] = 4
    maps = ideal_maps(truth)
    maps.foreground[truth == 2] = 0.55
    found = find_instances(maps, Decision(foreground=0.5, score=0.6), CANONICAL)
    assert sorted(np.unique(truth[found > 0])) == [1, 3]


def test_a_component_without_a_seed_becomes_one_nucleus():
    mask = np.array([[1, 1, 0, 1, 1]], bool)
    seeds = np.array([[1, 0, 0, 0, 0]], np.int32)
    assert grow(seeds, mask.astype(np.float32), mask).tolist() == [[1, 1, 0, 2, 2]]


def test_seeds_of_one_component_part_along_the_valley():
    landscape = np.array([[9, 8, 7, 2, 7, 8, 9]], np.float32)
    seeds = np.array([[1, 0, 0, 0, 0, 0, 2]], np.int32)
    grown = grow(seeds, landscape, np.ones((1, 7), bool))
    assert grown[0, :3].tolist() == [1, 1, 1]
    assert grown[0, 4:].tolist() == [2, 2, 2]


def test_every_pixel_of_the_mask_belongs_to_a_nucleus():
    rng = np.random.default_rng(0)
    mask = rng.random((50, 50)) < 0.6
    seeds = relabel(np.where(mask & (rng.random((50, 50)) < 0.05), np.arange(1, 2501).reshape(50, 50), 0))
    grown = grow(seeds, rng.random((50, 50)).astype(np.float32), mask)
    assert ((grown > 0) == mask).all()
    assert set(np.unique(grown)) == set(range(grown.max() + 1))


def test_flooding_agrees_with_the_watershed_of_scikit_image():
    from skimage.segmentation import watershed

    truth = disks((120, 160), [(r, c) for r in range(15, 115, 17) for c in range(15, 150, 17)], 9)
    landscape = normalized_distance(truth)
    mask, seeds = truth > 0, np.where(landscape > 0.6, truth, 0).astype(np.int32)
    expected = watershed(-landscape, seeds, mask=mask)
    found = flood(seeds, landscape, mask)
    assert ((found > 0) == mask).all()
    assert (found != expected).sum() < 0.01 * mask.sum()


def test_the_end_of_a_row_is_no_neighbour_of_the_beginning_of_the_next():
    mask = np.array([[0, 0, 1], [1, 0, 0]], bool)
    seeds = np.array([[0, 0, 1], [0, 0, 0]], np.int32)
    assert flood(seeds, mask.astype(np.float32), mask).tolist() == [[0, 0, 1], [0, 0, 0]]


def test_seeds_outside_the_mask_do_not_count():
    mask = np.array([[0, 1, 1]], bool)
    assert flood(np.array([[5, 0, 2]], np.int32), mask.astype(np.float32), mask).tolist() == [[0, 2, 2]]


def test_what_no_seed_reaches_stays_dry():
    mask = np.array([[1, 1, 0, 1]], bool)
    assert flood(np.array([[1, 0, 0, 0]], np.int32), mask.astype(np.float32), mask).tolist() == [[1, 1, 0, 0]]


def test_mean_inside_averages_over_each_nucleus():
    labels = np.array([[1, 1, 2, 0]], np.int32)
    values = np.array([[0.2, 0.4, 0.9, 0.7]], np.float32)
    assert mean_inside(values, labels).tolist() == pytest.approx([0.3, 0.9])


def test_dropping_renumbers_the_others():
    assert drop(np.array([[1, 2, 3, 0]], np.int32), np.array([False, True, False])).tolist() == [[1, 0, 2, 0]]


def test_enlarged_outlines_follow_the_probability():
    small = disks((20, 20), [(9.5, 9.5)], 6)
    large = disks((80, 80), [(39.5, 39.5)], 25)
    moved = transfer(small, (large > 0).astype(np.float32), 0.5, 0.25)
    assert (moved == large).all()


def test_a_pixel_beside_a_nucleus_of_the_other_scale_joins_the_neighbour_with_the_highest_number():
    small = np.array([[1, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0]], np.int32)
    brought = transfer(
        small, np.array([[0.9, 0.9, 0.9, 0.9], [0.9, 0.1, 0.9, 0.9], [0.9, 0.9, 0.9, 0.9]], np.float32), 0.5, 1.0
    )
    assert brought.tolist() == [[1, 1, 2, 2], [1, 0, 2, 2], [0, 0, 0, 0]]


@pytest.mark.parametrize("values", [{"decoder": "magic"}, {"seed": 1.0}, {"foreground": -0.1}])
def test_a_decision_out_of_range_is_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        Decision(**values)
