import time

import numpy as np
import pytest
from drawings import disks, drawn

from nucdl_core.errors import ConfigError
from nucdl_core.steps.contours import (
    RefineConfig,
    Refinement,
    clean_up,
    contour_shift,
    correct_contours,
    drop_improbable,
    origins,
    refine_objects,
)

SURE = Refinement(threshold=0.5, inwards=1, outwards=1)


def likely(labels):
    """Probability map that is high in the nuclei of a label image and low elsewhere."""
    return np.where(labels > 0, 0.9, 0.1).astype(np.float32)


def square(side, first, last):
    labels = np.zeros((side, side), np.int32)
    labels[first:last, first:last] = 1
    return labels


def test_the_defaults_are_the_published_numbers_in_their_order():
    assert tuple(vars(Refinement()).values()) == (0.17, 44, 0.9375, 1, 1, 0.8)


@pytest.mark.parametrize("true_first, true_last", [(3, 12), (5, 10)])
def test_an_outline_one_pixel_off_comes_to_where_the_probability_changes(true_first, true_last):
    truth = square(15, true_first, true_last)
    np.testing.assert_array_equal(correct_contours(square(15, 4, 11), likely(truth), SURE), truth)


@pytest.mark.parametrize("inwards", [0, 1, 2, 3])
def test_an_outline_moves_inwards_as_far_as_allowed(inwards):
    nothing = np.zeros((15, 15), np.float32)
    shrunk = correct_contours(square(15, 2, 13), nothing, Refinement(inwards=inwards))
    np.testing.assert_array_equal(shrunk, square(15, 2 + inwards, 13 - inwards))


@pytest.mark.parametrize("outwards", [0, 1, 2, 3])
def test_an_outline_moves_outwards_as_far_as_allowed(outwards):
    grown = correct_contours(square(15, 5, 10), np.ones((15, 15), np.float32), Refinement(outwards=outwards))
    rows, cols = np.nonzero(grown)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (5 - outwards, 9 + outwards, 5 - outwards, 9 + outwards)


def test_half_a_pixel_reaches_pixels_with_a_side_on_the_outline_but_not_those_at_a_corner():
    grown = correct_contours(square(5, 2, 3), np.ones((5, 5), np.float32), Refinement(outwards=0.5))
    np.testing.assert_array_equal(grown, drawn(".....", "..1..", ".111.", "..1..", "....."))


def test_what_lies_deep_inside_stays_whatever_its_probability():
    hollow = likely(square(15, 3, 12))
    hollow[6:9, 6:9] = 0
    np.testing.assert_array_equal(correct_contours(square(15, 3, 12), hollow, SURE), square(15, 3, 12))


def test_neighbours_share_the_free_pixels_and_lose_none():
    before = drawn(
        ".........",
        ".111.222.",
        ".111.222.",
        ".11133322",
        ".........",
    )
    after = correct_contours(before, np.ones(before.shape, np.float32), SURE)
    np.testing.assert_array_equal(after[before > 0], before[before > 0])
    assert after[1, 0] == 1 and after[0, 7] == 2 and after[4, 5] == 3
    assert after.all()


def test_a_free_pixel_goes_to_the_nearer_nucleus():
    before = drawn("11....2")
    after = correct_contours(before, np.ones(before.shape, np.float32), Refinement(threshold=0.5, outwards=3))
    np.testing.assert_array_equal(after, drawn("1111222"))


def test_between_touching_nuclei_unlikely_pixels_become_background():
    before = drawn("1111122222", "1111122222", "1111122222", "1111122222")
    probability = likely(before)
    probability[:, 4:6] = 0.1
    np.testing.assert_array_equal(correct_contours(before, probability, SURE)[0], drawn("1111..2222")[0])


def test_the_border_of_the_image_is_no_outline():
    before = drawn("11111...", "11111...", "11111...")
    after = correct_contours(before, np.zeros(before.shape, np.float32), SURE)
    np.testing.assert_array_equal(after, drawn("1111....", "1111....", "1111...."))


def test_a_nucleus_that_would_vanish_keeps_its_outline():
    before = drawn(".......", ".11.2..", "....2..", ".......")
    np.testing.assert_array_equal(correct_contours(before, np.zeros((4, 7), np.float32), SURE), before)


def test_a_nucleus_stays_one_piece():
    before = drawn(
        ".............",
        ".11111.......",
        ".11111...111.",
        ".11111111111.",
        ".11111...111.",
        ".11111.......",
        ".............",
    )
    probability = likely(before)
    probability[3, 6:9] = 0.1
    expected = before.copy()
    expected[:, 6:] = 0
    np.testing.assert_array_equal(correct_contours(before, probability, SURE), expected)


def test_a_likely_pixel_behind_a_gap_does_not_join():
    probability = np.zeros((1, 9), np.float32)
    probability[0, [0, 1, 2, 4]] = 1
    before = drawn("111......")
    wide = Refinement(threshold=0.5, outwards=4)
    np.testing.assert_array_equal(correct_contours(before, probability, wide), before)


def test_numbers_and_gaps_stay_and_the_input_is_not_modified():
    before = np.zeros((9, 20), np.int32)
    before[2:7, 2:7], before[2:7, 12:17] = 7, 300
    copy = before.copy()
    after = correct_contours(before, np.ones(before.shape, np.float32), SURE)
    assert set(np.unique(after)) == {0, 7, 300}
    assert (before == copy).all() and after.dtype == np.int32


def test_an_image_without_nuclei_has_no_outlines():
    nothing = np.zeros((4, 5), np.int32)
    assert not correct_contours(nothing, np.ones((4, 5), np.float32)).any()
    assert not refine_objects(nothing, np.ones((4, 5), np.float32), SURE).any()
    assert contour_shift(nothing, nothing).shape == (0,)


def cleaned(labels, probability=None, **numbers):
    off = {"merge_share": 1, "smallest_area": 0, "mean_probability": 0}
    probability = np.ones(labels.shape, np.float32) if probability is None else probability
    refinement = Refinement(**{**off, **numbers})
    return drop_improbable(clean_up(labels, refinement), probability, refinement)


def test_objects_are_cleaned_up_before_and_judged_after_their_outlines_are_corrected():
    labels = drawn("........", ".11..22.", ".11..22.", ".33.....", "........")
    # The light of 1 reaches further than its outline, 2 has a dark column, and 3 is a crumb at the side of 1.
    probability = np.where(labels > 0, 0.9, 0.1).astype(np.float32)
    probability[1:3, 0], probability[1:3, 6], probability[3] = 0.9, 0.3, 0.1
    numbers = {"merge_share": 1, "threshold": 0.5, "inwards": 0.5, "outwards": 0.5}
    # With two pixels more 3 and 1 would be large enough, if they were corrected first.
    refined = refine_objects(labels, probability, Refinement(smallest_area=3, mean_probability=0, **numbers))
    np.testing.assert_array_equal(refined, drawn("........", "111..2..", "111..2..", "........", "........"))
    large = refine_objects(labels, probability, Refinement(smallest_area=5, mean_probability=0, **numbers))
    assert not large.any()
    # The mean of 2 is 0.6 before its dark column is taken away and 0.9 afterwards.
    sure = refine_objects(labels, probability, Refinement(smallest_area=3, mean_probability=0.8, **numbers))
    np.testing.assert_array_equal(sure, refined)


def test_an_object_inside_another_becomes_part_of_it():
    inside = drawn("1111", "1221", "1111", "....")
    np.testing.assert_array_equal(cleaned(inside), drawn("1111", "1111", "1111", "...."))


def test_an_object_with_a_side_on_the_border_of_the_image_is_not_inside_another():
    beside = drawn("1221", "1221", "1111", "....")
    np.testing.assert_array_equal(cleaned(beside), beside)


def test_objects_merge_where_more_than_the_share_of_the_outline_is_surrounded():
    # Object 2 has an outline of 8 pixel edges, 2 of them along object 1.
    touching = drawn("......", "11122.", "11122.", "111...", "......")
    np.testing.assert_array_equal(cleaned(touching, merge_share=0.25), touching)
    np.testing.assert_array_equal(cleaned(touching, merge_share=0.24), np.minimum(touching, 1))


def test_merging_goes_on_along_a_chain():
    chain = drawn("......", ".1234.", ".1234.", ".1234.", "......")
    np.testing.assert_array_equal(cleaned(chain, merge_share=0.3), np.minimum(chain, 1))


def test_small_and_unlikely_objects_are_dropped_and_the_others_renumbered():
    labels = drawn("111.222.3.444", "111.222.3.444")
    probability = np.where(labels == 2, 0.5, 0.9).astype(np.float32)
    expected = drawn("111.......222", "111.......222")
    np.testing.assert_array_equal(cleaned(labels, probability, smallest_area=6, mean_probability=0.8), expected)


def test_an_object_stems_from_the_one_that_it_shares_most_pixels_with():
    before = drawn("1111222..5", "1111222..5")
    after = drawn("111133.44.", "11.333.442")
    np.testing.assert_array_equal(origins(before, after), [1, 5, 2, 0])


def test_of_two_origins_that_share_as_much_the_lower_one_counts():
    np.testing.assert_array_equal(origins(drawn("2211"), drawn("1111")), [1])


def test_an_unchanged_outline_has_not_shifted():
    labels = disks((60, 60), [(20, 20), (0, 40), (40, 40)], 10)
    np.testing.assert_array_equal(contour_shift(labels, labels), [0, 0, 0])


@pytest.mark.parametrize("first, last", [(3, 12), (5, 10)])
def test_an_outline_moved_by_a_pixel_on_all_sides_has_shifted_by_about_one(first, last):
    # The corners of the wider square are sqrt(2) from those of the other; all else is 1 away.
    shift = contour_shift(square(15, 4, 11), square(15, first, last))
    assert shift.dtype == np.float32
    assert shift[0] == pytest.approx((28 + 4 * 2**0.5) / 32 if first == 3 else 1, abs=1e-6)


def test_the_shift_is_measured_to_the_own_origin_and_not_to_a_neighbour():
    # The new pixels of 1 are 1 to 5 pixels from its old end, the last one only 2 from its neighbour.
    shift = contour_shift(drawn("11......2222"), drawn("1111111.2222"))
    np.testing.assert_allclose(shift, [(1 + 2 + 3 + 4 + 5) / 7, 0], rtol=1e-6)


def test_a_nucleus_without_an_origin_has_no_shift():
    shift = contour_shift(drawn("11..."), drawn("11.22"))
    assert shift[0] == 0
    assert np.isnan(shift[1])


def test_the_origin_can_be_named():
    assert np.isnan(contour_shift(drawn("11.."), drawn("11.."), np.array([0], np.int32))[0])


@pytest.mark.parametrize(
    "numbers, reason",
    [
        ({"merge_share": -0.1}, r"merge_share is -0.1; it must lie in \[0, 1\]"),
        ({"threshold": 1.5}, r"threshold is 1.5; it must lie in \[0, 1\]"),
        ({"mean_probability": 2}, r"mean_probability is 2; it must lie in \[0, 1\]"),
        ({"inwards": -1}, "inwards is -1; give pixels from 0 to 20"),
        ({"outwards": 21}, "outwards is 21; give pixels from 0 to 20"),
        ({"smallest_area": -1}, "smallest_area is -1; give pixels, 0 for no limit"),
        ({"threshold": float("nan")}, "threshold is nan"),
    ],
)
def test_impossible_numbers_are_refused(numbers, reason):
    with pytest.raises(ConfigError, match=reason):
        Refinement(**numbers)


@pytest.mark.parametrize("values", [{"views": "two"}, {"contour_offset": 50}, {"device": "abacus"}])
def test_impossible_settings_are_refused(values):
    with pytest.raises(ConfigError, match=str(next(iter(values.values())))):
        RefineConfig(**values)


def test_three_thousand_nuclei_take_seconds_at_most():
    centres = [(row, col) for row in range(20, 1000, 18) for col in range(20, 1000, 18)]
    labels = np.zeros((1010, 1010), np.int32)
    for step in np.ndindex(13, 13):
        rows, cols = (np.array(axis) - 6 + move for axis, move in zip(zip(*centres), step))
        labels[rows, cols] = np.arange(1, len(centres) + 1)
    start = time.process_time()
    after = correct_contours(labels, np.ones(labels.shape, np.float32))
    drop_improbable(clean_up(after), np.ones(labels.shape, np.float32))
    contour_shift(labels, after)
    assert time.process_time() - start < 3
    assert after.max() == len(centres) > 2900
