"""nucdl evaluate and nucdl report."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from commands import nucdl
from method_folders import IMAGES, make_folders


@pytest.fixture
def folders(tmp_path):
    return make_folders(tmp_path)


def options(folder, *more):
    return ("evaluate", "--truth", folder / "truth", "--prediction", f"deep={folder / 'good'}", *more)


def test_the_command_compares_named_methods(folders):
    out = folders / "out"
    more = ("--prediction", f"classic={folders / 'bad'}", "--strata", folders / "strata.csv", "--output", out)
    result = nucdl(*options(folders, *more))
    assert result.exit_code == 0, result.output
    assert "deep against classic" in result.output
    names = ["comparisons.csv", "evaluation.csv", "summary.csv", "summary.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert pd.read_csv(out / "summary.csv")["value"].tolist() == ["all", "all", "x", "x", "y", "y"]


def test_the_command_names_what_was_missing(folders):
    (folders / "good" / "a_labels.tif").unlink()
    result = nucdl(*options(folders, "--output", folders / "out"))
    assert result.exit_code == 1
    assert "no a_labels.tif" in result.output
    result = nucdl(*options(folders, "--output", folders / "out", "--allow-missing"))
    assert result.exit_code == 0
    assert "deep: no prediction for 1 images, counted as empty: a" in result.output


def test_the_command_names_columns_that_are_no_categories(folders, monkeypatch):
    monkeypatch.setattr("nucdl_core.reports.strata.MAX_CATEGORIES", 3)
    (folders / "strata.csv").write_text("image,kind,nuclei\na,x,1\nb,x,2\nc,y,3\nd,y,4\n")
    result = nucdl(*options(folders, "--output", folders / "out", "--strata", folders / "strata.csv"))
    assert "not used: nuclei" in result.output


def test_two_methods_of_one_name_and_a_missing_output_are_clear_errors(folders):
    result = nucdl(*options(folders, "--prediction", f"deep={folders / 'bad'}", "--output", folders / "out"))
    assert result.exit_code == 1
    assert "two predictions are called 'deep'" in result.output
    result = nucdl(*options(folders))
    assert result.exit_code == 2
    assert "need a folder for the tables: --output DIR" in result.output


def test_a_single_folder_without_a_name_is_evaluated_as_before(folders):
    result = nucdl("evaluate", "--truth", folders / "truth", "--prediction", folders / "bad")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(folders / "bad" / "evaluation.csv")
    assert "method" not in table.columns
    assert table["image"].tolist() == list(IMAGES)
    summary = json.loads((folders / "bad" / "summary.json").read_text())
    assert summary["missed_0.70"] == 6
    assert not (folders / "bad" / "summary.csv").exists()


def test_folders_without_names_are_called_by_their_own(folders):
    more = ("--prediction", folders / "bad", "--output", folders / "out")
    result = nucdl("evaluate", "--truth", folders / "truth", "--prediction", folders / "good", *more)
    assert result.exit_code == 0, result.output
    assert pd.read_csv(folders / "out" / "summary.csv")["method"].tolist() == ["good", "bad"]


def test_a_folder_with_an_equals_sign_in_its_name_is_found(folders):
    (folders / "bad").rename(folders / "a=b")
    result = nucdl("evaluate", "--truth", folders / "truth", "--prediction", folders / "a=b")
    assert result.exit_code == 0, result.output
    result = nucdl("evaluate", "--truth", folders / "truth", "--prediction", f"x={folders / 'gone'}")
    assert result.exit_code == 2
    assert "does not exist" in result.output


def test_the_command_writes_the_report_and_says_what_was_missing(folders):
    (folders / "bad" / "c_labels.tif").unlink()
    arguments = ["report", "--truth", folders / "truth", "--images", folders / "images", "--allow-missing"]
    arguments += ["--prediction", f"deep={folders / 'good'}", "--prediction", f"classic={folders / 'bad'}"]
    arguments += ["--output", folders / "new" / "out.html"]
    result = nucdl(*arguments)
    assert result.exit_code == 0, result.output
    assert "deep against classic" in result.output
    assert "classic: no prediction for 1 images, counted as empty: c" in result.output
    text = (folders / "new" / "out.html").read_text(encoding="utf-8")
    assert re.search(r"<b>classic</b> has no prediction for 1 images[^<]*: c\.", text)
