import numpy as np
import pytest
from drawings import drawn

from nucdl_core.regions import regions_of
from nucdl_core.results import Found, Segmentation


def segmentation(labels, scores):
    labels = np.array(labels, np.int32)
    return Segmentation(labels, np.array(scores, np.float32), np.zeros(labels.shape, np.float32), 10.0)


def test_an_empty_image_has_no_nuclei():
    assert segmentation([[0, 0]], []).count == 0


def test_scores_must_be_as_many_as_nuclei():
    with pytest.raises(ValueError, match="2 nuclei need as many values"):
        segmentation([[1, 2]], [0.5])


def test_labels_and_probability_must_have_the_same_shape():
    with pytest.raises(ValueError, match="differ in shape"):
        Segmentation(np.zeros((2, 2), np.int32), np.zeros(0, np.float32), np.zeros((2, 3), np.float32), 1.0)


def test_keeping_some_nuclei_renumbers_them_with_their_scores():
    kept = segmentation([[1, 2, 3], [0, 2, 3]], [0.1, 0.2, 0.3]).keep(np.array([True, False, True]))
    assert kept.labels.tolist() == [[1, 0, 2], [0, 0, 2]]
    assert kept.scores.tolist() == pytest.approx([0.1, 0.3])
    assert kept.labels.dtype == np.int32


def test_the_agreement_follows_the_nuclei_that_are_kept():
    labels = np.array([[1, 2]], np.int32)
    both = np.array([0.5, 0.75], np.float32)
    found = Segmentation(labels, both, None, 10.0, agreement=both)
    assert found.keep(np.array([False, True])).agreement.tolist() == [0.75]


def test_regions_are_measured_or_taken_as_they_are_known_and_follow_what_is_kept():
    labels, scores = drawn("1.22", "1.2."), np.ones(2, np.float32)
    measured = Segmentation(labels, scores, None, 10.0)
    known = Segmentation(labels, scores, None, 10.0, measured=regions_of(labels))
    for found in (measured, known):
        assert found.regions.areas.tolist() == [2, 3]
        assert found.median_diameter == pytest.approx(np.sqrt(2.5 * 4 / np.pi), rel=0.01)
        assert found.keep(np.array([False, True])).regions.boxes.tolist() == [[0, 2, 2, 4]]


def found_nuclei():
    labels, several = drawn("1.22", "1.2.", "3..."), np.array([0.1, 0.2, 0.3], np.float32)
    return Found(labels, np.array([2, 3, 1]), np.full(labels.shape, 0.5, np.float32), several, several)


def test_nuclei_that_vanish_when_they_are_redrawn_leave_no_gap_and_values_follow_the_others():
    found = found_nuclei()
    redrawn = found.redrawn(drawn("1.22", "1.22", "...."))
    np.testing.assert_array_equal(redrawn.labels, drawn("1.22", "1.22", "...."))
    assert redrawn.areas.tolist() == [2, 4]
    assert redrawn.scores.tolist() == redrawn.agreement.tolist() == pytest.approx([0.1, 0.2])
    closed = found.redrawn(drawn("..22", "..2.", "3..."))
    np.testing.assert_array_equal(closed.labels, drawn("..11", "..1.", "2..."))
    assert closed.scores.tolist() == pytest.approx([0.2, 0.3])


def test_nuclei_that_are_redrawn_under_other_numbers_keep_their_values():
    redrawn = found_nuclei().redrawn(drawn("2.11", "2.1.", "...."), np.array([2, 1], np.int32))
    assert redrawn.scores.tolist() == pytest.approx([0.2, 0.1])
    assert redrawn.areas.tolist() == [3, 2]


def test_outside_a_mask_there_are_neither_nuclei_nor_probability():
    mask = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    inside = found_nuclei().inside(mask)
    np.testing.assert_array_equal(inside.labels, drawn("1...", "1...", "...."))
    assert inside.probability.tolist() == (0.5 * mask).tolist()


def test_without_scores_of_its_own_a_nucleus_has_its_mean_probability():
    found = found_nuclei()
    probability = found.probability.copy()
    probability[0, 0] = 1.0
    scores = Found(found.labels, found.areas, probability).segmentation(8.0, keep_probability=False).scores
    assert scores.tolist() == pytest.approx([0.75, 0.5, 0.5])
    assert found.segmentation(8.0).scores is found.scores
