"""What a report shows beside the scores: nuclei, times and chosen images."""

from __future__ import annotations

import pandas as pd
import pytest
from method_folders import IMAGES, make_folders, report_config

from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.reports.data import NucleusCollector, choose_images, image_files_by_stem, image_times
from nucdl_core.reports.methods import Evaluation, evaluate_methods
from nucdl_core.reports.page import write_method_report


@pytest.fixture
def folders(tmp_path):
    return make_folders(tmp_path)


def collected(folders):
    collector = NucleusCollector()
    evaluate_methods(report_config(folders).inputs, collector)
    return collector.table()


def test_each_nucleus_has_its_place_size_and_error(folders):
    table = collected(folders)
    lost = table[(table["method"] == "classic") & (table["image"] == "b") & (table["error"] == "missed")]
    (row,) = lost.to_dict("records")
    assert (row["x"], row["y"], row["iou"], row["side"]) == (15, 15, 0, "truth")
    assert row["diameter"] == pytest.approx(2 * 9, abs=0.3)


def test_times_come_from_the_run_and_a_table_comes_first(folders):
    predictions = report_config(folders).inputs.predictions
    times = image_times(predictions, IMAGES)
    assert times.to_dict("list") == {"method": ["deep"] * 4, "image": list(IMAGES), "seconds": [0.5] * 4}
    path = folders / "times.csv"
    path.write_text("method,image,seconds\nclassic,a.png,2\ndeep,a,3\nother,a,1\nclassic,z,1\n")
    times = image_times(predictions, IMAGES, path)
    assert times.to_dict("list") == {"method": ["classic", "deep"], "image": ["a", "a"], "seconds": [2, 3]}
    assert len(image_times(predictions[1:], IMAGES)) == 0


@pytest.mark.parametrize("content", ["method,image\ndeep,a\n", "method,image,seconds\ndeep,a,slow\n"])
def test_times_that_cannot_be_read_are_refused_by_name(folders, content):
    (folders / "times.csv").write_text(content)
    with pytest.raises(ConfigError, match="times.csv: the times cannot be read .*columns method, image, seconds"):
        image_times(report_config(folders).inputs.predictions, IMAGES, folders / "times.csv")


@pytest.mark.parametrize("content", ["{", '{"results": 3}', '{"other": []}'])
def test_a_record_that_is_none_is_refused_by_name(folders, content):
    (folders / "good" / "run.json").write_text(content)
    with pytest.raises(ConfigError, match=r"good/run.json: this is no record of nucdl segment"):
        write_method_report(report_config(folders))


def test_images_are_found_by_stem_and_a_missing_one_is_named(folders):
    assert image_files_by_stem(folders / "images", ["b"]) == {"b": folders / "images" / "b.png"}
    (folders / "images" / "b.png").unlink()
    with pytest.raises(ImageError, match="images: there is no image b for the label image"):
        write_method_report(report_config(folders))
    (folders / "images" / "a.tif").touch()
    with pytest.raises(ImageError, match=r"a.tif: a.png beside it has the same name"):
        write_method_report(report_config(folders))


def test_chosen_images_are_the_worst_the_best_typical_ones_and_those_that_differ():
    def scores(**methods):
        rows = [(name, image, score / 16) for name in methods for image, score in zip("abcdefgh", methods[name])]
        return Evaluation(pd.DataFrame(rows, columns=["method", "image", "mean_f1"]), None, None)

    first = (1, 2, 9, 4, 5, 6, 7, 8)
    assert choose_images(scores(x=first)) == {"worst": ["a", "b"], "best": ["c", "h"], "typical": ["e", "f"]}
    second = (1, 2, 9, 4, 5, 6, 5, 8)
    two = choose_images(scores(x=first, y=second))
    assert two == {"worst": ["a", "b"], "best": ["c", "h"], "typical": ["e", "f"], "differ": ["g"]}
    assert choose_images(scores(x=(3,))) == {"worst": ["a"]}
