import numpy as np
import pytest
from drawings import disks

from nucdl_core.config import VIEWS
from nucdl_core.steps.views import VIEW_SETS, agreement, apply_view, matching_nuclei, undo_view, vote


def labels_of(*boxes, shape=(12, 30)):
    labels = np.zeros(shape, np.int32)
    for number, (rows, cols) in enumerate(boxes, start=1):
        labels[rows, cols] = number
    return labels


A, B = (slice(2, 8), slice(2, 8)), (slice(2, 8), slice(15, 21))
A_WIDER = (slice(2, 8), slice(2, 9))


def test_the_configuration_knows_the_sets_of_views():
    assert tuple(VIEW_SETS) == VIEWS
    assert [len(set(views)) for views in VIEW_SETS.values()] == [1, 4, 8]


@pytest.mark.parametrize("view", VIEW_SETS["all"])
def test_a_view_can_be_undone(view):
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert np.array_equal(undo_view(apply_view(array, view), view), array)


def test_the_eight_views_are_all_different():
    array = np.arange(9).reshape(3, 3)
    assert len({apply_view(array, view).tobytes() for view in VIEW_SETS["all"]}) == 8


def test_a_nucleus_that_the_majority_sees_stays_and_one_of_a_minority_goes():
    result = vote([labels_of(A, B), labels_of(A), labels_of(A)])
    assert np.array_equal(result.labels > 0, labels_of(A) > 0)


def test_a_nucleus_that_the_first_view_misses_is_found_by_the_others():
    result = vote([labels_of(A), labels_of(B, A), labels_of(B, A)])
    assert result.labels.max() == 2
    assert np.array_equal(result.labels > 0, labels_of(A, B) > 0)


def test_half_of_the_views_are_no_majority():
    assert vote([labels_of(A, B), labels_of(A)]).labels.max() == 1


def test_the_final_mask_is_what_the_majority_of_the_matched_masks_holds():
    result = vote([labels_of(A_WIDER), labels_of(A), labels_of(A)])
    assert np.array_equal(result.labels, labels_of(A))
    result = vote([labels_of(A), labels_of(A_WIDER), labels_of(A_WIDER)])
    assert np.array_equal(result.labels, labels_of(A_WIDER))


def test_no_nucleus_in_any_view_gives_none():
    result = vote([labels_of(), labels_of(), labels_of()])
    assert result.labels.max() == 0
    assert result.agreement.shape == (0,)


def test_views_of_many_nuclei_vote_on_each():
    truth = disks((120, 200), [(r, c) for r in range(7, 120, 15) for c in range(7, 200, 15)], 6)
    views = [np.where(truth % 7 == miss, 0, truth).astype(np.int32) for miss in (1, 2, 3)]
    views = [np.unique(view, return_inverse=True)[1].reshape(view.shape).astype(np.int32) for view in views]
    result = vote(views)
    assert np.array_equal(result.labels > 0, truth > 0)
    assert result.labels.max() == truth.max()


def test_matches_name_the_same_nucleus_in_another_image():
    assert matching_nuclei(labels_of(A, B), labels_of(B, A_WIDER)).tolist() == [0, 2, 1]
    assert matching_nuclei(labels_of(A, B), labels_of(B)).tolist() == [0, 0, 1]


def test_full_agreement_is_one_and_a_view_without_the_nucleus_lowers_it():
    assert agreement(labels_of(A), [labels_of(A), labels_of(A)]).tolist() == [1.0]
    # Of three pairs of views only one holds the nucleus twice.
    lonely = agreement(labels_of(A), [labels_of(A), labels_of(A), labels_of()])
    assert lonely.tolist() == pytest.approx([1 / 3])
    # 36 of 42 pixels are shared.
    assert agreement(labels_of(A), [labels_of(A), labels_of(A_WIDER)]).tolist() == pytest.approx([36 / 42])


def test_one_view_agrees_with_itself():
    assert agreement(labels_of(A, B), [labels_of(A, B)]).tolist() == [1.0, 1.0]
