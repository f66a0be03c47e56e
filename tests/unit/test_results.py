import numpy as np
import pytest

from nucdl_core.results import Segmentation


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
