from dataclasses import replace

import numpy as np
import pytest
from drawings import disks

from nucdl_core.synthesis.covering import SMALLEST_VISIBLE_SHARE
from nucdl_core.training.superpose import Layers, superpose
from nucdl_core.training.targets import normalized_distance


class EveryNucleus:
    """A generator that chooses all nuclei and lays them opaquely, with their own brightness."""

    def random(self, size=None):
        return 0.0 if size is None else np.zeros(size)

    def uniform(self, low, high):
        return high

    def normal(self, mean, deviation):
        return mean


def layers(centres, radius=8, shape=(48, 64)):
    labels = disks(shape, centres, radius)
    inside = (labels > 0).astype(np.float32)
    everywhere = np.ones(shape, bool)
    return Layers(inside * 0.5, labels, normalized_distance(labels), inside * 2 * radius, everywhere)


def test_laid_nuclei_keep_their_shape_and_replace_what_they_cover():
    below, above = layers([(20, 20)]), layers([(20, 30)])
    both = superpose(below, above, 16.0, EveryNucleus())
    assert sorted(np.unique(both.labels)) == [0, 1, 2]
    assert np.array_equal(both.labels == 2, above.labels == 1)
    assert np.array_equal(both.labels == 1, (below.labels == 1) & (above.labels == 0))


def test_a_nucleus_that_is_nearly_covered_is_not_to_be_found():
    both = superpose(layers([(20, 20)]), layers([(20, 22)]), 16.0, EveryNucleus())
    assert np.array_equal(both.labels > 0, layers([(20, 22)]).labels > 0)


def test_the_rim_between_two_overlapping_nuclei_has_no_distance():
    both = superpose(layers([(20, 20)]), layers([(20, 30)]), 16.0, EveryNucleus())
    assert np.array_equal(both.distance, normalized_distance(both.labels))


def test_mirrored_nuclei_are_not_laid_over_others():
    below, above = layers([(20, 20)]), layers([(20, 44)])
    beyond = replace(above, inside=np.zeros(above.labels.shape, bool))
    assert np.array_equal(superpose(below, beyond, 16.0, EveryNucleus()).labels, below.labels)


@pytest.mark.parametrize("seed", range(6))
def test_superposed_crops_stay_consistent(seed):
    rng = np.random.default_rng(seed)
    below, above = layers([(20, 20), (20, 44)]), layers([(25, 30), (40, 10)])
    both = superpose(below, above, 16.0, rng)
    assert both.labels.dtype == np.int32
    assert both.image.dtype == both.distance.dtype == both.sizes.dtype == np.float32
    assert np.array_equal(both.sizes > 0, both.labels > 0)
    assert np.array_equal(both.distance > 0, both.labels > 0)
    kept = np.bincount(both.labels[both.labels > 0])
    assert (kept[kept > 0] >= SMALLEST_VISIBLE_SHARE * 0.9 * np.bincount(below.labels.ravel())[1]).all()
