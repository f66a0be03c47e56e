import numpy as np
import pytest
from drawings import drawn, random_labels

from nucdl_core import labels as lb
from nucdl_core import large
from nucdl_core.regions import median_of_nuclei, regions_of, touches_edge, weighted_median


def test_regions_have_areas_and_boxes_and_zeros_for_a_gap():
    labels = drawn("11..", "1.33", "...3")
    found = regions_of(labels)
    assert found.areas.tolist() == [3, 0, 3]
    assert found.boxes.tolist() == [[0, 0, 2, 2], [0, 0, 0, 0], [1, 2, 3, 4]]
    assert found.count == 3
    kept = found.keep(np.array([False, False, True]))
    assert (kept.areas.tolist(), kept.boxes.tolist()) == ([3], [[1, 2, 3, 4]])


@pytest.mark.parametrize("pixels", [1, 12, 40, 10_000])
def test_boxes_of_an_image_in_strips_are_those_of_the_whole(monkeypatch, pixels):
    labels = random_labels(np.random.default_rng(2), (40, 30), 15)
    monkeypatch.setattr(large, "STRIP_PIXELS", pixels)
    for number, (top, left, bottom, right) in enumerate(regions_of(labels).boxes, start=1):
        rows, cols = np.nonzero(labels == number)
        expected = (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1) if len(rows) else (0, 0, 0, 0)
        assert (top, left, bottom, right) == expected


def test_the_edge_of_the_image_is_told_by_the_boxes_as_by_the_pixels():
    labels = lb.relabel(random_labels(np.random.default_rng(3), (40, 50), 25))
    touching = touches_edge(regions_of(labels), labels.shape)
    assert touching.tolist() == lb.touches_border(labels).tolist()
    assert touching.any() and not touching.all()


def test_the_weighted_median_follows_the_weights():
    values = np.array([1, 2, 3], np.float32)
    assert weighted_median(values, np.array([1, 1, 1], np.float32)) == 2
    assert weighted_median(values, np.array([1, 1, 9], np.float32)) == 3


def test_micronuclei_have_no_part_in_the_typical_diameter():
    assert median_of_nuclei(np.array([7.0] * 80 + [34.0] * 63)) == 34
    assert median_of_nuclei(np.array([12.0, 14.0, 30.0, 34.0])) == 22


def test_one_clump_does_not_make_micronuclei_of_all_nuclei():
    assert median_of_nuclei(np.array([16.0, 16.0, 16.0, 100.0])) == 16


def test_without_nuclei_there_is_no_typical_diameter():
    assert np.isnan(median_of_nuclei(np.zeros(0)))
