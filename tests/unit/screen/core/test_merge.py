"""Merging finished chunks: the same bytes for any chunks, and nothing that is not whole."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from screen_folders import count_of, finish_chunk, make_screen, row

from nucdl_core.errors import NucDLError
from nucdl_core.screen.core import merge
from nucdl_core.screen.core.database import database_names
from nucdl_core.screen.core.merge import merge_screen, plain_numbers
from nucdl_core.screen.core.plan import PlannedModel, ScreenError
from nucdl_core.screen.core.work import private_folders

ROWS = [row(number) for number in range(1, 8)]


def finished_screen(root, sizes, failed=(), seconds=0.5, order=None, **options):
    folder, plan, chunks = make_screen(root, ROWS, sizes, **options)
    for index in order or range(len(chunks)):
        finish_chunk(folder, plan, chunks[index], failed, seconds)
    return folder


def merged_bytes(folder):
    merge_screen(folder)
    return {path.name: path.read_bytes() for path in folder.merged.iterdir()}


def test_numbers_are_global_and_failed_image_sets_keep_theirs(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 4], failed=(2, 5))
    merged = merge_screen(folder)
    images = pd.read_csv(folder.merged / "Image.csv")
    nuclei = pd.read_csv(folder.merged / "Nuclei.csv")
    assert list(images["ImageNumber"]) == [1, 3, 4, 6, 7]
    counts = {number: count_of(ROWS[number - 1]) for number in images["ImageNumber"]}
    assert dict(nuclei.groupby("ImageNumber").size()) == {n: count for n, count in counts.items() if count}
    assert list(pd.read_csv(folder.merged / "failed_image_sets.csv")["ImageNumber"]) == [2, 5]
    assert merged.tables == {"Image": 5, "Nuclei": sum(counts.values()), "failed_image_sets": 2, "inspection": 7}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.sets(st.integers(1, len(ROWS) - 1)),
    failed=st.sets(st.integers(1, len(ROWS))),
    seconds=st.floats(0.01, 100),
    data=st.data(),
)
def test_the_merged_bytes_do_not_depend_on_chunks_order_or_times(tmp_path_factory, cuts, failed, seconds, data):
    root = tmp_path_factory.mktemp("any")
    edges = [0, *sorted(cuts), len(ROWS)]
    sizes = [end - begin for begin, end in zip(edges, edges[1:])]
    order = data.draw(st.permutations(range(len(sizes))))
    whole = merged_bytes(finished_screen(root / "whole", [len(ROWS)], failed))
    cut = merged_bytes(finished_screen(root / "cut", sizes, failed, seconds, order))
    assert cut == whole


def test_times_and_places_in_a_chunk_are_left_out(tmp_path):
    folder = finished_screen(tmp_path / "screen", [7])
    merge_screen(folder)
    columns = pd.read_csv(folder.merged / "Image.csv").columns
    assert list(columns) == [
        "Count_Nuclei",
        "FileName_DNA",
        "ImageNumber",
        "Metadata_Plate",
        "Metadata_Site",
        "Metadata_Well",
        "PathName_Saved",
    ]


def test_the_private_folder_of_saved_images_becomes_the_published_one(tmp_path):
    folder, plan, (chunk,) = make_screen(tmp_path / "screen", ROWS, [7])
    finish_chunk(folder, plan, chunk)
    image = folder.result(chunk) / "Image.csv"
    work = json.loads((folder.result(chunk) / "manifest.json").read_text())["work_folder"]
    image.write_text(image.read_text().replace("/elsewhere", f"{work}/labels"))
    rewrite_manifest(folder.result(chunk), "Image.csv")
    merge_screen(folder)
    assert set(pd.read_csv(folder.merged / "Image.csv")["PathName_Saved"]) == {f"{folder.result(chunk)}/labels"}


def rewrite_manifest(result, name):
    """Make a manifest agree with a file that a test has changed."""
    from nucdl_core.files.writing import file_sha256

    path = result / "manifest.json"
    values = json.loads(path.read_text())
    values["files"][name] = {"bytes": (result / name).stat().st_size, "sha256": file_sha256(result / name)}
    path.write_text(json.dumps(values))


def change_manifest(folder, chunk_name, **values):
    path = folder.results / chunk_name / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_missing_chunk_is_named(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 2, 2])
    shutil.rmtree(folder.results / "000002")
    with pytest.raises(ScreenError, match=r"chunk 000002 is missing"):
        merge_screen(folder)
    assert not folder.merged.exists()


def test_of_many_missing_chunks_the_first_are_named(tmp_path):
    folder, _, _ = make_screen(tmp_path / "screen", ROWS, [1] * 7)
    with pytest.raises(ScreenError, match=r"chunks 000001, .*, 000005 and 2 more are missing"):
        merge_screen(folder)


def test_a_chunk_that_is_there_twice_is_named(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 4])
    shutil.rmtree(folder.results / "000002")
    shutil.copytree(folder.results / "000001", folder.results / "000002")
    with pytest.raises(ScreenError, match=r"chunk 1 is there twice, also as .*000002"):
        merge_screen(folder)


def test_a_folder_that_is_no_chunk_is_named(tmp_path):
    folder = finished_screen(tmp_path / "screen", [7])
    (folder.results / "000009").mkdir()
    with pytest.raises(ScreenError, match=r"chunk 000009 is unknown to the plan"):
        merge_screen(folder)


@pytest.mark.parametrize("change", ["flip", "remove", "add"])
def test_an_altered_chunk_is_named(tmp_path, change):
    folder = finished_screen(tmp_path / "screen", [3, 4])
    table = folder.results / "000002" / "Nuclei.csv"
    if change == "flip":
        table.write_bytes(table.read_bytes()[:-2] + b"9\n")
    elif change == "remove":
        table.unlink()
    else:
        (table.parent / "Cells.csv").write_text("ImageNumber\n")
    with pytest.raises(ScreenError, match=r"000002/\w+\.csv (was altered|is missing|was added)"):
        merge_screen(folder)


def test_other_columns_are_named_with_their_chunk(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 4])
    table = folder.results / "000002" / "Nuclei.csv"
    table.write_text(table.read_text().replace("NucDL_Confidence", "Texture_Contrast"))
    rewrite_manifest(table.parent, table.name)
    with pytest.raises(ScreenError, match=r"Nuclei of .*000002 has other columns .*\(NucDL_Confidence, Texture_Con"):
        merge_screen(folder)


def test_a_chunk_made_with_another_model_is_refused(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 4], models=(PlannedModel("deep", "a" * 64),))
    change_manifest(folder, "000002", models={"deep": "b" * 64})
    with pytest.raises(ScreenError, match=r"000002 was made with another model than planned"):
        merge_screen(folder)


@pytest.mark.parametrize(
    ("field", "named"), [("pipeline_sha256", "pipeline"), ("plan_sha256", "plan"), ("list_sha256", "list")]
)
def test_a_chunk_made_from_something_else_is_refused(tmp_path, field, named):
    folder = finished_screen(tmp_path / "screen", [7])
    change_manifest(folder, "000001", **{field: "0" * 64})
    with pytest.raises(ScreenError, match=f"made with another {named} than planned"):
        merge_screen(folder)


def test_a_screen_of_which_everything_failed_has_a_list_of_failures_only(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 4], failed=range(1, 8))
    assert merge_screen(folder).tables == {"failed_image_sets": 7, "inspection": 7}


def test_a_full_disk_leaves_the_former_merge(tmp_path, monkeypatch):
    folder = finished_screen(tmp_path / "screen", [7])
    merge_screen(folder)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(merge, "_join", full)
    with pytest.raises(NucDLError, match=r"merged: cannot be written \(No space left"):
        merge_screen(folder)
    assert (folder.merged / "Image.csv").is_file()
    assert not private_folders(folder)


def test_a_second_merge_replaces_the_first(tmp_path):
    folder = finished_screen(tmp_path / "screen", [7])
    merge_screen(folder)
    (folder.merged / "old.csv").touch()
    merge_screen(folder)
    assert not (folder.merged / "old.csv").exists()
    assert not private_folders(folder)


def test_the_database_is_laid_out_as_cellprofiler_exports_it(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 4], failed=(2,))
    merge_screen(folder)
    with sqlite3.connect(folder.merged / "screen.sqlite") as connection:
        assert database_names(connection) == ["Per_Image", "Per_Nuclei", "failed_sets", "inspected_files"]
        nuclei = pd.read_sql("SELECT * FROM Per_Nuclei", connection)
        images = pd.read_sql("SELECT * FROM Per_Image", connection)
    assert list(nuclei.columns) == [
        "ImageNumber",
        "Nuclei_Number_Object_Number",
        "Nuclei_AreaShape_EquivalentDiameter",
        "Nuclei_NucDL_Confidence",
    ]
    assert {"ImageNumber", "Image_Metadata_Plate", "Image_Metadata_Well", "Image_Count_Nuclei"} <= set(images)
    assert not {"TableNumber", "Metadata_Well"} & set(images)


def test_cytotable_finds_tables_of_images_and_objects_alone(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 4])
    merge_screen(folder)
    targets = ("image", "cells", "nuclei", "cytoplasm")
    with sqlite3.connect(folder.merged / "screen.sqlite") as connection:
        found = [name for name in database_names(connection) if any(target in name.lower() for target in targets)]
        assert found == ["Per_Image", "Per_Nuclei"]
        assert all(connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name in found)


def test_pycytominers_single_cells_find_their_keys_in_the_view_of_the_images(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 4])
    merge_screen(folder)
    keys = "TableNumber, ImageNumber, Metadata_Plate, Metadata_Well, Metadata_Site"
    with sqlite3.connect(folder.merged / "screen.sqlite") as connection:
        images = pd.read_sql(f"SELECT {keys} FROM image", connection)
    assert set(images["TableNumber"]) == {1} and set(images["Metadata_Site"]) == {"01", "02", "03"}


def test_queries_for_the_tables_of_earlier_versions_still_work(tmp_path):
    folder = finished_screen(tmp_path / "screen", [3, 4], failed=(2,))
    merge_screen(folder)
    with sqlite3.connect(folder.merged / "screen.sqlite") as connection:
        assert database_names(connection, "view") == ["Image", "Nuclei", "failed_image_sets", "inspection"]
        assert "Files" in pd.read_sql("SELECT * FROM failed_image_sets", connection).columns[-2]
    with sqlite3.connect(folder.merged / "screen.sqlite") as connection:
        nuclei = pd.read_sql("SELECT * FROM Nuclei", connection)
        images = pd.read_sql("SELECT * FROM Image", connection)
    assert list(nuclei.columns) == [
        "TableNumber",
        "ImageNumber",
        "ObjectNumber",
        "Nuclei_Number_Object_Number",
        "Nuclei_AreaShape_EquivalentDiameter",
        "Nuclei_NucDL_Confidence",
    ]
    assert {"Image_Metadata_Plate", "Image_Metadata_Well", "Image_Count_Nuclei"} <= set(images)
    # The site "01" is a name, the third nucleus has no confidence.
    assert set(images["Image_Metadata_Site"]) <= {"01", "02", "03"}
    assert nuclei["Nuclei_NucDL_Confidence"].isna().equals(nuclei["ObjectNumber"] == 3)
    table = pd.read_csv(folder.merged / "Nuclei.csv")
    np.testing.assert_array_equal(nuclei["Nuclei_AreaShape_EquivalentDiameter"], table["AreaShape_EquivalentDiameter"])


def test_parquet_holds_what_the_database_holds(tmp_path):
    pytest.importorskip("pyarrow")
    folder = finished_screen(tmp_path / "screen", [3, 4], failed=(2,))
    assert merge_screen(folder).parquet
    with sqlite3.connect(folder.merged / "screen.sqlite") as connection:
        for name in ("Image", "Nuclei", "failed_image_sets"):
            expected = pd.read_sql(f"SELECT * FROM {name}", connection)
            stored = pd.read_parquet(folder.merged / f"{name}.parquet")
            assert len(stored.columns) > 3
            pd.testing.assert_frame_equal(stored, expected[list(stored.columns)])


def test_without_pyarrow_there_is_no_parquet_and_the_merge_says_so(tmp_path, monkeypatch):
    from nucdl_core.screen.core import tables

    monkeypatch.setattr(tables.importlib.util, "find_spec", lambda name: None)
    folder = finished_screen(tmp_path / "screen", [7])
    assert not merge_screen(folder).parquet
    assert not list(folder.merged.glob("*.parquet"))


def test_a_table_that_sqlite_refuses_is_an_error(tmp_path):
    from nucdl_core.screen.core.tables import store_tables

    source = tmp_path / "wide.csv"
    source.write_text(",".join(f"c{n}" for n in range(2100)) + "\n")
    with pytest.raises(NucDLError, match="too many columns"):
        store_tables([("Wide", source)], tmp_path)


def test_database_and_parquet_are_written_from_one_reading_of_a_table(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    from nucdl_core.screen.core import tables

    read, whole = [], tables.read_batches
    monkeypatch.setattr(tables, "read_batches", lambda path, kinds: (read.append(path.name), whole(path, kinds))[1])
    folder = finished_screen(tmp_path / "screen", [7])
    assert merge_screen(folder).parquet
    assert sorted(read) == ["Image.csv", "Nuclei.csv", "failed_image_sets.csv", "inspection.csv"]


def test_types_are_those_of_the_whole_table(tmp_path, monkeypatch):
    from nucdl_core.screen.core import tables

    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 2)
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,Metadata_Site\n1,1,1,01\n2,2,x,02\n3,0.5,3,03\n4,,4,04\n")
    assert tables.column_kinds(path) == {"a": "INTEGER", "b": "REAL", "c": "TEXT", "Metadata_Site": "TEXT"}
    assert [len(batch) for batch in tables.read_batches(path, tables.column_kinds(path))] == [2, 2]


@pytest.mark.parametrize(("text", "plain"), [("15.0", "15"), ("15", "15"), ("0.5", "0.5"), ("nan", "nan"), ("", "")])
def test_whole_numbers_are_written_in_one_way(text, plain):
    assert plain_numbers([text]) == [plain]
