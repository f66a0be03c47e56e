"""Images at half their size, and nuclei back on the pixels of the original."""

import numpy as np
import pytest
from drawings import drawn, field

from nucdl_core.config import SegmentConfig
from nucdl_core.results import Segmentation
from nucdl_core.segment import segment, segment_unfiltered
from nucdl_core.steps.binning import enlarged, half_shape, halved, halved_mask


@pytest.mark.parametrize("shape, half", [((8, 6), (4, 3)), ((1, 7), (1, 4)), ((5, 9), (2, 4))])
def test_half_the_size_is_rounded_as_cellprofiler_does(shape, half):
    assert half_shape(shape) == half and halved(np.ones(shape, np.uint8)).shape == half


def test_four_pixels_become_one():
    image = np.kron(np.array([[0, 0, 0], [0, 80, 0], [0, 0, 0]], np.uint8), np.ones((4, 4), np.uint8))
    small = halved(image)
    assert small.dtype == np.float32 and small[2:4, 2:4].min() > 60 and small[0, 0] == 0
    assert halved_mask(image > 0).sum() == 4


def test_nuclei_come_back_twice_as_large():
    labels = drawn("110", "022")
    found = Segmentation(labels, np.array([0.9, 0.8], np.float32), labels / np.float32(2), 1.5)
    large = enlarged(found, (4, 6))
    assert np.array_equal(large.labels, np.kron(labels, np.ones((2, 2), int)))
    assert large.diameter == 3.0 and large.probability.shape == (4, 6) and large.regions.areas.tolist() == [8, 8]


def test_sides_of_odd_length_are_filled():
    labels = drawn("12", "12")
    large = enlarged(Segmentation(labels, np.ones(2, np.float32), None, 1.0), (5, 5))
    assert large.labels.shape == (5, 5) and set(large.labels.ravel()) == {1, 2}


def test_nuclei_are_found_in_the_binned_image_at_their_own_size():
    image, truth = field()
    found = segment(image, SegmentConfig(treatments=("bin2",)))
    assert found.count == truth.max() and found.labels.shape == image.shape
    assert found.diameter == pytest.approx(24, rel=0.15)
    given = segment_unfiltered(image, SegmentConfig(treatments=("bin2",), diameter=24.0))
    assert given.diameter == 24.0 and given.count == truth.max()
    mask = np.zeros(image.shape, bool)
    mask[:, :100] = True
    assert not segment(image, SegmentConfig(treatments=("bin2",)), mask).labels[:, 104:].any()
