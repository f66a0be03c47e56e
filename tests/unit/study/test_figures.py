"""Figures of a study: each only where what it shows was varied."""

from __future__ import annotations

import pytest
from study_results import image_score, study, training, varied

from nucdl_core.reports.figures import method_styles
from nucdl_core.study.figures import grid_figures, views_gain
from nucdl_core.study.kind_figures import kind_scores
from nucdl_core.study.network_figures import f1_by_network, networks_at_one_level, score_by_cost
from nucdl_core.study.statistics import grid_rows

NETWORK_FIGURES = {"f1_by_network", "score_by_cost", "errors_by_network", "training_and_test"}


@pytest.mark.parametrize(
    ("factor", "levels", "expected"),
    [
        ("network", ["n", "m"], NETWORK_FIGURES),
        ("start", ["chance", "pretrained"], {"score_by_start"}),
        ("kinds", ["cells", "tissue"], {"kind_matrix_1"}),
        ("kinds", ["cells", "cells+tissue"], {"kind_matrix_1", "score_by_diversity"}),
        ("images", [5, 10], {"scores_by_images"}),
        ("augmentation", ["all", "-blur"], {"score_by_augmentation"}),
        ("rescaled", [True, False], {"score_by_rescaled"}),
        ("cycles", [0.5, 2.0], {"score_by_cycles"}),
        ("regions", [50, 0], {"score_by_regions"}),
        ("simulated", [0.0, 0.5], {"score_by_simulated"}),
        ("artificial", [0.0, 0.5], {"score_by_artificial"}),
        ("network", ["n"], set()),
    ],
)
@pytest.mark.parametrize("replicates", [1, 2])
def test_a_grid_has_the_figures_of_what_it_varies(factor, levels, expected, replicates):
    assert set(grid_figures(varied(factor, levels, replicates), "all")) == expected


def test_scores_on_training_images_are_drawn_only_where_they_are_known():
    results = varied("network", ["n", "m"])
    only_test = results.scores[results.scores["part"] == "test"]
    known = grid_figures(study(results.trainings.to_dict("records"), only_test.to_dict("records")), "all")
    assert set(known) == NETWORK_FIGURES - {"training_and_test"}


def test_a_grid_in_which_all_failed_has_no_figure():
    trainings = [training("a", failed="killed"), training("b", network="n", failed="killed")]
    assert grid_figures(study(trainings, []), "all") == {}


def two_factors():
    """Two networks, of which one failed with 9 images."""
    trainings = [training(f"{net}{images}", network=net, images=images) for net in "nm" for images in (5, 9)]
    trainings[-1]["failed"] = "killed"
    return study(trainings, [image_score(row["training"], 0.5) for row in trainings])


def test_a_second_factor_gives_a_line_per_level_and_networks_are_compared_where_most_have_scores():
    results = two_factors()
    figures = grid_figures(results, "all")
    assert [line.get_label() for line in figures["scores_by_images"].figure.axes[0].lines] == ["n", "m"]
    rows, where = networks_at_one_level(grid_rows(results, "all"), ["network", "images"])
    assert where == "training images: 5"
    assert rows["training"].tolist() == ["n5", "m5"]
    assert "training images: 5" in figures["f1_by_network"].caption


def test_a_line_shows_the_means_over_the_replicates():
    figure = f1_by_network(grid_rows(varied("network", ["n", "m"]), "all"))
    # Mean F1 0.42; the made-up F1 at 0.5 is 0.1 higher, that at 0.95 0.1 lower.
    first = figure.axes[0].lines[0].get_ydata()
    assert (first[0], first[-1]) == pytest.approx((0.52, 0.32))


def test_costs_within_a_decade_have_a_plain_axis_and_others_a_logarithmic_one():
    rows = grid_rows(varied("network", ["n", "m"]), "all")
    assert score_by_cost(rows).axes[0].get_xscale() == "linear"
    slow = rows.assign(seconds_per_image=[0.1, 0.1, 5.0, 5.0])
    assert [axes.get_xscale() for axes in score_by_cost(slow).axes] == ["log", "linear"]


def test_the_matrix_has_the_kinds_that_taught_in_rows_and_those_of_test_images_in_columns():
    trainings = [training("a", kinds="cells+tissue"), training("b", kinds="tissue"), training("c", kinds="cells")]
    f1s = {"a": (0.5, 0.6), "b": (0.1, 0.7), "c": (0.8, 0.2)}
    scores = [
        image_score(name, f1, "1", kind) for name, both in f1s.items() for kind, f1 in zip(("cells", "tissue"), both)
    ]
    results = study(trainings, scores)
    table = kind_scores(results, grid_rows(results, "all"))
    assert list(table.index) == ["tissue", "cells", "cells+tissue"]
    assert list(table.columns) == ["tissue", "cells"]
    assert table.to_numpy().tolist() == [[0.7, 0.1], [0.2, 0.8], [0.6, 0.5]]


def test_the_gain_of_views_is_drawn_for_each_training_in_the_colour_of_its_network():
    trainings = [training("a", 0), training("b", 1), training("c", network="n")]
    views = [(name, step, 0.5, 0.5 + step / 100) for name in "abc" for step in (2, 1)]
    lines = views_gain(study(trainings, [], views=views)).axes[0].lines[:3]
    assert [list(line.get_ydata()) for line in lines] == [pytest.approx([0.01, 0.02])] * 3
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()


def test_points_of_eight_methods_can_be_told_apart():
    styles = [style for _, style in method_styles([str(number) for number in range(8)])]
    looks = {(style["color"], style["marker"], style.get("markerfacecolor")) for style in styles}
    assert len(looks) == 8
