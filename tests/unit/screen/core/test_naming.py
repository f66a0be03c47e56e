"""Folders of images whose names say what they show."""

import csv
import io
from pathlib import Path

import pytest

from nucdl_core.screen.core.image_list import scan_list
from nucdl_core.screen.core.naming import list_images, name_channels
from nucdl_core.screen.core.plan import ScreenError
from nucdl_core.simulate.plate import simulate_plate


@pytest.fixture
def listed(tmp_path):
    """Return a function that makes empty files and lists them: one dictionary per image set."""

    def run(naming, *names, folder="Plate 7"):
        base = tmp_path / folder
        for name in names:
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).touch()
        return list(csv.DictReader(io.StringIO(list_images(base, naming))))

    return run


def metadata(row):
    return {name[len("Metadata_") :]: value for name, value in row.items() if name.startswith("Metadata_")}


def test_yokogawa_names_are_understood(listed):
    names = [f"AS_B03_T0001F002L01A0{channel}Z01C0{channel}.tif" for channel in (1, 2)]
    (row,) = listed("yokogawa", *names)
    assert (row["Image_FileName_Channel1"], row["Image_FileName_Channel2"]) == tuple(names)
    assert metadata(row) == {"Plate": "AS", "Well": "B03", "Time": "0001", "Site": "002", "Plane": "01"}


def test_imagexpress_names_are_understood_with_folders_of_time_points(listed):
    uuid = "0A1B2C3D-0A1B-2C3D-4E5F-0A1B2C3D4E5F"
    names = [f"TimePoint_{time}/Exp_C04_s2_w{channel}{uuid}.TIF" for time in (1, 2) for channel in (1, 2)]
    thumbs = [name.replace(".TIF", "_thumb.TIF").replace("_w1", "_w1_thumb") for name in names]
    first, second = listed("imagexpress", *names, *thumbs)
    assert metadata(first) == {"Time": "1", "Plate": "Exp", "Well": "C04", "Site": "2"}
    assert second["Metadata_Time"] == "2"
    assert first["Image_PathName_Channel2"].endswith("Plate 7/TimePoint_1")


def test_imagexpress_names_without_plate_and_site_are_understood(listed):
    (row,) = listed("imagexpress", "TimePoint_1/C04_w1.tif")
    assert metadata(row) == {"Time": "1", "Plate": "Plate 7", "Well": "C04", "Site": ""}
    (row,) = listed("imagexpress", "C04_w1.tif", folder="flat")
    assert metadata(row) == {"Time": "", "Plate": "flat", "Well": "C04", "Site": ""}


def test_operetta_names_are_understood_and_wells_named(listed):
    names = [f"Images/r16c01f09p01-ch{channel}sk1fk1fl1.tiff" for channel in (1, 2, 10)]
    (row,) = listed("operetta", *names)
    assert (row["Metadata_Well"], row["Metadata_Plate"], row["Metadata_Site"]) == ("P01", "Plate 7", "09")
    assert [name for name in row if "FileName" in name] == [f"Image_FileName_Channel{n}" for n in (1, 10, 2)]
    (row,) = listed("operetta", "r28c03f01p01-ch1sk1fk1fl1.tiff", folder="large")
    assert row["Metadata_Well"] == "AB03"


def test_a_simulated_plate_is_listed_as_its_own_list(tmp_path):
    simulate_plate(tmp_path / "plate", 3, (32, 32))
    (tmp_path / "list.csv").write_text(list_images(tmp_path / "plate" / "images", "nucdl"))
    found = scan_list(tmp_path / "list.csv", ["Plate", "Well", "Site"])
    assert (len(found.starts), found.channels) == (3, ("Channel1",))
    given = list(csv.DictReader((tmp_path / "plate" / "load_data.csv").open()))
    made = list(csv.DictReader((tmp_path / "list.csv").open()))
    assert [row["Image_FileName_DNA"] for row in given] == [row["Image_FileName_Channel1"] for row in made]
    assert [metadata(row) for row in given] == [metadata(row) for row in made]


def test_a_regular_expression_can_name_channels_and_use_folders(listed):
    names = [f"{well}/{channel}.png" for well in ("A1", "B2") for channel in ("dapi", "gfp")]
    rows = listed(r"(?P<Well>[A-Z]\d)/(?P<Channel>\w+)\.png", *names)
    assert [row["Metadata_Well"] for row in rows] == ["A1", "B2"]
    assert rows[0]["Image_FileName_dapi"] == "dapi.png"
    assert rows[0]["Metadata_Plate"] == "A1"


def test_odd_names_survive_the_way_into_the_list_and_back(listed):
    names = ["a b_w1.tif", "c#%+?_w1.tif", "d;[e]_w1.tif", "f'g\"_w1.tif", "ü,ö_w1.tif"]
    rows = listed(r"(?P<Name>.+)_w(?P<Channel>\d)\.tif", *names, folder="my #1 plate")
    assert {row["Image_FileName_Channel1"] for row in rows} == set(names)
    assert all((Path(row["Image_PathName_Channel1"]) / row["Image_FileName_Channel1"]).is_file() for row in rows)


def test_hidden_temporary_and_label_files_are_left_out(listed):
    good = "P_A01_s1_w1.tif"
    odd = [".P_A01_s2_w1.tif", "~P_A01_s2_w1.tif", "P_A01_s1_w1_labels.tif", ".hidden/P_A01_s3_w1.tif", "notes.txt"]
    (row,) = listed("nucdl", good, *odd)
    assert row["Image_FileName_Channel1"] == good


def test_a_loop_of_links_is_not_followed(listed, tmp_path):
    (tmp_path / "Plate 7").mkdir()
    (tmp_path / "Plate 7" / "again").symlink_to(tmp_path / "Plate 7")
    assert len(listed("nucdl", "P_A01_s1_w1.tif")) == 1


@pytest.mark.parametrize(
    ("naming", "names", "reason"),
    [
        ("harmony", ["a.tif"], "is none of yokogawa.* it lacks the group"),
        ("(", ["a.tif"], "not a regular expression either"),
        ("nucdl", ["notes.txt"], "no image that fits the naming 'nucdl', but no image at all"),
        ("nucdl", ["a.tif"], "no image that fits the naming 'nucdl', but a.tif"),
        ("nucdl", ["P_A01_s1_w1.tif", "extra.tif"], "1 images in .* do not fit .* such as extra.tif"),
        ("nucdl", ["a/P_A01_s1_w1.tif", "b/P_A01_s1_w1.tif"], "are the same image by their names"),
        ("nucdl", ["P_A01_s1_w1.tif", "P_A01_s1_w2.tif", "P_A01_s2_w1.tif"], "Site 2 lacks the channel 2"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(listed, naming, names, reason):
    with pytest.raises(ScreenError, match=reason):
        listed(naming, *names)


def test_a_name_that_is_not_utf8_is_refused(listed, tmp_path):
    (tmp_path / "Plate 7").mkdir()
    try:
        (tmp_path / "Plate 7" / "P\udce9_A01_s1_w1.tif").touch()
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    with pytest.raises(ScreenError, match="is not UTF-8, which CellProfiler needs"):
        listed("nucdl", "P_A01_s1_w1.tif")


def test_a_folder_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ScreenError, match="cannot be read"):
        list_images(tmp_path / "nowhere", "nucdl")


@pytest.mark.parametrize("given", ["1", "01", "w1", "C01", "channel1", "Channel1"])
def test_a_channel_gets_the_name_that_the_pipeline_has_for_it(given):
    assert name_channels(["01", "02"], {"DNA": given}) == {"01": "DNA", "02": "Channel2"}


@pytest.mark.parametrize(
    "names", [{"DNA": "w3"}, {"DNA": "1", "RNA": "w1"}, {"Channel2": "w1"}], ids=["absent", "twice", "same name"]
)
def test_a_channel_that_is_not_there_or_named_twice_is_refused(names):
    with pytest.raises(ScreenError, match=r"Channel1, Channel2; give each|would be called the same"):
        name_channels(["1", "2"], names)


def test_the_list_of_a_folder_has_the_names_that_were_given(tmp_path):
    for channel in (1, 2):
        (tmp_path / f"P_A01_s1_w{channel}.tif").touch()
    (header, *_) = list_images(tmp_path, "imagexpress", {"DNA": "w2"}).splitlines()
    assert header.startswith("Image_FileName_Channel1,Image_PathName_Channel1,Image_FileName_DNA,Image_PathName_DNA")
