"""Shapes of real nuclei, and label images made of them."""

import numpy as np
import pytest
from drawings import disks

from nucdl_core.ellipses import ellipses_of
from nucdl_core.labels import areas
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.synthesis.masks import masks_of_shapes, simulated_masks
from nucdl_core.synthesis.nucleus_shapes import (
    SHAPE_DIAMETER,
    SHAPE_SIDE,
    bundled_shapes,
    collect_shapes,
    drawn,
    packed,
    shapes_from,
)


def bars():
    """A bar of 40 x 20 px that stands, one of 20 x 20, one that the border cuts, and one that is too small."""
    labels = np.zeros((90, 120), np.int32)
    labels[10:50, 10:30] = 1
    labels[20:40, 50:70] = 2
    labels[0:30, 80:100] = 3
    labels[60:68, 60:68] = 4
    return labels


def test_shapes_are_collected_from_large_whole_nuclei_alone():
    assert len(collect_shapes(bars())) == 2


def test_all_shapes_have_one_area_and_lie_along_the_columns():
    tall, square = collect_shapes(bars())
    assert tall.shape == square.shape == (SHAPE_SIDE, SHAPE_SIDE)
    for shape in (tall, square):
        assert shape.sum() == pytest.approx(np.pi / 4 * SHAPE_DIAMETER**2, rel=0.06)
    assert np.ptp(np.nonzero(tall)[1]) > 1.5 * np.ptp(np.nonzero(tall)[0])


def test_what_looks_like_two_nuclei_is_no_shape():
    labels = (disks((80, 120), [(40, 40), (40, 71)], 16) > 0).astype(np.int32)
    labels[38:42, 40:71] = 1
    assert collect_shapes(labels) == []


@pytest.mark.parametrize("turn", [0.0, 0.8, -0.6])
def test_a_shape_is_drawn_at_any_size_and_angle(turn):
    tall = collect_shapes(bars())[0]
    inside = drawn(tall, 0.5, -turn, 2 * SHAPE_SIDE)
    ellipse = ellipses_of(inside.astype(np.int32))
    assert inside.sum() == pytest.approx(4 * tall.sum(), rel=0.05)
    assert np.sin(ellipse.angle[0] - turn) == pytest.approx(0, abs=0.05)


def test_the_shape_that_is_chosen_has_the_elongation_that_is_wanted():
    shapes = bundled_shapes()
    for wanted in (1.1, 1.5, 2.0):
        chosen = shapes.choose(wanted, np.random.default_rng(0))
        assert ellipses_of(chosen.astype(np.int32)).elongation[0] == pytest.approx(wanted, rel=0.1)


def test_a_thousand_shapes_come_with_the_product_each_in_one_piece():
    shapes = bundled_shapes()
    assert len(shapes) == 1000
    assert packed(shapes).shape == (1000, SHAPE_SIDE * SHAPE_SIDE // 8)
    assert np.percentile(shapes.elongation, 5) < 1.15 and np.percentile(shapes.elongation, 95) > 1.7


def test_packed_shapes_are_unpacked_the_same():
    shapes = shapes_from(collect_shapes(bars()))
    bits = np.unpackbits(packed(shapes), axis=1).reshape(-1, SHAPE_SIDE, SHAPE_SIDE).astype(bool)
    assert np.array_equal(bits, shapes.masks)


@pytest.mark.parametrize("diameter", [10.0, 30.0])
def test_masks_of_shapes_have_the_size_and_density_of_the_settings(diameter):
    config = FieldConfig(size=(300, 320), diameter=diameter, coverage=0.2, diameter_spread=0.1, micronucleus_share=0)
    masks = [masks_of_shapes(config, bundled_shapes(), np.random.default_rng(seed)) for seed in range(3)]
    sizes = np.concatenate([areas(labels) for labels in masks])
    assert 2 * np.sqrt(np.median(sizes) / np.pi) == pytest.approx(diameter, rel=0.1)
    assert np.mean([(labels > 0).mean() for labels in masks]) == pytest.approx(0.2, abs=0.06)
    for labels in masks:
        assert labels.shape == (300, 320) and set(np.unique(labels)) == set(range(labels.max() + 1))


def test_simulated_masks_are_numbered_without_gaps():
    labels = simulated_masks(FieldConfig(size=(100, 100), diameter=15, coverage=0.3), np.random.default_rng(0))
    assert labels.max() > 3 and set(np.unique(labels)) == set(range(labels.max() + 1))


def test_a_field_without_nuclei_has_empty_masks():
    assert not masks_of_shapes(FieldConfig(size=(50, 50), count=0), bundled_shapes(), np.random.default_rng(0)).any()
