"""What holds for every label image."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from nucdl_core import labels as lb

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
LABELS = arrays(np.int32, SHAPES, elements=st.integers(0, 6))


@given(arrays(np.int64, SHAPES, elements=st.integers(0, 2**40)))
def test_relabelling_keeps_the_nuclei_and_their_order(array):
    labels = lb.relabel(array)
    numbers = np.unique(array[array > 0])
    assert labels.max(initial=0) == len(numbers)
    assert np.array_equal(np.append(0, numbers)[labels], array)


@given(LABELS)
def test_relabelling_twice_changes_nothing(array):
    once = lb.relabel(array)
    assert np.array_equal(lb.relabel(once), once)


@given(LABELS)
def test_areas_add_up_to_the_foreground(array):
    assert lb.areas(array).sum() == np.count_nonzero(array)


@given(LABELS)
def test_outlines_separate_the_insides_of_nuclei(array):
    inside = np.where(lb.outlines(array), 0, array)
    for number in np.unique(inside[inside > 0]):
        beside = ndimage.binary_dilation(inside == number) & (inside != number)
        assert set(np.unique(array[beside])) <= {number}


@given(LABELS)
def test_the_largest_piece_is_connected_and_none_is_larger(array):
    kept = lb.largest_component(array)
    assert np.array_equal(np.unique(kept[kept > 0]), np.unique(array[array > 0]))
    for number in np.unique(array[array > 0]):
        pieces, count = ndimage.label(array == number, np.ones((3, 3)))
        largest = max(np.count_nonzero(pieces == piece) for piece in range(1, count + 1))
        assert ndimage.label(kept == number, np.ones((3, 3)))[1] == 1
        assert np.count_nonzero(kept == number) == largest
    assert np.array_equal(kept[kept > 0], array[kept > 0])


@given(LABELS, st.integers(1, 4), st.integers(1, 4))
def test_enlarging_by_whole_factors_can_be_undone(array, down, across):
    large = lb.resize_nearest(array, (array.shape[0] * down, array.shape[1] * across))
    assert np.array_equal(large, np.repeat(np.repeat(array, down, 0), across, 1))
    assert np.array_equal(lb.resize_nearest(large, array.shape), array)


@given(LABELS)
def test_touching_the_border_is_having_a_pixel_on_it(array):
    inner = np.zeros(array.shape, bool)
    inner[1:-1, 1:-1] = True
    expected = [bool((~inner & (array == number)).any()) for number in range(1, array.max() + 1)]
    assert lb.touches_border(array).tolist() == expected
