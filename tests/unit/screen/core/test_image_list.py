"""Lists of image sets: what is refused before the work, and how they are cut into chunks."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nucdl_core.screen.core import image_list
from nucdl_core.screen.core.image_list import cut_into_chunks, scan_list, write_chunks
from nucdl_core.screen.core.plan import Chunk, ScreenError, ScreenFolder, read_chunks, read_rows

HEADER = "Image_FileName_DNA,Image_PathName_DNA,Metadata_Plate,Metadata_Well\n"
ODD_NAMES = [
    "a b.tif",
    "c#1.tif",
    "d%20.tif",
    "e+f.tif",
    "g?h.tif",
    "i;j.tif",
    "k[1].tif",
    "l'm.tif",
    "ü.tif",
    "n,o.tif",
]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a list; its images a.tif to d.tif exist beside it."""
    for name in "abcd":
        (tmp_path / f"{name}.tif").touch()

    def run(text, encoding="utf-8"):
        path = tmp_path / "list.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return run


GOOD = HEADER + "a.tif,,P1,A01\nb.tif,,P1,A02\nc.tif,,P2,A01\n"


def test_a_list_is_described(write):
    path = write(GOOD)
    found = scan_list(path)
    assert found.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert (found.channels, len(found.starts), found.missing) == (("DNA",), 3, 0)
    assert found.columns == tuple(HEADER.strip().split(","))
    assert GOOD.encode()[found.starts[1] : found.ends[1]] == b"b.tif,,P1,A02\n"
    assert found.groups.tolist() == [0, 0, 0]


def test_a_byte_order_mark_empty_lines_and_windows_line_ends_are_understood(write):
    text = "\ufeff" + GOOD.replace("\n", "\r\n").replace("b.tif", "\r\nb.tif") + "\r\n"
    found = scan_list(write(text), ["Plate"])
    assert found.header[0] == "Image_FileName_DNA"
    assert found.groups.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the list is empty"),
        (HEADER, "no rows"),
        (GOOD[:-8], "line 4: it has 2 columns instead of 4; is the file cut off?"),
        (GOOD + 'd.tif,,P2,"A02', "a row is cut"),
        ("a b\n1 2\n", "no column Image_FileName_"),
        (GOOD.replace(",", ";"), "its columns are parted by semicolons; save it as CSV with commas"),
        (GOOD.replace(",", "\t"), "its columns are parted by tabs"),
        (GOOD.replace("A02", "A02,more"), "line 3: it has 5 columns"),
        (GOOD + "a.tif,,P9,A09\n", "1 image sets are there twice, such as number 1, which is also number 4"),
        (GOOD.replace("b.tif", "gone.tif"), r"1 image files are missing, such as .*gone\.tif \(line 3\)"),
        (GOOD.replace("P2", "../../x"), "line 4: Metadata_Plate is '../../x'"),
        (GOOD.replace("b.tif,", "b.tif,http://example.org"), "line 3: .*not on this machine"),
        (GOOD.replace("b.tif", "b.nd2"), "cannot be checked, only .tif.* can; export it as TIFF"),
        (GOOD.replace("b.tif", "b\0.tif"), "line 3 holds a zero byte"),
        (GOOD.replace("P2", "Plätze").encode("latin-1"), "not in UTF-8"),
        (GOOD.encode("utf-16"), "holds a zero byte|not in UTF-8"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[-30:].encode("unicode_escape").decode(),
)
def test_a_list_that_cannot_be_meant_is_refused_in_one_line(write, text, reason):
    with pytest.raises(ScreenError, match=reason) as caught:
        scan_list(write(text))
    assert "list.csv: " in str(caught.value) and "\n" not in str(caught.value)


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ScreenError, match="cannot be read"):
        scan_list(tmp_path / "list.csv")


def test_a_grouping_that_is_not_in_the_list_is_refused(write):
    with pytest.raises(ScreenError, match="no column Metadata_Row to group by; the list has the metadata Plate, Well"):
        scan_list(write(GOOD), ["Plate", "Row"])


def test_missing_images_can_be_allowed(write):
    assert scan_list(write(GOOD.replace("b.tif", "gone.tif")), allow_missing=True).missing == 1


def test_different_pages_of_one_file_are_different_image_sets(write):
    found = scan_list(write("Image_FileName_DNA,Frame_DNA\na.tif,0\na.tif,1\n"))
    assert len(found.starts) == 2


def test_chunks_are_even_and_in_order_without_grouping():
    order, chunks = cut_into_chunks(np.zeros(7, np.int32), False, 3)
    assert order.tolist() == list(range(7))
    assert chunks == [Chunk(1, 1, 3), Chunk(2, 4, 2), Chunk(3, 6, 2)]


def test_groups_stay_whole_and_come_in_the_order_of_their_first_rows():
    order, chunks = cut_into_chunks(np.array([0, 1, 0, 2, 2, 2, 2, 1], np.int32), True, 3)
    assert order.tolist() == [0, 2, 1, 7, 3, 4, 5, 6]
    assert [chunk.image_sets for chunk in chunks] == [2, 2, 4]


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.booleans(), st.integers(1, 20))
def test_every_image_set_is_in_one_chunk_and_no_group_in_two(labels, grouped, size):
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    groups = np.array([numbers[label] for label in labels], np.int32)
    order, chunks = cut_into_chunks(groups, grouped, size)
    assert sorted(order.tolist()) == list(range(len(labels)))
    assert sum(chunk.image_sets for chunk in chunks) == len(labels)
    if not grouped:
        assert max(chunk.image_sets for chunk in chunks) <= size
        return
    parts = [order[chunk.first_image_number - 1 :][: chunk.image_sets] for chunk in chunks]
    members = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, members)) == len(numbers)


@pytest.fixture
def folder(tmp_path):
    found = ScreenFolder(tmp_path / "screen")
    found.chunks.mkdir(parents=True)
    return found


def test_chunk_lists_hold_the_rows_with_absolute_folders_and_the_same_names(tmp_path, folder):
    (tmp_path / "images").mkdir()
    for name in ODD_NAMES:
        (tmp_path / "images" / name).touch()
    with (tmp_path / "list.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerows([["Image_FileName_DNA", "Image_PathName_DNA", "Metadata_Note"]])
        writer.writerows([[name, "images", f"two\tor, 'three' \"words\" {name}"] for name in ODD_NAMES[:-1]])
        writer.writerow([ODD_NAMES[-1], str(tmp_path / "images"), ""])
    with pytest.raises(ScreenError, match="Metadata_Note"):
        scan_list(tmp_path / "list.csv")
    text = (tmp_path / "list.csv").read_text(encoding="utf-8").replace("\t", " ")
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    found = scan_list(tmp_path / "list.csv")
    order, chunks = cut_into_chunks(found.groups, False, 4)
    write_chunks(found, order, chunks, folder)
    assert read_chunks(folder) == chunks == [Chunk(1, 1, 4), Chunk(2, 5, 3), Chunk(3, 8, 3)]
    rows = [row for chunk in chunks for row in read_rows(folder.chunk_csv(chunk))]
    assert [row["Image_FileName_DNA"] for row in rows] == ODD_NAMES
    assert {row["Image_PathName_DNA"] for row in rows} == {str(tmp_path / "images")}
    assert rows[0]["Metadata_Note"] == "two or, 'three' \"words\" a b.tif"


def test_a_list_without_folders_gets_them(write, folder):
    path = write("Image_FileName_DNA,Metadata_Well\na.tif,A01\n")
    found = scan_list(path)
    write_chunks(found, *cut_into_chunks(found.groups, False, 9), folder)
    (row,) = read_rows(folder.chunk_csv(Chunk(1, 1, 1)))
    assert row == {"Image_FileName_DNA": "a.tif", "Metadata_Well": "A01", "Image_PathName_DNA": str(path.parent)}


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text(GOOD.replace("a.tif,,", "a.tif,and,more,")),
        lambda path: path.write_text(GOOD.replace("A02", "A03")),
        lambda path: path.write_text(""),
        lambda path: path.write_bytes(b"\xff" * 200),
        lambda path: path.unlink(),
    ],
)
def test_a_list_that_changes_meanwhile_is_refused(write, folder, change):
    path = write(GOOD)
    found = scan_list(path)
    change(path)
    with pytest.raises(ScreenError, match="was changed while it was read"):
        write_chunks(found, *cut_into_chunks(found.groups, False, 9), folder)


def test_two_lists_of_the_same_images_have_the_same_hashes_only_for_the_same_pages():
    one = image_list.ImageFile("DNA", Path("/a.tif"), 0)
    other = image_list.ImageFile("DNA", Path("/a.tif"), 1)
    assert image_list._identity([one]) != image_list._identity([other])
    assert image_list._identity([one]) == image_list._identity([image_list.ImageFile("RNA", Path("/a.tif"), 0)])
