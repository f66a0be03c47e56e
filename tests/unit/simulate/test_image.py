"""Whole fields: image and labels."""

from __future__ import annotations

import numpy as np
import pytest
from clean_fields import make, numbers, relative_light
from scipy import ndimage

from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import SMALLEST_AREA, simulate_field, tidy


def test_the_same_seed_gives_the_same_field():
    first, second = (
        simulate_field(FieldConfig(size=(90, 70), coverage=0.4), np.random.default_rng(3)) for _ in range(2)
    )
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.labels, second.labels)
    assert first.diameter == second.diameter


def test_another_seed_gives_another_field():
    assert not np.array_equal(make(seed=1).labels, make(seed=2).labels)


def test_a_field_stays_what_it_was_when_this_test_was_written():
    # so that seeds in papers and bug reports keep their meaning, on every supported version of numpy
    field = simulate_field(FieldConfig(size=(96, 128), diameter=18), np.random.default_rng(20))
    assert (int(field.labels.max()), int((field.labels > 0).sum()), int(field.image.sum())) == (6, 1019, 216992)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (5, 5), (33, 200)])
@pytest.mark.parametrize("count", [None, 0, 3])
def test_any_image_size_is_possible(size, count):
    field = simulate_field(FieldConfig(size=size, count=count, coverage=0.5), np.random.default_rng(1))
    assert field.image.shape == field.labels.shape == size


def test_labels_are_int32_without_gaps_and_in_one_piece():
    config = FieldConfig(size=(200, 200), coverage=0.6, overlap=0.5, cluster_probability=0.9, diameter=20)
    labels = simulate_field(config, np.random.default_rng(0)).labels
    assert labels.dtype == np.int32
    assert np.array_equal(numbers(labels), np.arange(1, labels.max() + 1))
    pieces = [ndimage.label(labels == number, np.ones((3, 3)))[1] for number in numbers(labels)]
    assert pieces == [1] * len(pieces)
    assert np.bincount(labels.ravel())[1:].min() >= SMALLEST_AREA


def test_an_empty_field_has_no_labels_and_no_diameter():
    field = make(count=0)
    assert not field.labels.any()
    assert np.isnan(field.diameter)


def test_the_border_cuts_nuclei_and_keeps_the_rest():
    labels = make(count=None, coverage=0.4).labels
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    assert len(numbers(rim)) > 2


def test_covered_light_is_added_in_part():
    crowded = {"count": 30, "size": (90, 90), "overlap": 0.5, "cluster_probability": 1.0}
    assert relative_light(make(overlap_light=0.0, **crowded)).max() < 1.1
    assert relative_light(make(overlap_light=1.0, **crowded)).max() > 1.8


def test_tidy_keeps_the_largest_piece_and_closes_gaps():
    labels = np.zeros((8, 12), np.int32)
    labels[0:3, 0:3] = 4
    labels[0:2, 6:9] = 4
    labels[5:8, 5:8] = 9
    expected = np.zeros_like(labels)
    expected[0:3, 0:3] = 1
    expected[5:8, 5:8] = 2
    assert np.array_equal(tidy(labels), expected)


def test_tidy_drops_nuclei_of_a_few_pixels():
    labels = np.zeros((6, 6), np.int32)
    labels[0, :4] = 1
    labels[2:4, :3] = 2
    assert np.array_equal(tidy(labels), (labels == 2).astype(np.int32))


def test_tidy_leaves_its_input_alone():
    labels = np.array([[3, 0], [0, 3]], np.int32)
    tidy(labels)
    assert np.array_equal(labels, [[3, 0], [0, 3]])


def test_ten_thousand_nuclei_are_possible():
    field = make(count=10_000, size=(600, 600), diameter=4, diameter_spread=0)
    assert field.labels.max() > 7_000
