"""Annotated images on which formats differ, and the way through a format and back."""

from __future__ import annotations

import numpy as np
import pytest

from nucdl_core.exchange.conversion import ConvertConfig, convert
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, trimmed
from nucdl_core.exchange.sources import ImageSizes
from nucdl_core.files.writing import write_labels


def peculiar_labels():
    """Nuclei of one pixel, with holes, of several pieces, at the border, touching at sides and corners; gaps."""
    labels = np.zeros((24, 30), np.int32)
    labels[0, 0] = 2
    labels[1, 1] = 3
    labels[2:9, 2:9] = 5
    labels[4:7, 4:7] = 0
    labels[5, 5] = 6
    labels[4, 4] = 5
    labels[2, 10] = labels[3, 11] = labels[2, 12] = labels[20, 20] = 9
    labels[23, 3:30] = 40_000
    labels[12:18, 29] = 11
    labels[10:20, 5:15] = 12
    labels[10:20, 15:18] = 13
    labels[12, 8] = labels[13, 9] = labels[14, 8] = 0
    return labels


@pytest.fixture
def peculiar():
    return peculiar_labels()


@pytest.fixture
def there_and_back(tmp_path):
    """Write a label image, convert it into a format and back, and return the result as a pair of files."""

    def go(labels, kind, name="field", **settings):
        first, middle, last = tmp_path / "first", tmp_path / "middle", tmp_path / "last"
        first.mkdir(exist_ok=True)
        write_labels(first / f"{name}_labels.tif", labels)
        sizes = ImageSizes(size=labels.shape)
        (there,) = convert([first / f"{name}_labels.tif"], middle, ConvertConfig(kind, "labels", **settings))
        assert there.error is None
        (back,) = convert([middle], last, ConvertConfig("labels", kind, sizes))
        assert back.error is None
        assert not back.notes
        return first / f"{name}_labels.tif", last / f"{name}_labels.tif"

    return go


@pytest.fixture
def overlapping():
    """A large nucleus with a small one on it, and one that reaches over its side; classes and names."""
    shape = (12, 14)
    masks = [np.zeros(shape, bool) for _ in range(3)]
    masks[0][2:10, 2:10] = True
    masks[1][4:6, 4:6] = True
    masks[2][8:11, 8:13] = True
    words = [("round", ""), ("small one", "the odd one"), ("", "")]
    objects = [AnnotatedObject(number, trimmed(mask), *word) for number, mask, word in zip((1, 4, 7), masks, words)]
    return AnnotatedObjects("field", shape, tuple(objects))


@pytest.fixture
def one_image():
    """Read the only image of a file by a reader."""

    def read(reader, path, options):
        (image,) = reader(path, options)
        return image.load()

    return read
