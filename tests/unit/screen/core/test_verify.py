"""Tables that CellProfiler may leave, whole and otherwise."""

from __future__ import annotations

import pytest
from screen_folders import row, write_fake_tables

from nucdl_core.screen.core.verify import UnusableResultsError, verify_tables

ROWS = [row(1), row(2)]


@pytest.fixture
def tables(tmp_path):
    write_fake_tables(tmp_path, ROWS, [2, 1])
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_whole_tables_are_counted(tables):
    found = verify_tables(tables, ROWS, ["Nuclei"])
    assert found.rows == {"Image": 2, "Nuclei": 3}
    assert found.step_seconds == {"02Find": 1.5}


def test_the_prefix_that_cellprofiler_puts_before_names_is_found(tables):
    for path in list(tables.glob("*.csv")):
        path.rename(tables / f"MyExpt_{path.name}")
    found = verify_tables(tables, ROWS, ["Nuclei"])
    assert (found.prefix, found.rows) == ("MyExpt_", {"Image": 2, "Nuclei": 3})


def test_images_without_nuclei_are_no_error(tmp_path):
    write_fake_tables(tmp_path, ROWS, [0, 0])
    assert verify_tables(tmp_path, ROWS, ["Nuclei"]).rows["Nuclei"] == 0


def test_further_tables_are_counted_too(tables):
    (tables / "Object relationships.csv").write_text("Module,First Image Number\nx,1\n")
    (tables / "Experiment.csv").write_text("Key,Value\n")
    assert verify_tables(tables, ROWS, ["Nuclei"]).rows == {"Image": 2, "Nuclei": 3, "Object relationships": 1}


def test_a_missing_image_table_is_refused(tables):
    (tables / "Image.csv").unlink()
    with pytest.raises(UnusableResultsError, match="found: none"):
        verify_tables(tables, ROWS, ["Nuclei"])


def test_a_missing_object_table_is_refused(tables):
    (tables / "Nuclei.csv").unlink()
    with pytest.raises(UnusableResultsError, match=r"Nuclei\.csv was not written"):
        verify_tables(tables, ROWS, ["Nuclei"])


def test_a_missing_image_set_is_refused(tables):
    with pytest.raises(UnusableResultsError, match="2 rows for 3 image sets"):
        verify_tables(tables, [*ROWS, row(3)], ["Nuclei"])


def test_other_files_than_were_given_are_refused(tables):
    with pytest.raises(UnusableResultsError, match="names other files for DNA"):
        verify_tables(tables, [row(2), row(1)], ["Nuclei"])


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("Image.csv", "2.0,", ",", "counts of Nuclei are missing"),
        ("Image.csv", "Count_Nuclei", "Count_Cells", "counts of Nuclei are missing"),
        ("Image.csv", ",0,/else", ",1,/else", "module 02Find reported an error for row 1"),
        ("Image.csv", "FileName_DNA", "ImageNumber", "has the column 'ImageNumber' twice"),
        ("Nuclei.csv", "ImageNumber,", "Number,", "no column ImageNumber"),
        ("Nuclei.csv", "\n1,2,", "\n2,2,", "other numbers of objects per image set"),
        ("Nuclei.csv", "\n1,2,", "\n1,3,", "does not number the objects"),
        ("Nuclei.csv", "\n1,2,", "\n,2,", "a row without ImageNumber"),
        ("Nuclei.csv", "\n1,2,", "\n1,2,3,4,5,6,7,8,", "is damaged"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(tables, name, old, new, reason):
    change(tables / name, old, new)
    with pytest.raises(UnusableResultsError, match=reason):
        verify_tables(tables, ROWS, ["Nuclei"])


def test_a_cut_off_object_table_is_refused(tables):
    lines = (tables / "Nuclei.csv").read_text().splitlines()
    (tables / "Nuclei.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(UnusableResultsError, match="2 rows for 3 objects"):
        verify_tables(tables, ROWS, ["Nuclei"])


def test_an_empty_table_is_refused(tables):
    (tables / "Nuclei.csv").write_text("")
    with pytest.raises(UnusableResultsError, match=r"Nuclei\.csv is empty"):
        verify_tables(tables, ROWS, ["Nuclei"])


def test_a_table_that_cannot_be_opened_is_refused(tables):
    (tables / "Nuclei.csv").unlink()
    (tables / "Nuclei.csv").mkdir()
    with pytest.raises(UnusableResultsError, match="was not written|cannot be read"):
        verify_tables(tables, ROWS, ["Nuclei"])
