"""Means, intervals and tests of a study."""

from __future__ import annotations

import math

import pytest
from study_results import image_score, study, training, varied

from nucdl_core.study.statistics import arms, compare_cells, mean_interval, summarize_study, training_scores

# Student's t of one degree of freedom, 97.5 %, from any table.
T_OF_TWO = 12.7062


def test_the_interval_of_two_replicates_is_that_of_the_textbook():
    mean, low, high = mean_interval([0.4, 0.6])
    # Standard deviation 0.1 * sqrt(2), divided by sqrt(2).
    assert mean == pytest.approx(0.5)
    assert (low, high) == pytest.approx((0.5 - 0.1 * T_OF_TWO, 0.5 + 0.1 * T_OF_TWO), abs=1e-4)


def test_one_replicate_has_no_interval_and_none_has_no_mean(recwarn):
    assert mean_interval([0.4])[0] == 0.4
    assert all(math.isnan(bound) for bound in mean_interval([0.4, float("nan")])[1:])
    assert all(math.isnan(value) for value in mean_interval([]))
    assert not recwarn.list


def test_error_bars_stay_within_possible_values_and_have_no_length_without_interval():
    assert arms(0.5, -1.0, 2.0, highest=1).tolist() == [[0.5], [0.5]]
    assert arms(0.5, float("nan"), float("nan")).tolist() == [[0.0], [0.0]]


def test_f1s_are_averaged_and_errors_added_up_over_test_images_alone():
    scores = [image_score("a", 0.4), image_score("a", 0.6, "b"), image_score("a", 0.9, "c", part="training")]
    row = training_scores(study([training("a")], scores)).loc["a"]
    assert row["mean_f1"] == pytest.approx(0.5)
    assert row["f1_0.50"] == pytest.approx(0.6)
    assert (row["missed_0.70"], row["merges"], row["splits"], row["test_images"]) == (4, 2, 0, 2)
    assert row["missed_0.70_share"] == 4 / 40
    assert row["training_f1"] == 0.9


def test_the_summary_has_a_row_per_cell_with_the_mean_over_replicates():
    summary = summarize_study(varied("network", ["n", "m"]))
    assert summary["network"].tolist() == ["n", "m"]
    assert summary["images"].tolist() == ["", ""]
    assert summary["replicates"].tolist() == [2, 2]
    assert summary["test_images"].tolist() == [3, 3]
    # Images of a replicate: 0.40, 0.41, 0.42; the other is 0.02 better.
    assert summary["mean_f1"].tolist() == pytest.approx([0.42, 0.52])
    assert summary["mean_f1_high"][0] == pytest.approx(0.42 + 0.01 * T_OF_TWO, abs=1e-4)
    assert summary["missed_0.70"].tolist() == [6, 6]


def test_a_cell_whose_trainings_all_failed_stays_in_the_summary_without_numbers():
    trainings = [training("a", network="n"), training("b", network="m", failed="killed")]
    summary = summarize_study(study(trainings, [image_score("a", 0.5), image_score("b", 0.9)]))
    assert summary["replicates"].tolist() == [1, 0]
    assert summary["mean_f1"][0] == 0.5 and math.isnan(summary["mean_f1"][1])


def test_a_training_counts_in_every_grid_that_names_it():
    trainings = [training("a", network="n"), training("b", network="m"), training("c", network="n", images=20)]
    scores = [image_score(name, 0.5) for name in "abc"]
    summary = summarize_study(study(trainings, scores, {"networks": ["a", "b"], "images": ["a", "c"]}))
    assert summary[["grid", "network", "images"]].to_numpy().tolist() == [
        ["networks", "n", ""],
        ["networks", "m", ""],
        ["images", "", 10],
        ["images", "", 20],
    ]


def test_the_better_cell_has_the_sign_of_the_better_cell():
    pairs = compare_cells(varied("network", ["worse", "better"], images="abcdefgh"))
    assert len(pairs) == 1
    row = pairs.iloc[0]
    assert (row["factor"], row["first"], row["second"]) == ("network", "worse", "better")
    assert row["difference"] == pytest.approx(-0.1)
    assert (row["images"], row["better"], row["worse"], row["rank_biserial"]) == (8, 0, 8, -1)
    # All of eight images on one side: 2 / 2 ** 8.
    assert row["p_value"] == pytest.approx(2 / 256)


def test_replicates_are_averaged_before_cells_are_compared():
    trainings = [training("a0", 0), training("a1", 1), training("b0", network="n")]
    scores = [image_score("a0", 0.2), image_score("a1", 0.8), image_score("b0", 0.5)]
    row = compare_cells(study(trainings, scores)).iloc[0]
    assert row["images"] == 1 and row["difference"] == 0


def test_only_images_that_both_cells_were_tested_on_are_compared():
    trainings = [training("a"), training("b", network="n"), training("c", network="m")]
    scores = [image_score("a", 0.2), image_score("a", 0.2, "x"), image_score("b", 0.5), image_score("c", 0.5, "y")]
    pairs = compare_cells(study(trainings, scores))
    assert pairs[["first", "second", "images"]].to_numpy().tolist() == [["unet", "n", 1]]


def test_images_of_one_name_and_two_kinds_are_two_images():
    trainings = [training("a"), training("b", network="n")]
    scores = [image_score(name, 0.5, "1", kind) for name in "ab" for kind in ("cells", "tissue")]
    assert compare_cells(study(trainings, scores))["images"].tolist() == [2]


def test_p_values_are_corrected_for_the_pairs_of_their_grid():
    pairs = compare_cells(varied("network", ["x", "y", "z"], images="abcdefgh"))
    assert pairs["p_holm"].tolist() == pytest.approx([3 * 2 / 256] * 3)


def test_cells_that_differ_in_two_factors_are_not_compared():
    trainings = [training(f"{net}{images}", network=net, images=images) for net in "nm" for images in (5, 9)]
    pairs = compare_cells(study(trainings, [image_score(row["training"], 0.5) for row in trainings]))
    assert pairs[["factor", "within", "first", "second"]].to_numpy().tolist() == [
        ["images", "n", "5", "9"],
        ["network", "5", "n", "m"],
        ["network", "9", "n", "m"],
        ["images", "m", "5", "9"],
    ]


def test_a_grid_of_one_level_gives_no_comparison_and_a_failed_training_none_either():
    assert len(compare_cells(varied("network", ["n"]))) == 0
    trainings = [training("a"), training("b", network="n", failed="killed")]
    assert len(compare_cells(study(trainings, [image_score("a", 0.5), image_score("b", 0.5)]))) == 0
