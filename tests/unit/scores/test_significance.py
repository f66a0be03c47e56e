"""Intervals and paired tests, on numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nucdl_core.scores.significance import bootstrap_interval, compare_paired, holm


def test_equal_scores_leave_no_doubt():
    low, high = bootstrap_interval(np.full((7, 2), [0.25, 0.5]))
    assert low == pytest.approx([0.25, 0.5])
    assert high == pytest.approx([0.25, 0.5])


def test_the_interval_has_the_width_that_theory_gives_for_many_images():
    values = np.random.default_rng(3).normal(0.5, 0.2, (400, 1))
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low[0] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high[0] == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_same_seed_gives_the_same_interval_and_another_one_another():
    values = np.random.default_rng(0).random((20, 1))
    assert bootstrap_interval(values, seed=4) == bootstrap_interval(values, seed=4)
    assert bootstrap_interval(values, seed=4) != bootstrap_interval(values, seed=5)


def test_many_images_are_resampled_in_parts(monkeypatch):
    values = np.random.default_rng(0).random((20, 3))
    whole = bootstrap_interval(values, repetitions=100)
    monkeypatch.setattr("nucdl_core.scores.significance._PART", 20 * 30)
    assert np.allclose(bootstrap_interval(values, repetitions=100), whole)


def test_no_image_is_refused():
    with pytest.raises(ValueError, match="no image"):
        bootstrap_interval(np.zeros((0, 1)))


def test_four_images_give_the_p_value_and_effect_of_the_definition():
    # Ranks 1, 2, 3, 4, of which 2 is negative: 3 of 16 sums are as low as 2 on one side.
    found = compare_paired(np.array([0.1, 0.0, 0.3, 0.4]), np.array([0.0, 0.2, 0.0, 0.0]))
    assert (found.images, found.better, found.worse) == (4, 3, 1)
    assert found.difference == pytest.approx(0.15)
    assert found.p_value == pytest.approx(2 * 3 / 16)
    assert found.rank_biserial == pytest.approx((8 - 2) / 10)
    assert found.low < found.difference < found.high


def test_the_effect_changes_its_sign_with_the_order():
    scores = np.random.default_rng(1).random((2, 30))
    forward, backward = compare_paired(*scores), compare_paired(*scores[::-1])
    assert forward.rank_biserial == -backward.rank_biserial
    assert forward.p_value == backward.p_value


def test_a_method_that_is_better_on_every_image_has_the_effect_1():
    assert compare_paired(np.linspace(0.5, 1, 9), np.linspace(0, 0.4, 9)).rank_biserial == 1


def test_equal_methods_do_not_differ():
    found = compare_paired(np.array([0.1 + 0.2, 0.5]), np.array([0.3, 0.5]))
    assert (found.better, found.worse, found.p_value, found.rank_biserial) == (0, 0, 1.0, 0.0)


def test_holm_multiplies_the_smallest_p_value_by_the_number_of_tests():
    assert holm(np.array([0.04, 0.01, 0.03, 0.9])) == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1.0, 1.0])
    assert holm(np.zeros(0)).shape == (0,)
