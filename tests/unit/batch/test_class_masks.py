"""Classes of nuclei by masks."""

import numpy as np
import pytest
import tifffile

from nucdl_core.batch.class_masks import ClassMasks, classes_below
from nucdl_core.errors import ImageError

LABELS = np.array([[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [0, 3, 3, 0, 0]], np.int32)


@pytest.fixture
def masks(tmp_path):
    mask = np.zeros(LABELS.shape, np.uint8)
    mask[:, :2] = 7
    mask[0, 3] = 9
    tifffile.imwrite(tmp_path / "field.tif", mask)
    tifffile.imwrite(tmp_path / "small.tif", mask[:2])
    return ClassMasks(tmp_path)


def test_a_nucleus_has_the_class_below_most_of_its_pixels(masks):
    """The third nucleus lies half in class 7 and half in none."""
    assert masks.classes_of("field", LABELS).tolist() == [7, 0, 0]


def test_without_nuclei_there_are_no_classes():
    assert classes_below(np.zeros((4, 4), np.int32), np.ones((4, 4), np.int32)).shape == (0,)


@pytest.mark.parametrize("name, problem", [("other", "has no mask for other"), ("small", "both must have one shape")])
def test_a_mask_that_does_not_belong_to_the_image_is_refused(masks, name, problem):
    with pytest.raises(ImageError, match=problem):
        masks.classes_of(name, LABELS)


def test_a_folder_without_masks_is_refused(tmp_path):
    with pytest.raises(ImageError, match="has no label images"):
        ClassMasks(tmp_path)
