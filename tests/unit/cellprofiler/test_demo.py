"""The demonstration, with CellProfiler replaced by a stand-in that writes what CellProfiler would write."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from demo_folders import SMALL, make_own_images, write_what_cellprofiler_would

from nucdl_core.cellprofiler import demo
from nucdl_core.cellprofiler.demo import DemoConfig, as_cellprofiler_reads, copy_images, run_demo
from nucdl_core.cellprofiler.headless import HeadlessError
from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.reading import read_image


@pytest.fixture
def cellprofiler(monkeypatch):
    """Replace CellProfiler; returns the runs that it was asked for."""
    runs = []

    def run_cellprofiler(run, progress=None):
        runs.append(run)
        write_what_cellprofiler_would(run, progress)

    monkeypatch.setattr(demo, "run_cellprofiler", run_cellprofiler)
    return runs


@pytest.fixture
def own(tmp_path):
    return make_own_images(tmp_path / "my images")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_both_sides_are_compared_with_the_truth(tmp_path, cellprofiler):
    result = run_demo(DemoConfig(tmp_path / "out", fields=2, size=SMALL))
    table = result.comparison.set_index("module")
    assert table.loc["IdentifyNucleiDL", "mean_f1"] == 1
    assert table.loc["IdentifyPrimaryObjects", "mean_f1"] < 0.5
    assert list(table["cpu_seconds_per_image"]) == [0.25, 0.5]
    written = pd.read_csv(tmp_path / "out" / "comparison.csv")
    pd.testing.assert_frame_equal(written, result.comparison)


def test_the_pipeline_and_the_plugins_of_the_repository_are_used(tmp_path, cellprofiler):
    run_demo(DemoConfig(tmp_path / "out", fields=1, size=SMALL))
    assert cellprofiler[0].pipeline.is_file()
    assert (cellprofiler[0].plugins / "identify_nuclei_dl.py").is_file()


def test_own_images_are_compared_without_a_truth(tmp_path, cellprofiler, own):
    result = run_demo(DemoConfig(tmp_path / "out", own))
    assert list(result.comparison.columns) == ["module", "nuclei", "cpu_seconds_per_image"]
    assert list(result.failed) == ["cut.tif"]
    assert "cut off" in result.failed["cut.tif"]


def test_the_folder_of_own_images_is_not_changed(tmp_path, cellprofiler, own):
    before = content(own)
    run_demo(DemoConfig(tmp_path / "out", own))
    assert content(own) == before


def test_a_second_demonstration_replaces_the_first(tmp_path, cellprofiler, own):
    run_demo(DemoConfig(tmp_path / "out", fields=2, size=SMALL))
    (tmp_path / "out" / "my notes.txt").write_text("keep me")
    run_demo(DemoConfig(tmp_path / "out", own))
    assert not (tmp_path / "out" / "plate" / "labels").exists()
    assert len(list((tmp_path / "out" / "labels_deep").iterdir())) == 3
    assert (tmp_path / "out" / "my notes.txt").exists()


@pytest.mark.parametrize("name", ["out", "out put"])
def test_tables_name_the_place_where_the_images_are(tmp_path, cellprofiler, own, name):
    for images in (None, own):
        run_demo(DemoConfig(tmp_path / name, images, fields=1, size=SMALL))
        place = tmp_path / name / "plate" / "images"
        assert set(pd.read_csv(tmp_path / name / "plate" / "load_data.csv")["Image_PathName_DNA"]) == {str(place)}
        table = pd.read_csv(tmp_path / name / "Image.csv")
        assert set(table["PathName_DNA"]) == {str(place)}
        assert set(table["URL_DNA"]) == {(place / "a.tif").as_uri()}


def test_a_demonstration_that_fails_leaves_the_former_one_and_the_log(tmp_path, cellprofiler, monkeypatch):
    config = DemoConfig(tmp_path / "out", fields=1, size=SMALL)
    run_demo(config)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    log = tmp_path / "out_cellprofiler.log"

    def fail(run, progress=None):
        assert {path: path.read_bytes() for path in before} == before
        (run.output / "cellprofiler.log").write_text("what went wrong")
        raise HeadlessError(f"it failed; see {run.output / 'cellprofiler.log'}")

    with monkeypatch.context() as patch:
        patch.setattr(demo, "run_cellprofiler", fail)
        with pytest.raises(HeadlessError, match=f"see {log}"):
            run_demo(config)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert log.read_text() == "what went wrong"
    run_demo(config)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "Image.csv").write_text("years of work")
    with pytest.raises(ConfigError, match="no demonstration made"):
        run_demo(DemoConfig(tmp_path))
    assert (tmp_path / "Image.csv").read_text() == "years of work"


@pytest.mark.parametrize("inside", [".", "plate/images"])
def test_images_inside_the_output_are_refused(tmp_path, inside):
    (tmp_path / inside).mkdir(parents=True, exist_ok=True)
    with pytest.raises(ConfigError, match="overwritten"):
        DemoConfig(tmp_path, tmp_path / inside)


def test_an_output_inside_the_folder_of_images_is_fine(own):
    DemoConfig(own / "demo_output", own)


def test_a_missing_folder_of_images_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="not a folder"):
        DemoConfig(tmp_path / "out", tmp_path / "none")


def test_no_fields_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1"):
        DemoConfig(tmp_path, fields=0)


def test_the_copies_hold_the_grey_values_of_the_images(tmp_path, own):
    copy_images(own, tmp_path / "plate")
    copies = tmp_path / "plate" / "images"
    for name in ("a.tif", "b.tif"):
        np.testing.assert_array_equal(read_image(copies / name), read_image(own / name))
    colours = read_image(own / "c.tif")
    np.testing.assert_allclose(read_image(copies / "c.tif"), colours / colours.max() * 65535, atol=1)


def test_the_list_names_every_copy_once(tmp_path, own):
    shutil.copy(own / "a.tif", own / "a.tiff")
    copy_images(own, tmp_path / "plate")
    table = pd.read_csv(tmp_path / "plate" / "load_data.csv")
    assert sorted(table["Image_FileName_DNA"]) == ["a.tif", "a_tiff.tif", "b.tif", "c.tif"]
    assert set(table["Image_PathName_DNA"]) == {str(tmp_path / "plate" / "images")}


def test_images_of_which_none_can_be_used_are_an_error_that_names_them(tmp_path, own):
    for name in ("a.tif", "b.tif", "c.tif"):
        (own / name).unlink()
    with pytest.raises(ImageError, match=r"cut\.tif.*cut off"):
        copy_images(own, tmp_path / "plate")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_8_and_16_bits_stay_as_they_are(dtype):
    image = np.array([[0, 3], [200, 7]], dtype)
    assert as_cellprofiler_reads(image) is image


@pytest.mark.parametrize("dtype", [np.uint32, np.float32])
def test_other_numbers_are_stretched_to_16_bits(dtype):
    stretched = as_cellprofiler_reads(np.array([[0, 1000], [100_000, 50_000]], dtype))
    np.testing.assert_array_equal(stretched, [[0, 655], [65535, 32768]])
    assert stretched.dtype == np.uint16


def test_a_black_image_stays_black():
    assert as_cellprofiler_reads(np.zeros((2, 2), np.float32)).dtype == np.uint16
