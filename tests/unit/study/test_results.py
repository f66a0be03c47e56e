"""The tables that a study hands to its report."""

from __future__ import annotations

import pandas as pd
import pytest
from study_results import image_score, study, training, varied

from nucdl_core.errors import ConfigError, NucDLError
from nucdl_core.study.page import write_study_report
from nucdl_core.study.results import StudyResults, missing_trainings, read_results

TWO = [training("a"), training("b")]


def test_a_table_that_lacks_a_column_is_refused():
    good = study(TWO, [])
    with pytest.raises(ConfigError, match="table of views lacks flips"):
        StudyResults(good.trainings, good.scores, good.views.drop(columns="flips"), good.grids)


def test_two_trainings_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="a stands twice"):
        study([training("a"), training("a")], [])


def test_a_training_without_a_factor_is_refused():
    with pytest.raises(ConfigError, match="b lacks a factor"):
        study([training("a"), training("b", images=float("nan"))], [])


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("the grid g", {"scores": [], "grids": {"g": ["a", "c"]}}),
        ("the table of scores", {"scores": [image_score("c", 0.5)]}),
        ("the table of views", {"scores": [], "views": [("c", 1, 0.5, 0.6)]}),
    ],
)
def test_a_training_that_is_not_in_the_table_is_refused(source, parts):
    with pytest.raises(ConfigError, match=f"{source} names c"):
        study(TWO, **parts)


def test_a_training_has_no_result_if_it_failed_or_was_not_scored_on_test_images():
    trainings = [training("a"), training("b", failed="out of memory"), training("c"), training("d", failed=None)]
    scores = [image_score("a", 0.5), image_score("c", 0.5, part="training"), image_score("d", 0.5)]
    assert missing_trainings(study(trainings, scores)) == {"b": "out of memory", "c": "no scores of test images"}


def test_the_tables_are_read_as_they_were_written(tmp_path):
    trainings = [
        training("001", augmentation="none", kinds="NA"),
        training("b", failed="null", rescaled=False),
    ]
    before = study(trainings, [image_score("001", 0.5, image="007")], views=[("001", 10, 0.5, 0.6)])
    write_study_report(before, tmp_path, "title")
    after = read_results(tmp_path, before.grids)
    for name in ("trainings", "scores", "views"):
        pd.testing.assert_frame_equal(getattr(after, name), getattr(before, name))


def test_a_study_without_views_is_read_as_well(tmp_path):
    write_study_report(varied("images", [1, 2]), tmp_path, "title")
    assert len(read_results(tmp_path, {}).views) == 0


def test_a_table_that_is_missing_or_holds_words_for_numbers_is_named(tmp_path):
    with pytest.raises(NucDLError, match="trainings.csv"):
        read_results(tmp_path, {})
    write_study_report(varied("images", [1, 2]), tmp_path, "title")
    (tmp_path / "views.csv").write_text("training,step,none,flips\nimages0_0,many,0.5,0.6\n")
    with pytest.raises(NucDLError, match="views.csv"):
        read_results(tmp_path, {})
