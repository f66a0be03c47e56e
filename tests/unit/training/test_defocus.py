import numpy as np
import pytest
from drawings import disks

from nucdl_core.labels import equivalent_diameters
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field
from nucdl_core.training.defocus import as_annotated, defocus, simulate_annotated
from nucdl_core.training.superpose import Layers
from nucdl_core.training.targets import normalized_distance


class AlwaysBlurs:
    """A generator that blurs each crop by the largest amount."""

    def random(self):
        return 0.0

    def uniform(self, low, high):
        return high


def layers(radius=10):
    labels = disks((64, 64), [(20, 20), (44, 44)], radius)
    light = (labels > 0).astype(np.float32)
    return Layers(light, labels, normalized_distance(labels), light * 2 * radius, np.ones(labels.shape, bool))


def test_blurred_nuclei_are_outlined_where_a_sixth_of_their_light_is_left():
    sharp = layers()
    blurred = defocus(sharp, 30.0, AlwaysBlurs())  # by 0.07 x 30 = 2.1 pixels
    rim = (blurred.labels > 0) & (normalized_distance(blurred.labels) < 0.08)
    assert blurred.image[rim].mean() == pytest.approx(0.17, abs=0.07)
    grown = equivalent_diameters(blurred.labels) - equivalent_diameters(sharp.labels)
    assert grown == pytest.approx(4.2, abs=0.7)


def test_the_stated_size_grows_with_the_outline():
    blurred = defocus(layers(), 30.0, AlwaysBlurs())
    assert blurred.sizes[blurred.labels > 0] == pytest.approx(20 + 4.2)
    assert not blurred.sizes[blurred.labels == 0].any()


def test_a_size_that_is_not_known_stays_unknown():
    sharp = layers()
    unknown = Layers(sharp.image, sharp.labels, sharp.distance, 0 * sharp.sizes, sharp.inside)
    assert not defocus(unknown, 30.0, AlwaysBlurs()).sizes.any()


def test_most_crops_stay_sharp():
    sharp, rng = layers(), np.random.default_rng(0)
    same = [defocus(sharp, 30.0, rng) is sharp for _ in range(100)]
    assert 50 < sum(same) < 80


def test_sharp_nuclei_keep_their_outline():
    labels = layers().labels
    assert as_annotated(labels, 0.0) is labels


def test_nuclei_of_a_defocused_field_are_outlined_wider_than_they_are():
    settings = FieldConfig(size=(96, 96), diameter=16.0, count=4, defocus=2.0)
    true = simulate_field(settings, np.random.default_rng(3))
    annotated = simulate_annotated(settings, np.random.default_rng(3))
    assert np.array_equal(annotated.image, true.image)
    assert np.array_equal(annotated.labels, as_annotated(true.labels, 2.0))
    assert (annotated.labels > 0).sum() > 1.2 * (true.labels > 0).sum()
