"""What the columns of LoadData's lists mean, and which values are refused."""

from pathlib import Path

import pytest

from nucdl_core.screen.core.columns import ImageFile, check_metadata, files_of_image_set, image_columns, metadata_names
from nucdl_core.screen.core.plan import ScreenError


def files(row, base=None):
    return files_of_image_set(row, image_columns(list(row)), base)


def test_images_label_images_and_metadata_are_told_apart():
    header = ["Image_FileName_DNA", "PathName_DNA", "Image_ObjectsFileName_Cells", "Metadata_Well", "Frame_DNA", "Note"]
    dna, cells = image_columns(header)
    assert (dna.name, dna.objects, dna.file, dna.path, dna.frame) == (
        "DNA",
        False,
        "Image_FileName_DNA",
        "PathName_DNA",
        "Frame_DNA",
    )
    assert (cells.name, cells.objects, cells.path_column) == ("Cells", True, "Image_ObjectsPathName_Cells")
    assert metadata_names(header) == ("Well",)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (["Image_FileName_DNA", "Image_FileName_DNA"], "more than once"),
        (["Image_FileName_DNA", "FileName_DNA"], "say the same"),
        (["Image_PathName_DNA"], "no Image_FileName_DNA"),
        (["Metadata_Well", "File"], "no column Image_FileName_..., only Metadata_Well, File"),
        (["Image_ObjectsFileName_Cells"], "no column Image_FileName_"),
    ],
)
def test_a_header_that_names_no_images_is_refused(header, reason):
    with pytest.raises(ScreenError, match=reason):
        image_columns(header)


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"Image_FileName_DNA": "a b#%+?;[]'ü.tif", "Image_PathName_DNA": "/data"}, "/data/a b#%+?;[]'ü.tif"),
        ({"Image_FileName_DNA": "a.tif", "Image_PathName_DNA": "../images"}, "/lists/images/a.tif"),
        ({"Image_FileName_DNA": "well/a.tif"}, "/lists/plate/well/a.tif"),
        ({"Image_URL_DNA": "file:///data/a%20b%23.tif"}, "/data/a b#.tif"),
        ({"Image_URL_DNA": "file:/data/a.tif"}, "/data/a.tif"),
        ({"Image_URL_DNA": "/data/a.tif"}, "/data/a.tif"),
        ({"Image_FileName_DNA": "a%20.tif", "Image_PathName_DNA": "file:///data/x%20y"}, "/data/x y/a%20.tif"),
        ({"Image_FileName_DNA": "/data/a..b.tif"}, "/data/a..b.tif"),
        ({"Image_FileName_DNA": "time 12:30.tif", "Image_PathName_DNA": "/data"}, "/data/time 12:30.tif"),
    ],
)
def test_paths_are_found_as_cellprofiler_finds_them(row, path):
    assert files(row, Path("/lists/plate")) == [ImageFile("DNA", Path(path))]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"Image_URL_DNA": "http://example.org/a.tif"}, "not on this machine"),
        ({"Image_URL_DNA": "S3:bucket/a.tif"}, "not on this machine"),
        ({"Image_URL_DNA": "file://server/share/a.tif"}, "on the machine 'server'"),
        ({"Image_FileName_DNA": "a.tif", "Image_PathName_DNA": "https://example.org"}, "not on this machine"),
        ({"Image_FileName_DNA": "ftp://example.org/a.tif"}, "not on this machine"),
        ({"Image_FileName_DNA": "../../a.tif", "Image_PathName_DNA": "/data"}, "leads out of its folder"),
        ({"Image_FileName_DNA": "", "Image_PathName_DNA": "/data"}, "no file is named for the image DNA"),
        ({"Image_FileName_DNA": "a.tif", "Series_DNA": "2"}, "series 2 of DNA"),
        ({"Image_FileName_DNA": "a.tif", "Frame_DNA": "first"}, "frame 'first' of DNA is not a number"),
    ],
)
def test_what_is_no_image_on_this_machine_is_refused(row, reason):
    with pytest.raises(ScreenError, match=reason):
        files(row)


def test_a_page_of_a_file_can_be_named():
    row = {"Image_FileName_DNA": "/a.tif", "Frame_DNA": "3", "Series_DNA": "0"}
    assert files(row) == [ImageFile("DNA", Path("/a.tif"), 3)]
    assert files({**row, "Frame_DNA": ""}) == [ImageFile("DNA", Path("/a.tif"))]


@pytest.mark.parametrize("value", ["../../x", "a/../b", "..\\x", "/etc/x", "~root/x", "\\\\server\\x", "a\nb", "a\0b"])
def test_metadata_that_lead_out_of_the_folder_are_refused(value):
    with pytest.raises(ScreenError, match="Metadata_Plate is"):
        check_metadata("Metadata_Plate", value)


@pytest.mark.parametrize("value", ["", "A01", "10 mg/ml", "2020/01/31", "p..2", "~1", "naïve #3", "50%"])
def test_usual_metadata_are_accepted(value):
    check_metadata("Metadata_Compound", value)
