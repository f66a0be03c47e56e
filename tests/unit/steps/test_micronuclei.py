"""Micronuclei: kept, marked and looked for again."""

from __future__ import annotations

import numpy as np
import pytest

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.results import Segmentation
from nucdl_core.steps.filters import filter_nuclei
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.micronuclei import FINER_LOOK, chosen_decision, with_micronuclei

ALL, LARGE, NONE = (SegmentConfig(micronuclei=word) for word in ("all", "large", "none"))


def squares(diameter, *corners_and_sides):
    """Squares in a field of 60 x 60 px: (row, col, side) each."""
    labels = np.zeros((60, 60), np.int32)
    for number, (row, col, side) in enumerate(corners_and_sides, 1):
        labels[row : row + side, col : col + side] = number
    probability = (labels > 0).astype(np.float32)
    return Segmentation(labels, np.full(len(corners_and_sides), 0.9, np.float32), probability, diameter)


NUCLEUS, SMALL = (5, 5, 20), (40, 40, 4)
FOUND = squares(22.0, NUCLEUS, SMALL)


def test_what_is_below_a_third_of_the_typical_diameter_is_a_micronucleus():
    assert list(FOUND.micronuclei) == [False, True]
    assert list(squares(22.0, (10, 10, 6), (30, 30, 7)).micronuclei) == [True, False]


def test_what_the_border_cuts_off_is_none():
    assert list(squares(22.0, (0, 10, 4), (30, 56, 4), (30, 30, 4)).micronuclei) == [False, False, True]


def test_without_a_typical_diameter_there_are_none():
    assert not squares(float("nan"), SMALL).micronuclei.any()


@pytest.mark.parametrize(("config", "count"), [(ALL, 2), (LARGE, 2), (NONE, 1)])
def test_they_are_left_out_where_they_are_not_wanted(config, count):
    kept = filter_nuclei(FOUND, config)
    assert kept.segmentation.count == count
    assert list(kept.too_small) == [False, count == 1]


def test_only_where_all_are_wanted_does_the_model_keep_smaller_ones():
    calibrated = Decision(smallest=0.25)
    assert chosen_decision(calibrated, LARGE) is calibrated and chosen_decision(calibrated, NONE) is calibrated
    assert chosen_decision(calibrated, ALL) == Decision(smallest=0.1)
    assert chosen_decision(Decision(smallest=0.05), ALL).smallest == 0.05


def test_only_where_nothing_else_is_looked_for_may_they_be_less_sure():
    calibrated = Decision(score=0.75)
    assert chosen_decision(calibrated, ALL).score == 0.75 and chosen_decision(calibrated, LARGE, True).score == 0.75
    assert chosen_decision(calibrated, ALL, micronuclei_alone=True).score == 0.6
    assert chosen_decision(Decision(score=0.3), ALL, micronuclei_alone=True).score == 0.3


def test_a_second_look_adds_those_beside_nuclei_and_no_parts_of_nuclei():
    asked = []

    def look(diameter):
        asked.append(diameter)
        part_of_nucleus, beside, larger = (10, 10, 5), (40, 20, 5), (28, 40, 9)
        return squares(diameter, part_of_nucleus, beside, larger, (39, 39, 6))

    both = with_micronuclei(FOUND, ALL, look)
    assert asked == [FINER_LOOK * 22.0]
    # The nucleus as it was, the one beside, and the one that both looks show as the second shows it.
    assert sorted(both.regions.areas) == [25, 36, 400]
    assert (both.labels > 0)[5:25, 5:25].all() and both.diameter == 22


@pytest.mark.parametrize(("found", "config"), [(FOUND, LARGE), (FOUND, NONE), (squares(22.0, NUCLEUS), ALL)])
def test_where_there_are_none_or_they_are_not_wanted_there_is_no_second_look(found, config):
    assert with_micronuclei(found, config, lambda diameter: pytest.fail("looked")) is found


def test_another_word_is_refused():
    with pytest.raises(ConfigError, match="micronuclei is 'some'; it must be one of large, all, none"):
        SegmentConfig(micronuclei="some")
