"""The report of a study."""

from __future__ import annotations

import importlib.util
import re

import pandas as pd
import pytest
from study_results import image_score, study, training, varied

from nucdl_core.errors import ConfigError
from nucdl_core.reports import page as pages
from nucdl_core.study.page import write_study_report
from nucdl_core.study.statistics import SUMMARIZED
from nucdl_core.study.tables import cell_table


def two_grids():
    """Two networks, one with two numbers of images, and a training that failed."""
    trainings = [
        training("n_10", network="n"),
        training("m_10", network="m"),
        training("n_20", network="n", images=20),
        training("lost", network="k", failed="out of <memory>"),
    ]
    scores = [image_score(name, 0.5 + number / 10) for number, name in enumerate(("n_10", "m_10", "n_20"))]
    grids = {"networks & co": ["n_10", "m_10", "lost"], "images": ["n_10", "n_20"]}
    return study(trainings, scores, grids, views=[("n_10", 5, 0.5, 0.6)])


def page_of(results, folder):
    write_study_report(results, folder, "My <study>")
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_names_failed_trainings_with_their_reason_before_everything_else(tmp_path):
    text = page_of(two_grids(), tmp_path)
    assert "1 of 4 trainings has no scores" in text
    assert "<strong>lost</strong>: out of &lt;memory&gt;" in text
    assert text.index("<strong>lost</strong>") < text.index("<h2")
    assert "3 of 4 trainings were scored" in text


def test_a_study_in_which_all_worked_names_no_failure(tmp_path):
    assert "no scores" not in page_of(varied("images", [1, 2]), tmp_path)


def test_the_page_loads_nothing_from_elsewhere(tmp_path):
    text = page_of(two_grids(), tmp_path)
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(links) > 4
    assert all(link.startswith(("data:image/svg+xml", "#")) for link in links)
    assert "http" not in re.sub(r'"data:[^"]*"', "", text)


def test_each_grid_says_what_was_varied_and_what_was_the_same(tmp_path):
    text = page_of(two_grids(), tmp_path)
    assert "<title>My &lt;study&gt;</title>" in text
    assert '<h2 id="grid1">networks &amp; co</h2>' in text
    assert "Varied: network. The same in all trainings: start: chance; kinds of images: cells" in text
    assert "Varied: training images. The same in all trainings: network: n;" in text
    assert "network: n against m" in text
    assert "training images: 10 against 20" in text


def test_the_best_cell_is_bold_and_one_without_scores_has_a_dash(tmp_path):
    text = page_of(two_grids(), tmp_path)
    row_of = {name: re.search(rf"<tr><td>{name}</td>.*", text).group() for name in "nmk"}
    assert '<td class="best">0.600</td>' in row_of["m"]
    assert "<td>0.500</td>" in row_of["n"]
    assert "<td>0</td><td>0</td><td>-</td>" in row_of["k"]


def test_the_interval_of_two_replicates_ends_at_what_is_possible():
    row = {"network": "n", "replicates": 2, "test_images": 1}
    row.update({f"{name}{bound}": 0.5 for name in SUMMARIZED for bound in ("", "_low", "_high")})
    row.update({"mean_f1_low": -0.2, "mean_f1_high": 1.2, "merges_low": -3.0, "merges_high": 4.0})
    remarks = [cell.remark for cell in cell_table(pd.DataFrame([row]), ["network"]).rows[0]]
    assert "0.000 to 1.000" in remarks and "0.0 to 4.0" in remarks


def test_the_page_says_its_limits(tmp_path):
    assert "Limits: 1 replicate of each cell" in page_of(two_grids(), tmp_path / "one")
    text = page_of(varied("images", [1, 2], replicates=3), tmp_path / "three")
    assert "Limits: 3 replicates of each cell" in text


def test_a_grid_of_one_level_has_a_table_and_no_comparison(tmp_path):
    text = page_of(varied("network", ["n"]), tmp_path)
    assert "Nothing is varied." in text
    assert "paired comparison" not in text


def test_views_have_a_figure_where_they_were_looked_at(tmp_path):
    assert "Several views" in page_of(two_grids(), tmp_path / "some")
    assert "Several views" not in page_of(varied("images", [1, 2]), tmp_path / "none")


def test_tables_and_figures_lie_beside_the_page_and_older_figures_go(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "9_old.png").touch()
    page_of(two_grids(), tmp_path)
    tables = {"summary.csv", "comparisons.csv", "trainings.csv", "scores.csv", "views.csv"}
    names = {path.name for path in tmp_path.iterdir()}
    assert names - {"scores.parquet"} == {*tables, "report.html", "figures"}
    drawn = {path.name for path in (tmp_path / "figures").glob("*.png")}
    networks = {"1_f1_by_network.png", "1_score_by_cost.png", "1_errors_by_network.png"}
    assert drawn == {*networks, "2_scores_by_images.png", "views.png"}
    assert len(pd.read_csv(tmp_path / "summary.csv")) == 5
    assert len(pd.read_csv(tmp_path / "comparisons.csv")) == 2


def test_with_pyarrow_the_scores_are_a_parquet_file_too(tmp_path):
    pytest.importorskip("pyarrow")
    results = two_grids()
    page_of(results, tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "scores.parquet"), results.scores)


def test_without_pyarrow_the_other_files_are_written(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else find(name))
    page_of(two_grids(), tmp_path)
    assert not (tmp_path / "scores.parquet").exists()
    assert (tmp_path / "scores.csv").exists()


def test_the_same_study_gives_the_same_page(tmp_path):
    assert page_of(two_grids(), tmp_path / "one") == page_of(two_grids(), tmp_path / "two")


def test_a_study_without_grids_has_a_page(tmp_path):
    assert "in\n0 grids" in page_of(study([training("a")], [image_score("a", 0.5)], {}), tmp_path)


def test_a_missing_library_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "REPORT_LIBRARIES", ("no_such_library",))
    with pytest.raises(ConfigError, match="no_such_library"):
        write_study_report(two_grids(), tmp_path / "new", "title")
    assert not (tmp_path / "new").exists()
