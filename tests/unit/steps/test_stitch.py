import numpy as np
import pytest
from drawings import disks

from nucdl_core.labels import areas, relabel
from nucdl_core.steps.stitch import Mosaic
from nucdl_core.steps.tiling import tiles

CENTRES = [(r, c) for r in range(7, 120, 15) for c in range(7, 200, 15)]


def put_together(truth, side, halo):
    mosaic = Mosaic(truth.shape)
    for tile in tiles(truth.shape, side, halo):
        part = relabel(truth[tile.outer])
        mosaic.add(tile, part, areas(part))
    return mosaic


@pytest.mark.parametrize("side", [16, 33, 64, 500])
def test_no_nucleus_is_cut_doubled_or_lost_at_a_seam(side):
    truth = disks((120, 200), CENTRES, 6)
    mosaic = put_together(truth, side, 14)
    assert mosaic.count == truth.max() == len(np.unique(mosaic.labels)) - 1
    assert np.array_equal(mosaic.labels > 0, truth > 0)
    pairs = np.unique(np.stack([truth[truth > 0], mosaic.labels[truth > 0]]), axis=1)
    assert pairs.shape[1] == truth.max()


def test_a_nucleus_that_two_tiles_see_a_little_differently_is_added_once():
    mosaic = Mosaic((20, 40))
    left, right = tiles((20, 40), 20, 10)
    first, second = np.zeros((20, 30), np.int32), np.zeros((20, 30), np.int32)
    first[5:15, 16:24] = 1
    second[5:15, 7:15] = 1
    assert mosaic.add(left, first, areas(first)).tolist() == [0]
    assert mosaic.add(right, second, areas(second)).tolist() == []
    assert areas(mosaic.labels).tolist() == [80]


def test_the_added_nuclei_are_told_so_that_their_scores_can_follow():
    mosaic = Mosaic((10, 40))
    left, _ = tiles((10, 40), 20, 5)
    labels = np.zeros((10, 25), np.int32)
    labels[2:4, 22:24], labels[2:4, 3:5] = 1, 2
    assert mosaic.add(left, labels, areas(labels)).tolist() == [1]
    assert mosaic.labels[2, 3] == 1
    assert mosaic.labels[2, 22] == 0
