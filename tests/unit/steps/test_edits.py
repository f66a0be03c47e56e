import numpy as np
import pytest
from drawings import drawn

from nucdl_core.steps.contours import RefineConfig
from nucdl_core.steps.edits import add_objects, edit_objects, merge_objects, remove_objects, split_objects


def same_parts(labels, expected):
    """Tell whether two label images have the same nuclei, whatever their numbers."""
    pairs = {(int(first), int(second)) for first, second in zip(labels.ravel(), expected.ravel())} | {(0, 0)}
    return len(pairs) == len({first for first, _ in pairs}) == len({second for _, second in pairs})


def test_an_object_with_two_voted_nuclei_is_parted_between_them():
    objects = drawn("11111111.22", "11111111.22")
    voted = drawn(".11..222.33", ".11..222.33")
    parted = split_objects(objects, voted)
    assert same_parts(parted, drawn("11114444.22", "11114444.22"))
    assert parted[0, 9] == 2


def test_every_pixel_goes_to_the_nearest_voted_nucleus_of_its_own_object():
    objects = drawn("11111111", "22222222")
    voted = drawn("1......2", "...34...")
    assert same_parts(split_objects(objects, voted), drawn("11112222", "33334444"))


def test_an_object_with_one_voted_nucleus_or_only_half_of_a_second_one_stays():
    objects = drawn("111111....")
    for voted in (drawn(".111......"), drawn(".11.2222.."), drawn("..........")):
        np.testing.assert_array_equal(split_objects(objects, voted), objects)


def test_a_voted_nucleus_that_reaches_out_of_its_object_adds_nothing_to_it():
    parted = split_objects(drawn("1111111.."), drawn("11..22222"))
    assert same_parts(parted, drawn("1112222.."))


def test_a_voted_nucleus_of_a_neighbour_is_no_part_of_an_object():
    parted = split_objects(drawn("11111111222"), drawn("111..223333"))
    assert same_parts(parted, drawn("11114444222"))


def test_two_parts_of_one_voted_nucleus_become_one_without_a_gap():
    objects = drawn(".11..22.33", ".11..22.33")
    voted = drawn(".111111..4", ".111111..4")
    np.testing.assert_array_equal(merge_objects(objects, voted), drawn(".111111.33", ".111111.33"))


def test_an_object_that_lies_only_half_in_a_voted_nucleus_is_not_merged():
    objects = drawn("11..22")
    np.testing.assert_array_equal(merge_objects(objects, drawn("11111.")), objects)


def test_a_single_object_in_a_larger_voted_nucleus_does_not_grow():
    objects = drawn(".11....")
    np.testing.assert_array_equal(merge_objects(objects, drawn("11111..")), objects)


def test_merged_objects_take_no_pixel_of_a_third_one():
    objects = drawn(".11.3.22..33333333")
    merged = merge_objects(objects, drawn(".1111111.........."))
    np.testing.assert_array_equal(merged, drawn(".1113111..33333333"))


@pytest.mark.parametrize("shared, kept", [(1, False), (2, True)])
def test_an_object_is_removed_unless_more_than_a_tenth_of_it_is_in_one_voted_nucleus(shared, kept):
    objects, voted = np.zeros((1, 20), np.int32), np.zeros((1, 20), np.int32)
    objects[0, :10] = 1
    voted[0, 10 - shared : 15] = 1
    assert remove_objects(objects, voted).any() == kept


def test_removing_leaves_the_other_numbers_as_they_are():
    np.testing.assert_array_equal(remove_objects(drawn("1.2.3"), drawn("1...2")), drawn("1...3"))


@pytest.mark.parametrize("voted, expected", [("..22222222222", "1122222222222"), ("2222222222222", "11...........")])
def test_a_voted_nucleus_is_added_where_objects_cover_less_than_a_tenth_of_it(voted, expected):
    assert same_parts(add_objects(drawn("11..........."), drawn(voted)), drawn(expected))


def test_an_added_nucleus_takes_no_pixel_of_an_object():
    added = add_objects(drawn("11..........."), drawn(".222222222222"))
    np.testing.assert_array_equal(added, drawn("1122222222222"))


@pytest.mark.parametrize("switch", ["split", "merge", "remove", "add"])
def test_each_switch_changes_only_its_own_kind_of_error(switch):
    objects = drawn("1111111.22.33.4444.......")
    voted = drawn("111.222.33333......444444")
    expected = {
        "split": drawn("1111555.22.33.4444......."),
        "merge": drawn("1111111.22222.4444......."),
        "remove": drawn("1111111.22.33............"),
        "add": drawn("1111111.22.33.4444.555555"),
    }[switch]
    found = edit_objects(objects, voted, RefineConfig(**{switch: True}))
    assert same_parts(found, expected)


def test_all_switches_together_give_the_voted_nuclei():
    objects = drawn("1111111.22.33.4444.......")
    voted = drawn("111.222.33333......444444")
    config = RefineConfig(split=True, merge=True, remove=True, add=True)
    assert same_parts(edit_objects(objects, voted, config), drawn("1111222.33333......444444"))


def test_without_switches_the_objects_stay():
    objects = drawn("11.2")
    assert edit_objects(objects, drawn("...."), RefineConfig()) is objects


@pytest.mark.parametrize("objects, voted", [("....", "...."), ("....", "11.2"), ("11.2", "....")])
def test_no_objects_or_no_voted_nuclei_are_no_error(objects, voted):
    config = RefineConfig(split=True, merge=True, remove=True, add=True)
    assert same_parts(edit_objects(drawn(objects), drawn(voted), config), drawn(voted))


def test_the_inputs_are_not_modified():
    objects, voted = drawn("1111111.22.33.4444......."), drawn("111.222.33333......444444")
    before = objects.copy(), voted.copy()
    edit_objects(objects, voted, RefineConfig(split=True, merge=True, remove=True, add=True))
    assert (objects == before[0]).all() and (voted == before[1]).all()
