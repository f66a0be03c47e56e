"""The judgement without truth."""

import dataclasses
import math

import numpy as np
import pytest

from nucdl_core.adaptation.evidence import Gains
from nucdl_core.adaptation.judgement import (
    RECOMMENDED_FROM,
    RULE_WEIGHTS,
    SIGNS,
    TRACK_RECORD,
    describe,
    expected_gain,
    judge_without_truth,
    signs_in,
)

NOTHING = Gains(views=0, second=0, shapes=0, edges=0, same=1, count=0, synthetic=0, usual=0)
# What was seen of the model that never saw the images of 360 x 360 px: its mean F1 rose by 0.048.
GOOD = Gains(
    views=0.045, second=0.048, shapes=0.046, edges=0.011, same=0.881, count=-0.065, synthetic=0.052, usual=0.009
)
# Widefield images of mouse intestine: it fell by 0.026.
BAD = Gains(
    views=0.094, second=-0.125, shapes=-0.118, edges=-0.029, same=0.269, count=-0.099, synthetic=0.174, usual=-0.01
)


def test_each_sign_has_a_weight():
    assert len(RULE_WEIGHTS) == len(SIGNS) == len(signs_in(NOTHING))


def test_more_and_fewer_nuclei_are_two_signs_and_a_missing_second_model_none():
    assert dict(zip(SIGNS, signs_in(dataclasses.replace(NOTHING, count=0.5))))["more"] == 0.5
    fewer = dict(zip(SIGNS, signs_in(dataclasses.replace(NOTHING, count=-0.5, second=math.nan, same=0.9))))
    assert (fewer["more"], fewer["fewer"], fewer["second"]) == (0, 0.5, 0)
    assert fewer["change"] == pytest.approx(0.1)


def test_an_adaptation_that_gained_is_recommended_with_figure_and_error_rate():
    verdict = judge_without_truth(GOOD, "the_old_one")
    assert verdict.better and verdict.sentence.startswith(
        "Use the adapted model for images like these, after a look at the outlines"
    )
    assert f"by {expected_gain(GOOD):+.3f} against the_old_one" in verdict.sentence and TRACK_RECORD in verdict.sentence


def test_an_adaptation_that_lost_is_not_recommended():
    verdict = judge_without_truth(BAD, "the_old_one")
    assert not verdict.better and expected_gain(BAD) < 0
    assert verdict.sentence.startswith("Do not use the adapted model") and "Keep the_old_one." in verdict.sentence


def test_a_model_that_did_not_change_is_not_recommended():
    assert expected_gain(NOTHING) < RECOMMENDED_FROM and not judge_without_truth(NOTHING, "x").better


def test_steeper_outlines_and_agreement_with_another_model_speak_for_a_model():
    for better in ({"edges": 0.02}, {"second": 0.1}, {"shapes": 0.1}):
        assert expected_gain(dataclasses.replace(NOTHING, **better)) > expected_gain(NOTHING) + 0.01


def test_what_was_seen_is_told_with_figures():
    told = dict(describe(GOOD))
    assert told["number of nuclei"] == "-6.3%"
    assert told["expected change of the mean F1"] == f"{expected_gain(GOOD):+.3f}"
    missing = dict(describe(dataclasses.replace(GOOD, second=math.nan)))
    assert missing["agreement with a model of another architecture (mean F1)"] == "not known"
    assert not any("nan" in value for value in missing.values())
    assert np.isfinite(expected_gain(dataclasses.replace(GOOD, second=math.nan)))
