"""Several methods against one truth: tables, groups of images, paired tests, and inputs that are refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from method_folders import IMAGES, TRUTH, make_folders

from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.reports.methods import Inputs, comparison_text, evaluate_methods, write_method_tables


@pytest.fixture
def folders(tmp_path):
    return make_folders(tmp_path)


def inputs(folder, **options):
    return Inputs(folder / "truth", [("deep", folder / "good"), ("classic", folder / "bad")], **options)


def test_each_method_has_a_row_per_image_and_its_means(folders):
    found = evaluate_methods(inputs(folders))
    assert found.methods == ["deep", "classic"]
    assert found.scores["method"].tolist() == ["deep"] * 4 + ["classic"] * 4
    assert found.scores["image"].tolist() == [*IMAGES, *IMAGES]
    assert found.scores["f1_0.50"].tolist()[4:] == pytest.approx([1, 6 / 7, 4 / 6, 2 / 5])
    assert found.scores["truth_cover"].iloc[0] == pytest.approx((TRUTH > 0).mean())
    classic = found.overall("classic")
    assert classic["mean_f1"] == pytest.approx(found.scores["mean_f1"][4:].mean())
    assert classic["mean_f1_low"] < classic["mean_f1"] < classic["mean_f1_high"]
    assert (classic["images"], classic["missed_0.70"], classic["missing_predictions"]) == (4, 6, 0)
    assert found.overall("deep")["mean_f1_low"] == 1


def test_methods_are_compared_on_the_same_images(folders):
    (row,) = evaluate_methods(inputs(folders)).comparisons.query("score == 'mean_f1'").to_dict("records")
    assert (row["method"], row["other"], row["category"], row["value"]) == ("deep", "classic", "all", "all")
    assert (row["images"], row["better"], row["worse"]) == (4, 3, 0)
    assert row["rank_biserial"] == 1
    assert row["p_value"] == row["p_holm"] == pytest.approx(0.25)
    assert row["low"] < row["difference"] < row["high"]


def test_every_pair_of_three_methods_is_compared_and_corrected_together(folders):
    three = Inputs(folders / "truth", [(name, folders / "bad") for name in "xy"] + [("z", folders / "good")])
    table = evaluate_methods(three).comparisons.query("score == 'dsb_score'")
    assert list(zip(table["method"], table["other"])) == [("x", "y"), ("x", "z"), ("y", "z")]
    assert table["p_value"].tolist() == pytest.approx([1, 0.25, 0.25])
    assert table["p_holm"].tolist() == pytest.approx([1, 0.75, 0.75])


def test_groups_of_images_have_their_own_means_and_tests(folders):
    found = evaluate_methods(inputs(folders, strata=folders / "strata.csv"))
    groups = found.means[found.means["method"] == "classic"].set_index("value")
    assert groups.index.tolist() == ["all", "x", "y"]
    assert groups["category"].tolist() == ["all", "kind", "kind"]
    assert groups["missed_0.70"].tolist() == [6, 1, 5]
    assert groups["images"].tolist() == [4, 2, 2]
    assert found.comparisons.query("value == 'y' and score == 'mean_f1'")["better"].tolist() == [2]
    assert found.scores["kind"].tolist() == ["x", "x", "y", "y"] * 2


@pytest.mark.parametrize("name", ["splits", "all", "category"])
def test_a_column_of_categories_must_not_have_the_name_of_a_result(folders, name):
    (folders / "strata.csv").write_text(f"image,{name}\na,x\nb,x\nc,y\nd,y\n")
    with pytest.raises(ConfigError, match=f"strata.csv: the column '{name}' has the name of a result"):
        evaluate_methods(inputs(folders, strata=folders / "strata.csv"))


def test_a_missing_prediction_is_named_or_counted_as_empty(folders):
    (folders / "bad" / "c_labels.tif").unlink()
    with pytest.raises(ImageError, match=r"truth/c.tif: no c_labels.tif, .*bad"):
        evaluate_methods(inputs(folders))
    found = evaluate_methods(inputs(folders, allow_missing=True))
    assert found.missing == {"classic": ["c"]}
    row = found.scores.query("method == 'classic' and image == 'c'").iloc[0]
    assert (row["n_prediction"], row["missed_0.70"], bool(row["missing"])) == (0, 4, True)
    assert found.overall("classic")["missing_predictions"] == 1


def test_a_prediction_without_truth_is_refused_even_where_some_may_be_missing(folders):
    (folders / "truth" / "c.tif").unlink()
    with pytest.raises(ImageError, match=r"good/c_labels.tif: no c_labels.tif, .*truth"):
        evaluate_methods(inputs(folders, allow_missing=True))


@pytest.mark.parametrize(
    "content, reason",
    [
        (np.zeros((60, 80, 3), np.uint8), "this is an RGB image"),
        (np.zeros((60, 80), np.float32), "labels are whole numbers, this array holds float32"),
        (np.full((60, 80), -1, np.int16), "labels start at 0, this array holds -1"),
        (np.zeros((60, 79), np.uint16), r"\(60, 79\) and \(60, 80\) differ in shape"),
    ],
)
def test_what_is_no_label_image_of_the_same_field_is_refused_by_name(folders, content, reason):
    tifffile.imwrite(folders / "bad" / "b_labels.tif", content)
    with pytest.raises(ImageError, match=f"bad/b_labels.tif.*{reason}"):
        evaluate_methods(inputs(folders))


@pytest.mark.parametrize(
    "names, reason",
    [
        (["deep", "deep"], r"two predictions are called 'deep' \(.*good and .*bad\)"),
        (["deep", " "], "a prediction has no name"),
        ([], "at least one folder of predictions"),
    ],
)
def test_names_that_do_not_tell_methods_apart_are_refused(folders, names, reason):
    with pytest.raises(ConfigError, match=reason):
        Inputs(folders / "truth", [(name, folders / place) for name, place in zip(names, ("good", "bad"))])


def test_the_tables_are_written_and_read_again(folders):
    found = evaluate_methods(inputs(folders, strata=folders / "strata.csv"))
    write_method_tables(folders / "new" / "result", found)
    for name, table in (
        ("evaluation.csv", found.scores),
        ("summary.csv", found.means),
        ("comparisons.csv", found.comparisons),
    ):
        pd.testing.assert_frame_equal(pd.read_csv(folders / "new" / "result" / name), table)
    summary = json.loads((folders / "new" / "result" / "summary.json").read_text())
    assert list(summary) == ["deep", "classic"]
    assert summary["classic"]["missed_0.70"] == 6


def test_the_text_holds_the_scores_and_the_comparison(folders):
    lines = comparison_text(evaluate_methods(inputs(folders))).splitlines()
    assert len({len(line) for line in lines[:3]}) == 1
    assert lines[1].split()[:2] == ["deep", "1.000"]
    assert "deep against classic: mean F1 +0.269" in lines[4]
    assert "better on 3 and worse on 0 of 4 images" in lines[4]


def test_one_method_is_compared_with_nothing(folders):
    found = evaluate_methods(Inputs(folders / "truth", [("deep", folders / "good")]))
    assert len(found.comparisons) == 0
    assert "against" not in comparison_text(found)
    write_method_tables(folders / "out", found)
    table = pd.read_csv(folders / "out" / "comparisons.csv")
    assert list(table.columns) == list(evaluate_methods(inputs(folders)).comparisons.columns)
