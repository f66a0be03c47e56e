"""Kinds of errors after different authors: the drawn cases of Kromp et al. as strips, and the bounds of each rule."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import strip

from nucdl_core.overlap import overlap
from nucdl_core.scores.author_rules import SIZE_CLASSES, hollandi_merges_and_splits, kromp_detection, size_classes

# Sixteen cases after the legend of figure 3 in the supplement of Kromp et al.: truth, prediction, and the true
# positives, false negatives, false positives, over-segmented and under-segmented nuclei.
CASES = {
    "A, the same": ([(1, 10)], [(1, 10)], (1, 0, 0, 0, 0)),
    "B, smaller": ([(1, 10)], [(1, 6), (0, 4)], (1, 0, 0, 0, 0)),
    "C, larger": ([(1, 10), (0, 8)], [(1, 18)], (1, 0, 0, 0, 0)),
    "D, reaching into the neighbour": ([(1, 10), (2, 10)], [(1, 13), (0, 7)], (1, 1, 0, 0, 0)),
    "E, beside it": ([(1, 10), (0, 10)], [(0, 10), (1, 10)], (0, 1, 1, 0, 0)),
    "F, too small": ([(1, 10)], [(0, 4), (1, 4), (0, 2)], (0, 1, 1, 0, 0)),
    "G, too large": ([(0, 8), (1, 10), (0, 8)], [(1, 26)], (0, 1, 1, 0, 0)),
    "H, shifted": ([(1, 10), (0, 6)], [(0, 6), (1, 10)], (0, 1, 1, 0, 0)),
    "I, halved": ([(1, 10)], [(1, 5), (2, 5)], (0, 1, 2, 1, 0)),
    "J, in three": ([(1, 12)], [(1, 4), (2, 4), (3, 4)], (0, 1, 3, 1, 0)),
    "K, two in one": ([(1, 10), (2, 10)], [(1, 20)], (0, 2, 1, 0, 2)),
    "L, most of two in one": ([(1, 10), (2, 10)], [(0, 4), (1, 12), (0, 4)], (0, 2, 1, 0, 2)),
    "M, three over two": (
        [(1, 20), (2, 20)],
        [(1, 4), (0, 11), (2, 8), (3, 17)],
        (1, 1, 2, 0, 0),
    ),
    "N, small ones inside": ([(1, 20), (0, 10)], [(1, 3), (2, 3), (0, 4), (3, 20)], (0, 1, 3, 0, 0)),
    "O, most of two and some of a third": ([(1, 10), (2, 10), (3, 10)], [(1, 24), (0, 6)], (0, 3, 1, 0, 2)),
    "P, two in one and one in two": (
        [(1, 10), (2, 10), (3, 10)],
        [(1, 20), (2, 5), (3, 5)],
        (0, 3, 3, 1, 2),
    ),
}


def judge(truth, prediction):
    return kromp_detection(overlap(strip(*truth), strip(*prediction)))


@pytest.mark.parametrize("case", CASES)
def test_the_drawn_cases_of_kromp_are_counted_as_their_legend_says(case):
    truth, prediction, expected = CASES[case]
    found = judge(truth, prediction)
    hits = int(found.true_positive.sum())
    assert found.correct.sum() == hits
    counts = (
        hits,
        len(found.true_positive) - hits,
        len(found.correct) - hits,
        int(found.over_segmented.sum()),
        int(found.under_segmented.sum()),
    )
    assert counts == expected


def test_a_nucleus_is_detected_when_predictions_cover_more_than_half_of_it():
    found = judge([(1, 10), (2, 10)], [(1, 5), (0, 5), (2, 3), (3, 3), (0, 4)])
    assert found.detected.tolist() == [False, True]


def test_a_piece_with_a_high_iou_does_not_make_a_parted_nucleus_a_true_positive():
    found = judge([(1, 20)], [(1, 15), (2, 5)])
    assert found.over_segmented.tolist() == [True]
    assert not found.true_positive.any()
    assert not found.correct.any()


def test_the_dice_coefficient_is_that_of_the_true_positives():
    found = judge([(1, 10), (2, 10)], [(1, 8), (0, 2), (2, 3), (0, 7)])
    assert found.dice == pytest.approx([16 / 18])


@pytest.mark.parametrize(
    "truth, prediction, expected",
    [
        ([(1, 100)], [(1, 30), (2, 30), (0, 40)], (0, 1)),
        ([(1, 100)], [(1, 29), (2, 30), (0, 41)], (0, 0)),
        ([(1, 100)], [(1, 15), (2, 15), (3, 15), (0, 55)], (0, 1)),
        ([(1, 100)], [(1, 14), (2, 15), (3, 15), (0, 56)], (0, 0)),
        # With a match a nucleus is not split.
        ([(1, 100)], [(1, 60), (2, 40)], (0, 0)),
        # The second piece lies mostly in the neighbour and counts there.
        ([(1, 100), (2, 70)], [(1, 50), (2, 110), (0, 10)], (1, 0)),
    ],
)
def test_hollandi_counts_nuclei_that_several_others_cover_enough_of(truth, prediction, expected):
    pairs = overlap(strip(*truth), strip(*prediction))
    assert hollandi_merges_and_splits(pairs) == expected
    swapped = overlap(strip(*prediction), strip(*truth))
    assert hollandi_merges_and_splits(swapped) == expected[::-1]


def test_size_classes_follow_the_published_areas_where_the_typical_nucleus_is_theirs():
    # Twice their areas, around twice the middle of their normal class.
    areas = np.array([500, 501, 1250, 1251, 1800, 1801, 0, 1525, 1525, 1525])
    expected = ["tiny", "small", "small", "normal", "normal", "large", None]
    found = [SIZE_CLASSES[size] if size >= 0 else None for size in size_classes(areas)[:7]]
    assert np.median(areas[areas > 0]) == 2 * 762.5
    assert found == expected


def test_size_classes_do_not_depend_on_the_magnification():
    areas = np.array([10, 40, 50, 60, 100])
    assert [SIZE_CLASSES[size] for size in size_classes(areas)] == ["tiny", "small", "normal", "large", "large"]
    assert (size_classes(areas) == size_classes(areas * 16)).all()


def test_an_image_without_nuclei_has_no_sizes():
    assert size_classes(np.zeros(0, np.int64)).shape == (0,)
    assert size_classes(np.zeros(2, np.int64)).tolist() == [-1, -1]
