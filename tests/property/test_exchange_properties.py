"""What holds for the annotations of every image."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from nucdl_core.exchange.formats import FORMATS, WriteOptions
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, label_image, layers, objects_of, trimmed
from nucdl_core.exchange.polygons import as_ring, fill, polygons_of
from nucdl_core.exchange.sources import ImageSizes, ReadOptions

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=10)
LABELS = arrays(np.int32, SHAPES, elements=st.sampled_from([0, 0, 1, 2, 5, 300, 70_000]))
MASKS = arrays(np.bool_, st.just((7, 8)))
EXACT = ("labels", "rois", "coco", "geojson", "stack", "outlines")
# Eighths of pixels: a centre lies on a line, or clearly beside it.
POINTS = st.tuples(*[st.integers(-24, 88).map(lambda eighths: eighths / 8)] * 2)
HALF = Fraction(1, 2)


def area_of(ring):
    x, y = ring.T
    return (np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@given(MASKS)
def test_outlines_of_a_mask_fill_the_mask_and_have_its_area(mask):
    placed = trimmed(mask)
    if not placed.mask.size:
        return
    rings = [ring for polygon in polygons_of(placed) for ring in (polygon.shell, *polygon.holes)]
    filled = fill(rings, mask.shape)
    assert np.array_equal(filled.placed.mask, placed.mask)
    assert filled.placed[1:] == placed[1:]
    assert not filled.crossing
    assert not filled.outside
    assert sum(area_of(ring) for ring in rings) == mask.sum()


@given(st.lists(POINTS, min_size=3, max_size=7))
@example([(0.0, 0.0), (-1.375, 0.0), (5.5, 5.5)])
def test_filling_is_the_even_odd_rule_at_the_centres_of_pixels(points):
    ring = as_ring(points, "x")
    filled = fill([ring], (8, 9))
    image = np.zeros((8, 9), bool)
    mask, row, col = filled.placed
    # Fractions, so that rounding does not decide for centres on a line.
    corners = [(Fraction(x), Fraction(y)) for x, y in ring.tolist()]
    image[row : row + mask.shape[0], col : col + mask.shape[1]] = mask
    for (row, col), inside in np.ndenumerate(image):
        x, y, crossings = col + HALF, row + HALF, 0
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1]):
            if min(y1, y2) <= y < max(y1, y2):
                crossings += x1 + (y - y1) / (y2 - y1) * (x2 - x1) < x
        assert inside == (crossings % 2 == 1)


@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=30, deadline=None)
@given(labels=LABELS)
def test_every_label_image_comes_back(kind, labels):
    with tempfile.TemporaryDirectory() as folder:
        writer = FORMATS[kind].write(Path(folder), WriteOptions())
        writer.add(objects_of("field", labels))
        writer.finish()
        (path,) = Path(folder).iterdir()
        (image,) = FORMATS[kind].read(path, ReadOptions(ImageSizes(size=labels.shape)))
        made = label_image(image.load())
    assert np.array_equal(made.labels, labels)
    assert made.shared == 0


@given(st.lists(MASKS.filter(np.any), min_size=1, max_size=5))
def test_layers_lose_nothing_and_a_label_image_counts_what_it_loses(masks):
    objects = tuple(AnnotatedObject(number, trimmed(mask)) for number, mask in enumerate(masks, start=1))
    annotated = AnnotatedObjects("x", (7, 8), objects)
    found = layers(annotated)
    for number, mask in enumerate(masks, start=1):
        assert sum(np.array_equal(layer == number, mask) for layer in found) == 1
    made = label_image(annotated)
    assert made.shared == (np.sum(masks, axis=0) > 1).sum()
    assert np.array_equal(made.labels > 0, np.any(masks, axis=0))
    assert set(made.hidden) == set(range(1, len(masks) + 1)) - set(np.unique(made.labels))
