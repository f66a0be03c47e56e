"""Images for given nuclei."""

import numpy as np
import pytest
from drawings import disks, field

from nucdl_core.adaptation.painting import (
    GreyRange,
    SimulatedPainter,
    learn_to_naturalize,
    learn_to_paint,
    maps_of,
)
from nucdl_core.adaptation.pairs import field_size, new_pairs
from nucdl_core.adaptation.translation import TranslationConfig
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.synthesis.appearance import appearance_of
from nucdl_core.synthesis.nucleus_shapes import bundled_shapes

INSTANT = TranslationConfig(epochs=1, width=4)


def test_grey_values_go_to_a_range_and_back():
    image = np.linspace(100, 900, 1000).reshape(20, 50)
    greys = GreyRange.of([image])
    there = greys.inwards(image)
    assert (there.min(), there.max()) == (-1, 1)
    assert np.abs(greys.outwards(there) - image).max() < 2


def test_a_flat_image_has_a_range_all_the_same():
    assert np.isfinite(GreyRange.of([np.full((5, 5), 7)]).inwards(np.full((5, 5), 7))).all()


def test_a_pix2pix_is_told_how_deep_pixels_lie_and_where_outlines_are():
    maps = maps_of(disks((30, 30), [(15, 15)], 8))
    assert maps.shape == (2, 30, 30) and maps.dtype == np.float32
    assert maps[0, 15, 15] == 1 and maps[0, 0, 0] == -1
    assert maps[1, 15, 7] == 1 and maps[1, 15, 15] == -1


def test_the_simulator_paints_nuclei_where_they_are_wanted():
    labels = disks((80, 80), [(20, 20), (60, 50)], 10)
    image = SimulatedPainter(FieldConfig()).paint(labels, np.random.default_rng(0))
    assert image[labels > 0].mean() > 3 * image[labels == 0].mean()


def test_a_pix2pix_paints_in_the_grey_values_of_its_images(tmp_path):
    image, truth = field()
    painter = learn_to_paint([(image, truth)], INSTANT, tmp_path, "cpu")
    made = painter.paint(truth, np.random.default_rng(0))
    assert made.shape == truth.shape
    assert image.min() - 1 <= made.min() and made.max() <= image.max() + 1


def test_artificial_images_are_made_natural_in_the_same_grey_values(tmp_path):
    image, truth = field()
    made = learn_to_naturalize([(image, truth)], INSTANT, tmp_path, "cpu").naturalize(image, np.random.default_rng(0))
    assert made.shape == image.shape and image.min() - 1 <= made.min() <= made.max() <= image.max() + 1


@pytest.fixture
def pairs():
    config = FieldConfig(size=(120, 120), diameter=18, coverage=0.25)
    return list(new_pairs(config, bundled_shapes(), SimulatedPainter(config), 4, seed=3))


def test_new_pairs_hold_nuclei_where_the_image_is_bright(pairs):
    assert len(pairs) == 4
    for pair in pairs:
        assert pair.image.shape == pair.labels.shape == (120, 120)
        assert pair.image[pair.labels > 0].mean() > 1.5 * pair.image[pair.labels == 0].mean()


def test_every_other_pair_has_simulated_shapes(pairs):
    from nucdl_core.synthesis.masks import masks_of_shapes, simulated_masks

    config = FieldConfig(size=(120, 120), diameter=18, coverage=0.25)
    first, second = (np.random.default_rng([3, number]) for number in range(2))
    assert np.array_equal(pairs[0].labels, masks_of_shapes(config, bundled_shapes(), first))
    assert np.array_equal(pairs[1].labels, simulated_masks(config, second))


def test_fields_are_as_large_as_their_nuclei_need():
    labels = disks((200, 200), [(r, c) for r in (50, 100, 150) for c in (50, 100, 150)], 15)
    height, width = field_size(appearance_of((labels > 0) * 1.0, labels))
    assert height == width == pytest.approx(330, abs=8)
