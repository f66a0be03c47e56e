import numpy as np
import pytest

from nucdl_core.results import Segmentation
from nucdl_core.steps.scales import combine

LARGE, SMALL = 8, 2


def found(squares, diameter, score=0.9, agreement=None):
    """A segmentation of squares, each given as (row, col, side)."""
    labels = np.zeros((20, 20), np.int32)
    for number, (row, col, side) in enumerate(squares, start=1):
        labels[row : row + side, col : col + side] = number
    scores = np.full(len(squares), score, np.float32)
    agreed = None if agreement is None else np.full(len(squares), agreement, np.float32)
    return Segmentation(labels, scores, (labels > 0) * np.float32(score), diameter, agreed)


def test_large_nuclei_missed_at_the_typical_scale_are_added():
    both = combine(found([(0, 0, 2), (0, 5, 2)], SMALL), found([(10, 10, 8)], LARGE, score=0.7))
    assert both.count == 3
    assert (both.labels > 0).sum() == 2 * 4 + 64
    assert both.scores == pytest.approx([0.9, 0.9, 0.7])
    assert both.diameter == SMALL
    assert both.probability[12, 12] == pytest.approx(0.7)


def test_a_large_nucleus_replaces_its_fragments():
    both = combine(found([(11, 11, 2), (14, 14, 3), (0, 0, 2)], SMALL), found([(10, 10, 8)], LARGE))
    assert both.count == 2
    assert len(np.unique(both.labels[10:18, 10:18])) == 1


def test_what_the_other_scale_found_of_typical_size_does_not_count():
    typical = found([(0, 0, 2)], SMALL)
    assert combine(typical, found([(0, 0, 2), (10, 10, 2)], LARGE)) is typical


def test_small_nuclei_replace_the_cluster_that_the_typical_scale_took_for_one():
    both = combine(found([(0, 0, 8), (12, 12, 4)], LARGE), found([(12, 12, 2), (12, 14, 2), (14, 12, 2)], SMALL))
    assert both.count == 4
    assert both.labels[15, 15] == 0


def test_a_typical_nucleus_partly_covered_keeps_its_pixels():
    typical, large = found([(9, 9, 2)], SMALL), found([(10, 10, 8)], LARGE)
    both = combine(typical, large)
    assert both.count == 2
    assert (both.labels == both.labels[9, 9]).sum() == 4


def test_agreement_follows_the_nuclei():
    both = combine(found([(0, 0, 2)], SMALL, agreement=0.5), found([(10, 10, 8)], LARGE, agreement=1.0))
    assert both.agreement == pytest.approx([0.5, 1.0])


def test_without_a_probability_image_none_is_made():
    typical = found([(0, 0, 2)], SMALL)
    bare = Segmentation(typical.labels, typical.scores, None, SMALL)
    assert combine(bare, found([(10, 10, 8)], LARGE)).probability is None
