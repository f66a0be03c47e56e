"""The report: one file that needs no other, tables and figures beside it, pictures, times, and what is refused."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from method_folders import TRUTH, make_folders, report_config
from PIL import Image

from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.writing import write_labels, write_png
from nucdl_core.reports.methods import Inputs
from nucdl_core.reports.page import ReportConfig, render_page, require_libraries, write_method_report
from nucdl_core.scores.object_errors import COLOURS, ErrorClass

# A name that HTML would take for a tag and matplotlib for a wrong formula.
DEEP = r"<i>deep</i> $\frac$"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture
def folders(tmp_path):
    return make_folders(tmp_path)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report on two methods, one with times, and two kinds of images, with names that are hard to show."""
    folder = make_folders(tmp_path_factory.mktemp("report"), "kind/of <b>")
    write_method_report(report_config(folder, names=(DEEP, "classic"), strata=folder / "strata.csv"))
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
    write_method_report(report_config(folders, strata=folders / "strata.csv"))
    (folders / "out_files" / "my notes.png").write_text("mine")
    write_method_report(report_config(folders))
    names = {path.name for path in (folders / "out_files").iterdir()}
    assert "my notes.png" in names and "category_1.svg" not in names


def test_a_report_that_fails_leaves_the_former_one(folders):
    write_method_report(report_config(folders))
    before = {path: path.read_bytes() for path in folders.rglob("*") if path.is_file()}
    write_png(folders / "images" / "b.png", np.zeros((9, 9), np.uint8))
    before[folders / "images" / "b.png"] = (folders / "images" / "b.png").read_bytes()
    with pytest.raises(ImageError, match=r"b\.png"):
        write_method_report(report_config(folders))
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
    again = report_config(report, names=(DEEP, "classic"), strata=report / "strata.csv")
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


def test_an_output_that_is_no_html_file_is_refused(folders):
    with pytest.raises(ConfigError, match="out.pdf: a report is an HTML file"):
        ReportConfig(report_config(folders).inputs, folders / "images", folders / "out.pdf")


def test_a_missing_library_is_named_with_the_command_that_installs_it(folders, monkeypatch):
    monkeypatch.setattr("nucdl_core.reports.page.REPORT_LIBRARIES", ("jinja2", "no_such_library"))
    with pytest.raises(ConfigError, match=r'a report needs no_such_library.*pip install "nucdl\[report\]"'):
        require_libraries()
    with pytest.raises(ConfigError, match="a report needs no_such_library"):
        write_method_report(report_config(folders))
    assert not (folders / "out_files").exists()


def test_the_template_asks_for_nothing_that_it_is_not_given():
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        render_page("report.html", {})
