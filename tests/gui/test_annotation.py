"""AnnotateNuclei in the real CellProfiler window on a virtual screen, used with mouse and keyboard as by a person.

The pictures of the documentation are renewed with
``NUCDL_ANNOTATION_PICTURES=docs/images make test ARGS=tests/gui/test_annotation.py``.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from nucdl_core.annotate.view import PALETTE, PENDING
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

REPOSITORY = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("drive_annotation.py")
SCREEN = (1400, 900)
FINISHED = ["images/A01.tif", "masks/A01.tif", "rois/A01_RoiSet.zip"]
LISTS = ["annotations.csv", "images.csv"]
LINE = (255, 230, 0)
STORIES = {"annotate_contour": ("line", "contour", "accepted"), "annotate_split": ("cut", "split", "merged")}

pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.fixture(scope="module")
def fields():
    config = FieldConfig(size=(420, 560), diameter=34.0, coverage=0.22)
    return {name: simulate_field(config, np.random.default_rng(seed)) for name, seed in (("A01", 5), ("A02", 6))}


@pytest.fixture(scope="module")
def window(drive, fields, tmp_path_factory):
    """What the driver saw, and the folder of its pictures and annotations."""
    folder = tmp_path_factory.mktemp("annotation")
    (folder / "fields").mkdir()
    for name, field in fields.items():
        tifffile.imwrite(folder / "fields" / f"{name}.tif", field.image)
    np.save(folder / "fields" / "truth.npy", fields["A01"].labels)
    return drive(DRIVER, SCREEN, folder, [folder / "fields", REPOSITORY, folder])


def picture(window, name):
    with Image.open(window["folder"] / f"{name}.png") as shown:
        return np.asarray(shown.convert("RGB")).astype(int)


def pixels_of(shown, colour):
    return int((np.abs(shown - colour).max(axis=2) <= 2).sum())


def test_the_module_is_offered_with_those_that_identify_objects(window):
    assert {"AnnotateNuclei", "IdentifyNucleiDL", "EditObjectsManually"} <= set(window["offered"]["offered"])
    assert window["offered"]["complaints"] == []


def test_a_rough_line_with_the_mouse_gives_the_contour_of_a_nucleus(window):
    seen = window["first"]
    assert seen["told"] == "Contour by the model. Enter accepts it, [ ] move it, Esc drops it."
    assert seen["overlap"] > 0.85
    assert (seen["left"], seen["accepted"]) == (seen["found"] - 1, seen["found"])
    assert (seen["offset"], seen["class"]) == (0.5, "mitotic")


def test_the_line_the_contour_and_the_accepted_nucleus_are_seen(window):
    line, contour, accepted = (picture(window, name) for name in ("line", "contour", "accepted"))
    assert pixels_of(line, LINE) > 100
    assert pixels_of(contour, PENDING) > 100 > pixels_of(accepted, PENDING)
    assert pixels_of(accepted, PALETTE[1]) > 100 > pixels_of(contour, PALETTE[1])


def test_nuclei_are_selected_split_merged_deleted_and_brought_back(window):
    seen = window["first"]
    assert (seen["selected"], seen["both_selected"]) == (True, 2)
    assert [seen[step] for step in ("split", "merged", "deleted", "undone")] == [1, 0, -1, 0]


def test_a_nucleus_is_boxed_with_the_keyboard_alone(window):
    assert window["first"]["by_keyboard"]


def test_the_image_is_zoomed_and_dragged_and_its_outlines_are_hidden(window):
    seen = window["first"]
    assert seen["zoomed"] == pytest.approx(1.25**4)
    assert seen["panned"] == [30, 60]
    assert seen["hidden"]


def test_a_draft_lies_apart_until_the_image_is_finished(window):
    seen = window["first"]
    assert seen["draft"] == sorted([f"drafts/{name}" for name in FINISHED] + LISTS)
    assert seen["finished"] == sorted(FINISHED + LISTS)


def test_the_figure_tells_what_was_annotated(window):
    seen, table = window["first"], window["table"]
    assert table["# of nuclei"] == str(seen["nuclei"])
    assert (table["Finished"], table["# of interphase"], table["# of mitotic"]) == ("yes", "3", "1")


def test_the_window_opens_again_with_what_was_saved(window):
    again = window["again"]
    assert (again["nuclei"], again["state"]) == (window["first"]["nuclei"], "finished")
    assert sorted(again["classes"].values()) == ["interphase"] * 3 + ["mitotic"]


def test_a_change_is_lost_neither_by_closing_nor_by_a_failure_to_save(window):
    assert window["again"]["goes_back"]
    assert window["again"]["stays"]
    assert window["again"]["finished"] == window["first"]["finished"]


def test_a_run_in_worker_processes_passes_over_what_is_finished_and_saves_what_is_kept_as_a_draft(window):
    assert window["run"] == {"name": "A02", "message": ["Analysis complete"]}
    images = pd.read_csv(window["folder"] / "annotations" / "images.csv")
    assert images[["image", "state"]].values.tolist() == [["A01", "finished"], ["A02", "draft"]]
    nuclei = pd.read_csv(window["folder"] / "annotations" / "annotations.csv")
    assert nuclei.loc[nuclei["image"] == "A02", "class"].dropna().tolist() == ["interphase"]


def test_the_saved_image_is_the_file_itself(window, fields):
    assert np.array_equal(tifffile.imread(window["folder"] / "annotations/images/A01.tif"), fields["A01"].image)
    assert tifffile.imread(window["folder"] / "annotations/masks/A01.tif").max() == window["first"]["nuclei"]


def test_the_pictures_of_the_documentation_can_be_made(window):
    made = {"annotate_window": Image.fromarray(picture(window, "window").astype(np.uint8))}
    for name, parts in STORIES.items():
        shown = [picture(window, part) for part in parts]
        gap = np.full((len(shown[0]), 8, 3), 255)
        row = np.hstack([shown[0], gap, shown[1], gap, shown[2]])
        made[name] = Image.fromarray(row.astype(np.uint8))
    assert all(len(each.getcolors(maxcolors=each.width * each.height)) > 50 for each in made.values())
    wanted = os.environ.get("NUCDL_ANNOTATION_PICTURES")
    for name, each in made.items() if wanted else ():
        (REPOSITORY / wanted).mkdir(parents=True, exist_ok=True)
        each.save(REPOSITORY / wanted / f"{name}.png", optimize=True)
