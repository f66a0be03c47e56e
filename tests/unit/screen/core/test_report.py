"""The report of a screen: figures that add up, and a page that shows them."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest
from screen_folders import count_of, finish_chunk, make_screen, row

from nucdl_core.screen.core import html
from nucdl_core.screen.core.html import plate_array, plate_maps, row_name, well_place
from nucdl_core.screen.core.merge import merge_screen
from nucdl_core.screen.core.report import make_report, write_screen_report
from nucdl_core.screen.core.wells import well_table

ROWS = [row(number) for number in range(1, 8)]


@pytest.fixture
def merged(tmp_path):
    """A merged screen of the wells A01, A02 and A03, of which the image sets 2 and 7 failed."""
    folder, plan, chunks = make_screen(tmp_path / "screen", ROWS, [3, 4])
    for chunk in chunks:
        finish_chunk(folder, plan, chunk, failed=(2, 7))
    return folder, merge_screen(folder)


def test_wells_are_summed_up(merged):
    wells = well_table(merged[0].merged).set_index("well")
    assert list(wells.index) == ["A01", "A02", "A03"]
    assert list(wells["image_sets"]) == [3, 3, 1]
    assert list(wells["failed"]) == [1, 0, 1]
    assert wells.loc["A01", "nuclei"] == count_of(ROWS[0]) + count_of(ROWS[2])
    assert np.isnan(wells.loc["A03", "nuclei"])
    assert wells.loc["A02", "confidence"] == 0.5
    assert list(wells["empty"]) == [0, 0, 0]
    assert wells.attrs["objects"] == "Nuclei"


def test_flags_are_counted(merged):
    path = merged[0].merged / "inspection.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(line + "saturated;empty" for line in lines[1:3]), *lines[3:]]) + "\n")
    wells = well_table(merged[0].merged).set_index("well")
    assert list(wells["saturated"]) == [2, 0, 0]
    assert list(wells["empty"]) == [2, 0, 0]


def test_a_list_without_wells_gives_one_line(tmp_path):
    rows = [{name: value for name, value in each.items() if "Metadata" not in name} for each in ROWS]
    folder, _, _ = make_screen(tmp_path / "screen", rows, [7])
    folder.merged.mkdir()
    (folder.merged / "failed_image_sets.csv").write_text("ImageNumber,Step,Module,Files,Reason\n3,a,b,c,d\n")
    (folder.merged / "inspection.csv").write_text("ImageNumber,focus,flags\n3,0.5,\n")
    wells = well_table(folder.merged)
    assert wells[["plate", "well", "image_sets", "failed"]].values.tolist() == [["", "", 1, 1]]


def test_the_report_adds_up(merged):
    folder, screen = merged
    report = make_report(folder, screen.chunks)
    assert (report["image_sets"], report["succeeded"], report["failed"], report["chunks"]) == (7, 5, 2, 2)
    assert report["failures"] == [
        {"step": "CellProfiler", "module": "Find", "reason": "ValueError: no", "image_sets": 2}
    ]
    assert report["seconds_per_step"] == {"cellprofiler": 1.0}
    assert report["processor_seconds_per_module"] == {"02Find": 1.0}
    # Seven image sets in 1 s of processes, and in the 0.5 s that both took side by side.
    assert report["throughput"]["image_sets_per_process_hour"] == 25200
    assert report["throughput"]["image_sets_per_hour"] == 50400
    assert set(report["hashes"]["tables"]) >= {"Image.csv", "Nuclei.csv", "screen.sqlite"}


def test_image_sets_of_another_size_than_most_are_named(merged, tmp_path):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    folder, screen = merged
    assert make_report(folder, screen.chunks)["of_another_size"] == 0
    path = folder.merged / "inspection.csv"
    table = pd.read_csv(path)
    table.loc[table["ImageNumber"].isin([3, 5]), "width"] = 9
    table.to_csv(path, index=False)
    report = make_report(folder, screen.chunks)
    assert (report["usual_size"], report["first_of_another_size"]) == ({"height": 4, "width": 4}, [3, 5])
    html.write_html(tmp_path / "page.html", report)
    words = " ".join((tmp_path / "page.html").read_text().split())
    assert "2 image sets have another size than most, whose images have 4 x 4 pixels: ImageNumber 3, 5." in words


def test_the_report_is_written_for_programs_and_for_people(merged):
    folder, screen = merged
    pytest.importorskip("matplotlib")
    assert write_screen_report(folder, screen.chunks)
    report = json.loads((folder.merged / "run_report.json").read_text())
    # JSON knows no NaN.
    assert report["wells"][2]["nuclei"] is None
    page = (folder.merged / "report.html").read_text(encoding="utf-8")
    assert "5 of 7 image sets succeeded" in page
    assert "ValueError: no" in page
    assert report["hashes"]["pipeline"] in page
    assert page.count("data:image/png;base64,") == 8


def test_words_from_files_cannot_become_code_in_the_page(merged, tmp_path):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    folder, screen = merged
    report = make_report(folder, screen.chunks)
    report["failures"][0]["reason"] = "<script>alert(1)</script>"
    html.write_html(tmp_path / "page.html", report)
    page = (tmp_path / "page.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_without_the_packages_for_html_there_is_json_alone(merged, monkeypatch):
    folder, screen = merged
    monkeypatch.setattr(html, "_NEEDED", ("no_such_package",))
    assert not write_screen_report(folder, screen.chunks)
    assert (folder.merged / "run_report.json").is_file()
    assert not (folder.merged / "report.html").exists()


@pytest.mark.parametrize(
    ("well", "place"),
    [("A01", (0, 0)), ("p24", (15, 23)), ("AF48", (31, 47)), ("r01c02", None), ("A0", None), ("", None)],
)
def test_wells_have_places(well, place):
    assert well_place(well) == place
    if place:
        assert row_name(place[0]) == well.upper().rstrip("0123456789")


def test_the_smallest_plate_that_has_all_wells_is_drawn():
    assert plate_array({(7, 11): 1.0}).shape == (8, 12)
    assert plate_array({(8, 0): 1.0}).shape == (16, 24)
    assert plate_array({(31, 47): 1.0}).shape == (32, 48)
    assert np.isnan(plate_array({(0, 0): 1.0})).sum() == 95


def test_a_quantity_that_no_well_has_gets_no_map():
    pytest.importorskip("matplotlib")
    well = {"plate": "P", "well": "A01", **dict.fromkeys(html.QUANTITIES, float("nan")), "nuclei": 5}
    ((title, picture),) = plate_maps([well, {**well, "plate": "Q", "failed": 3}], "P")
    assert title == "objects"
    assert base64.b64decode(picture).startswith(b"\x89PNG")


def test_fields_that_were_left_out_are_counted_by_what_they_share(merged):
    folder, found = merged
    reasons = [f"2,left out,,a.tif,out of focus: the focus is 0.0{n}" for n in (1, 2)]
    (folder.merged / "failed_image_sets.csv").write_text(
        "\n".join(["ImageNumber,Step,Module,Files,Reason", *reasons, "3,reading images,,b.tif,DNA: cut off", ""])
    )
    report = make_report(folder, found.chunks)
    assert report["left_out"] == 2
    assert [(each["reason"], each["image_sets"]) for each in report["failures"]] == [
        ("out of focus", 2),
        ("DNA: cut off", 1),
    ]


def test_one_failure_has_a_colour_of_its_own():
    assert html.count_steps(np.array([[0, 1], [0, np.nan]])) == [0, 1]
    assert html.count_steps(np.array([[3.0, 3.0]])) == [3]
    assert html.count_steps(np.array([[0.0, 40.0]])) is None


def test_the_report_says_when_and_where_it_was_made_and_what_an_image_set_costs(merged):
    folder, found = merged
    report = make_report(folder, found.chunks)
    assert report["folder"] == str(folder.root) and report["host"]
    assert report["first_chunk_begun"] <= report["written"]
    if write_screen_report(folder, found.chunks):
        page = (folder.merged / "report.html").read_text()
        assert "per image set" in page and f"nucdl screen report --output {folder.root}" in page


def test_a_screen_without_failures_has_a_report(tmp_path):
    folder, plan, chunks = make_screen(tmp_path / "screen", ROWS[:2], [2])
    finish_chunk(folder, plan, chunks[0])
    report = make_report(folder, merge_screen(folder).chunks)
    assert (report["failures"], report["left_out"]) == ([], 0)
