"""Finding what a process dies of, with imagined processes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nucdl_core.screen.cellprofiler.culprits import find_culprits


def trial(killers, runs=None):
    """Return a process that dies of these image sets, and counts its runs."""

    def dies_of(image_sets):
        if runs is not None:
            runs.append(list(image_sets))
        return "boom" if killers & set(image_sets) else None

    return dies_of


def test_a_suspect_that_is_the_culprit_takes_one_run():
    runs = []
    assert find_culprits(range(100), 41, trial({41}, runs)) == {41: "boom"}
    assert runs == [[41]]


def test_a_wrong_suspect_leads_to_halving():
    runs = []
    assert find_culprits(range(64), 3, trial({41}, runs)) == {41: "boom"}
    # The suspect, all once more, and two halves at each of six levels.
    assert len(runs) == 2 + 2 * 6


@given(st.sets(st.integers(0, 19)), st.one_of(st.none(), st.integers(0, 19)))
def test_all_killers_are_found_or_the_suspect_alone(killers, suspect):
    found = set(find_culprits(range(20), suspect, trial(killers)))
    assert found == ({suspect} if suspect in killers else killers)


@pytest.mark.parametrize("killers", [set(), {5}])
def test_a_single_image_set_is_tried_once_more(killers):
    runs = []
    assert set(find_culprits([5], 5, trial(killers, runs))) == killers
    assert runs == [[5]]


def test_a_number_that_is_too_large_is_nobodys_fault():
    assert find_culprits(range(8), 7, lambda image_sets: "boom" if len(image_sets) > 2 else None) == {}
