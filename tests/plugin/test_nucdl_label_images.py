"""CompareNuclei undoes what CellProfiler does to the numbers of a label image that it loads as an image."""

from __future__ import annotations

import numpy as np
import pytest


def as_loaded(labels, dtype=np.uint16, scale=65535):
    """What CellProfiler makes of a label image that it loads as an image."""
    return labels.astype(dtype).astype(np.float32) / float(scale)


@pytest.mark.parametrize(
    "dtype, scale, highest", [(np.uint8, 255, 255), (np.uint16, 65535, 65535), (np.uint16, 4095, 4000)]
)
def test_the_numbers_of_a_label_image_come_back_exactly(cellprofiler, nuclei_grid, dtype, scale, highest):
    from _nucdl_label_images import numbers_of

    count = 250
    numbers = np.concatenate([[0], np.linspace(1, highest, count).astype(int)])
    labels = numbers[nuclei_grid(count)]
    found = numbers_of(as_loaded(labels, dtype, scale), scale)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, labels)


def test_every_16_bit_number_comes_back_exactly(cellprofiler):
    from _nucdl_label_images import WHOLE

    numbers = np.arange(65536)
    assert np.abs(as_loaded(numbers).astype(np.float64) * 65535 - numbers).max() < WHOLE / 2


def test_the_integers_of_convertobjectstoimage_are_taken_as_they_are(cellprofiler, nuclei_grid):
    from _nucdl_label_images import numbers_of

    labels = nuclei_grid(5)
    np.testing.assert_array_equal(numbers_of(labels, None), labels)
