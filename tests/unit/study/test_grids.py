"""Factors, levels and cells."""

from __future__ import annotations

from study_results import study, training, varied

from nucdl_core.study.grids import grid_cells, levels_text, ordered_levels, varied_factors


def test_a_factor_is_varied_where_it_has_two_levels():
    results = varied("cycles", [0.5, 2.0], network="maskrcnn")
    assert varied_factors(results.trainings) == ["cycles"]


def test_numbers_stand_in_their_order_words_in_that_of_the_table_and_joined_kinds_last():
    assert ordered_levels(varied("images", [20, 5]).trainings, "images") == [5, 20]
    assert ordered_levels(varied("network", ["b", "a"]).trainings, "network") == ["b", "a"]
    assert ordered_levels(varied("kinds", ["y+x", "y", "x"]).trainings, "kinds") == ["y", "x", "y+x"]


def test_always_new_crops_are_more_than_any_number():
    assert ordered_levels(varied("regions", [0, 50, 10]).trainings, "regions") == [10, 50, 0]


def test_replicates_share_a_cell_and_cells_stand_in_the_order_of_their_levels():
    trainings = [
        training("a", network="n", images=9),
        training("b", network="n", images=3),
        training("c", 1, network="n", images=9),
        training("d", network="m", images=3),
    ]
    cells = grid_cells(study(trainings, []), "all")
    assert [(dict(cell.levels), cell.trainings) for cell in cells] == [
        ({"network": "n", "images": 3}, ["b"]),
        ({"network": "n", "images": 9}, ["a", "c"]),
        ({"network": "m", "images": 3}, ["d"]),
    ]


def test_levels_are_said_in_words():
    assert levels_text({"regions": 0}) == "always new"
    assert levels_text({"rescaled": False}) == "as it is"
    assert levels_text({"images": 5, "simulated": 0.25}) == "training images 5, simulated crops 25%"
    assert levels_text({"images": 5, "network": "n"}, without="images") == "n"
    assert levels_text({"images": 5}, without="images") == ""
