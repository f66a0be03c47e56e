"""The report: one file that needs no other, tables and figures beside it, pictures, times, and what is refused."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from drawings import disks
from PIL import Image

from nucdl_core.cli.main import main
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.writing import write_labels, write_png
from nucdl_core.reports.data import NucleusCollector, choose_images, image_files_by_stem, image_times
from nucdl_core.reports.figures import figure_bytes, times_per_image
from nucdl_core.reports.gallery import SIDE, gallery_picture
from nucdl_core.reports.methods import Evaluation, Inputs, evaluate_methods
from nucdl_core.reports.page import ReportConfig, render_page, require_libraries, write_method_report
from nucdl_core.scores.object_errors import COLOURS, ErrorClass

TRUTH = disks((60, 80), [(15, 15), (15, 45), (40, 20), (42, 60)], 9)
IMAGES = ("a", "b", "c", "d")
# A name that HTML would take for a tag and matplotlib for a wrong formula.
DEEP = r"<i>deep</i> $\frac$"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def make_folders(folder):
    """Make four images, a method that finds everything, and one that loses a nucleus more in each image."""
    for name in ("images", "truth", "good", "bad"):
        (folder / name).mkdir()
    for lost, image in enumerate(IMAGES):
        write_png(folder / "images" / f"{image}.png", (TRUTH > 0).astype(np.uint8) * 200)
        write_labels(folder / "truth" / f"{image}.tif", TRUTH)
        write_labels(folder / "good" / f"{image}_labels.tif", TRUTH)
        kept = np.where(np.isin(TRUTH, range(1, lost + 1)), 0, TRUTH)
        write_labels(folder / "bad" / f"{image}_labels.tif", kept.astype(np.int32))
    (folder / "strata.csv").write_text("image,kind/of <b>\na,x\nb,x\nc,y\nd,y\n")
    results = [{"file": f"/somewhere/{image}.png", "seconds": 0.5, "error": None} for image in IMAGES]
    results.append({"file": "/somewhere/broken.png", "seconds": 9.0, "error": "cut off"})
    (folder / "good" / "run.json").write_text(json.dumps({"results": results}))
    return folder


def config(folder, names=("deep", "classic"), **options):
    inputs = Inputs(folder / "truth", list(zip(names, (folder / "good", folder / "bad"))), **options)
    return ReportConfig(inputs, folder / "images", folder / "out.html")


@pytest.fixture
def folders(tmp_path):
    return make_folders(tmp_path)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report on two methods, one with times, and two kinds of images, with names that are hard to show."""
    folder = make_folders(tmp_path_factory.mktemp("report"))
    write_method_report(config(folder, names=(DEEP, "classic"), strata=folder / "strata.csv"))
    return folder


@pytest.fixture
def page(report):
    return (report / "out.html").read_text(encoding="utf-8")


def test_the_report_is_one_file_that_asks_for_no_other(report, page):
    links = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(links) > 10
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not re.search(r"url\(|@import|<script|<link", page)
    assert f"{pd.read_csv(report / 'out_files' / 'summary.csv')['mean_f1'][1]:.3f}" in page


def test_tables_and_figures_lie_beside_it(report):
    names = {path.name for path in (report / "out_files").iterdir()}
    tables = {"evaluation.csv", "summary.csv", "comparisons.csv", "nuclei.csv", "times.csv", "summary.json"}
    drawn = ("f1_curves", "error_types", "missed_by_size", "score_by_density", "times_per_image", "category_1")
    assert names == tables | {f"{name}.{kind}" for name in drawn for kind in ("svg", "png")}
    nuclei = pd.read_csv(report / "out_files" / "nuclei.csv")
    assert nuclei.groupby(["method", "side", "error"]).size().to_dict() == {
        ("classic", "prediction", "matched"): 10,
        ("classic", "truth", "matched"): 10,
        ("classic", "truth", "missed"): 6,
        (DEEP, "prediction", "matched"): 16,
        (DEEP, "truth", "matched"): 16,
    }
    assert Image.open(report / "out_files" / "f1_curves.png").size[0] > 1000


def test_figures_of_a_former_report_go_and_other_files_stay(folders):
    write_method_report(config(folders, strata=folders / "strata.csv"))
    (folders / "out_files" / "my notes.png").write_text("mine")
    write_method_report(config(folders))
    names = {path.name for path in (folders / "out_files").iterdir()}
    assert "my notes.png" in names and "category_1.svg" not in names


def test_a_report_that_fails_leaves_the_former_one(folders):
    write_method_report(config(folders))
    before = {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()}
    write_png(folders / "images" / "b.png", np.zeros((9, 9), np.uint8))
    before[folders / "images" / "b.png"] = (folders / "images" / "b.png").read_bytes()
    with pytest.raises(ImageError, match=r"b\.png"):
        write_method_report(config(folders))
    assert {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()} == before


def test_names_from_outside_are_escaped(page):
    assert "<i>deep" not in page
    assert r"&lt;i&gt;deep&lt;/i&gt; $\frac$" in page
    assert "kind/of &lt;b&gt;" in page


def test_pictures_in_the_page_can_be_decoded(page):
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    # Four images, two methods.
    assert len(pictures) == 8
    assert Image.open(io.BytesIO(base64.b64decode(pictures[0]))).size == (480, 360)


@pytest.mark.slow
def test_the_same_input_gives_the_same_file(report, page):
    again = config(report, names=(DEEP, "classic"), strata=report / "strata.csv")
    write_method_report(dataclasses.replace(again, output=report / "again" / "out.html"))
    assert (report / "again" / "out.html").read_text(encoding="utf-8") == page


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome was found")
def test_a_browser_without_a_network_shows_figures_and_pictures(report, tmp_path):
    picture = tmp_path / "page.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1240,6000"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command = [BROWSER, *options, f"--screenshot={picture}", (report / "out.html").as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    shown = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    # Method colours are drawn by the figures, error colours also by the pictures.
    for colour in ((0, 114, 178), (230, 159, 0), COLOURS[ErrorClass.MATCHED], COLOURS[ErrorClass.MISSED]):
        assert (np.abs(shown - colour).max(axis=2) < 12).sum() > 200, colour


def test_one_method_without_times_on_images_without_nuclei_can_be_reported(folders):
    for name in ("truth", "bad"):
        for path in (folders / name).glob("*.tif"):
            write_labels(path, np.zeros_like(TRUTH))
    inputs = Inputs(folders / "truth", [("classic", folders / "bad")])
    evaluation = write_method_report(ReportConfig(inputs, folders / "images", folders / "out.html"))
    assert evaluation.overall("classic")["mean_f1"] == 1
    text = (folders / "out.html").read_text(encoding="utf-8")
    assert "p (Wilcoxon)" not in text
    assert 'id="time"' not in text
    for name in ("times_per_image", "missed_by_size"):
        assert not (folders / "out_files" / f"{name}.png").exists()


def test_a_time_of_0_seconds_can_be_drawn():
    times = pd.DataFrame({"method": ["a", "a"], "image": ["x", "y"], "seconds": [0.0, 0.0]})
    assert len(figure_bytes(times_per_image(times, ["a"]), "png")) > 1000


def collected(folders):
    collector = NucleusCollector()
    evaluate_methods(config(folders).inputs, collector)
    return collector.table()


def test_each_nucleus_has_its_place_size_and_error(folders):
    table = collected(folders)
    lost = table[(table["method"] == "classic") & (table["image"] == "b") & (table["error"] == "missed")]
    (row,) = lost.to_dict("records")
    assert (row["x"], row["y"], row["iou"], row["side"]) == (15, 15, 0, "truth")
    assert row["diameter"] == pytest.approx(2 * 9, abs=0.3)


def test_times_come_from_the_run_and_a_table_comes_first(folders):
    predictions = config(folders).inputs.predictions
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
        image_times(config(folders).inputs.predictions, IMAGES, folders / "times.csv")


@pytest.mark.parametrize("content", ["{", '{"results": 3}', '{"other": []}'])
def test_a_record_that_is_none_is_refused_by_name(folders, content):
    (folders / "good" / "run.json").write_text(content)
    with pytest.raises(ConfigError, match=r"good/run.json: this is no record of nucdl segment"):
        write_method_report(config(folders))


def test_images_are_found_by_stem_and_a_missing_one_is_named(folders):
    assert image_files_by_stem(folders / "images", ["b"]) == {"b": folders / "images" / "b.png"}
    (folders / "images" / "b.png").unlink()
    with pytest.raises(ImageError, match="images: there is no image b for the label image"):
        write_method_report(config(folders))
    (folders / "images" / "a.tif").touch()
    with pytest.raises(ImageError, match=r"a.tif: a.png beside it has the same name"):
        write_method_report(config(folders))


def test_an_image_of_another_shape_is_refused_by_name(folders):
    write_png(folders / "images" / "d.png", np.zeros((60, 79), np.uint8))
    with pytest.raises(ImageError, match=r"d.png against .*truth/d.tif: \(60, 79\) and \(60, 80\) differ"):
        write_method_report(config(folders))


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


def test_a_small_picture_is_enlarged_and_shows_errors_in_their_colours(folders):
    files = folders / "truth" / "b.tif", folders / "bad" / "b_labels.tif"
    picture = gallery_picture(folders / "images" / "b.png", files)
    assert picture.shape == (60 * 6, 80 * 6, 3)
    shown = {tuple(colour) for colour in picture.reshape(-1, 3)}
    assert COLOURS[ErrorClass.MATCHED] in shown
    assert COLOURS[ErrorClass.MISSED] in shown
    assert COLOURS[ErrorClass.EXTRA] not in shown


def test_of_a_large_image_the_middle_is_shown(folders):
    shape = (SIDE + 100, SIDE + 200)
    truth = disks(shape, [(shape[0] / 2, shape[1] / 2), (5, 5)], 4)
    write_labels(folders / "truth.tif", truth)
    write_png(folders / "image.png", (truth > 0).astype(np.uint8))
    picture = gallery_picture(folders / "image.png", (folders / "truth.tif", None))
    assert picture.shape == (SIDE, SIDE, 3)
    rows, cols = np.nonzero((picture == COLOURS[ErrorClass.MISSED]).all(axis=2))
    assert abs(rows.mean() - SIDE / 2) < 1
    assert abs(cols.mean() - SIDE / 2) < 1


def test_an_output_that_is_no_html_file_is_refused(folders):
    with pytest.raises(ConfigError, match="out.pdf: a report is an HTML file"):
        ReportConfig(config(folders).inputs, folders / "images", folders / "out.pdf")


def test_a_missing_library_is_named_with_the_command_that_installs_it(folders, monkeypatch):
    monkeypatch.setattr("nucdl_core.reports.page.REPORT_LIBRARIES", ("jinja2", "no_such_library"))
    with pytest.raises(ConfigError, match="a report needs no_such_library.*pip install no_such_library"):
        require_libraries()
    with pytest.raises(ConfigError, match="a report needs no_such_library"):
        write_method_report(config(folders))
    assert not (folders / "out_files").exists()


def test_the_template_asks_for_nothing_that_it_is_not_given():
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        render_page({})


def test_the_command_writes_the_report_and_says_what_was_missing(folders):
    (folders / "bad" / "c_labels.tif").unlink()
    arguments = ["report", "--truth", folders / "truth", "--images", folders / "images", "--allow-missing"]
    arguments += ["--prediction", f"deep={folders / 'good'}", "--prediction", f"classic={folders / 'bad'}"]
    arguments += ["--output", folders / "new" / "out.html"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "deep against classic" in result.output
    assert "classic: no prediction for 1 images, counted as empty: c" in result.output
    text = (folders / "new" / "out.html").read_text(encoding="utf-8")
    assert re.search(r"<b>classic</b> has no prediction for 1 images[^<]*: c\.", text)
