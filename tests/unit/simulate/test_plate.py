from __future__ import annotations

import errno
import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from nucdl_core.errors import ConfigError, NucDLError
from nucdl_core.simulate.plate import PLATE_MARKER, plan_sites, simulate_plate

SIZE = (48, 64)


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_plate_holds_images_labels_and_tables(tmp_path):
    simulate_plate(tmp_path / "p", 5, SIZE, 0)
    names = ["Plate_A01_s1_w1", "Plate_A01_s2_w1", "Plate_A01_s3_w1", "Plate_A01_s4_w1", "Plate_A02_s1_w1"]
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == [
        "images",
        "labels",
        "load_data.csv",
        PLATE_MARKER,
        "truth.csv",
    ]
    assert sorted(path.name for path in (tmp_path / "p" / "images").iterdir()) == [f"{name}.tif" for name in names]
    assert sorted(path.name for path in (tmp_path / "p" / "labels").iterdir()) == [
        f"{name}_labels.tif" for name in names
    ]


def test_images_have_the_asked_size_and_differ(tmp_path):
    simulate_plate(tmp_path, 3, SIZE, 0)
    images = [tifffile.imread(path) for path in sorted((tmp_path / "images").iterdir())]
    assert {(image.shape, image.dtype.name) for image in images} == {(SIZE, "uint16")}
    assert not np.array_equal(images[0], images[1])


def test_load_data_names_every_file_with_its_absolute_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate_plate("relative", 6, SIZE, 0)
    table = pd.read_csv(tmp_path / "relative" / "load_data.csv")
    assert list(table.columns) == [
        "Image_FileName_DNA",
        "Image_PathName_DNA",
        "Metadata_Plate",
        "Metadata_Well",
        "Metadata_Site",
    ]
    assert set(table["Image_PathName_DNA"]) == {str(tmp_path / "relative" / "images")}
    assert all((tmp_path / "relative" / "images" / name).is_file() for name in table["Image_FileName_DNA"])
    assert list(table["Metadata_Well"]) == ["A01"] * 4 + ["A02"] * 2
    assert list(table["Metadata_Site"]) == [1, 2, 3, 4, 1, 2]


def test_the_truth_table_counts_what_the_label_images_hold(tmp_path):
    returned = simulate_plate(tmp_path, 3, (200, 200), 1)
    written = pd.read_csv(tmp_path / "truth.csv")
    pd.testing.assert_frame_equal(written, returned)
    held = [int(tifffile.imread(tmp_path / "labels" / name).max()) for name in written["labels"]]
    assert list(written["nuclei"]) == held
    assert sum(held) > 0


def test_the_same_seed_writes_the_same_files(tmp_path):
    for name in ("a", "b"):
        simulate_plate(tmp_path / name, 2, SIZE, 7)
    first, second = content(tmp_path / "a"), content(tmp_path / "b")
    for table in (first, second):
        del table[next(path for path in table if path.name == "load_data.csv")]
    assert first == second


def test_another_seed_writes_other_images(tmp_path):
    for seed in (1, 2):
        simulate_plate(tmp_path / str(seed), 1, SIZE, seed)
    name = "images/Plate_A01_s1_w1.tif"
    assert (tmp_path / "1" / name).read_bytes() != (tmp_path / "2" / name).read_bytes()


def test_a_field_does_not_depend_on_how_many_there_are(tmp_path):
    simulate_plate(tmp_path / "few", 2, SIZE, 0)
    simulate_plate(tmp_path / "many", 5, SIZE, 0)
    few, many = content(tmp_path / "few" / "images"), content(tmp_path / "many" / "images")
    assert all(many[name] == few[name] for name in few)


def test_a_former_plate_is_replaced_and_other_files_stay(tmp_path):
    simulate_plate(tmp_path, 5, SIZE, 0)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "images" / "mine.tif").write_text("mine")
    simulate_plate(tmp_path, 1, SIZE, 0)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["Plate_A01_s1_w1.tif", "mine.tif"]
    assert [path.name for path in (tmp_path / "labels").iterdir()] == ["Plate_A01_s1_w1_labels.tif"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "data.txt").write_text("precious")
    with pytest.raises(ConfigError, match="not empty"):
        simulate_plate(tmp_path, 1, SIZE, 0)
    assert content(tmp_path).keys() == {(tmp_path / "data.txt").relative_to(tmp_path)}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        simulate_plate(tmp_path / "file", 1, SIZE, 0)


@pytest.mark.parametrize(
    "settings, message",
    [((0, SIZE, 0), "0 fields"), ((10**7, SIZE, 0), "fields"), ((1, (0, 5), 0), "size"), ((1, SIZE, -1), "seed")],
)
def test_impossible_settings_are_refused_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        simulate_plate(tmp_path / "new", *settings)
    assert not (tmp_path / "new").exists()


def test_a_plate_that_cannot_be_finished_leaves_the_former_one(tmp_path, monkeypatch):
    simulate_plate(tmp_path / "p", 2, SIZE, 0)
    before = content(tmp_path / "p")

    def full_disk(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full_disk)
    for name in ("p", "new"):
        with pytest.raises(NucDLError, match=r"Plate_A01_s1_w1\.tif: cannot be written \(No space left on device\)"):
            simulate_plate(tmp_path / name, 3, SIZE, 1)
    assert content(tmp_path / "p") == before
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_former_plate_with_something_odd_in_place_of_a_table_is_replaced(tmp_path):
    simulate_plate(tmp_path, 1, SIZE, 0)
    (tmp_path / "truth.csv").unlink()
    (tmp_path / "truth.csv").mkdir()
    simulate_plate(tmp_path, 1, SIZE, 0)
    assert (tmp_path / "truth.csv").is_file()


def test_the_settings_are_kept_with_the_plate(tmp_path):
    simulate_plate(tmp_path, 1, SIZE, 3)
    assert json.loads((tmp_path / PLATE_MARKER).read_text()) == {"fields": 1, "size": list(SIZE), "seed": 3}


def test_wells_fill_row_after_row():
    planned = plan_sites(60)
    assert planned[:5] == [("A01", 1), ("A01", 2), ("A01", 3), ("A01", 4), ("A02", 1)]
    assert planned[48] == ("B01", 1)


@pytest.mark.parametrize(
    "fields, last", [(384, ("H12", 4)), (385, ("E01", 1)), (1536, ("P24", 4)), (3840, ("P24", 10))]
)
def test_larger_plates_take_more_wells_then_more_sites(fields, last):
    planned = plan_sites(fields)
    assert planned[-1] == last
    assert len(set(planned)) == fields
