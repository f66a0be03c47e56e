"""Conversions: exact where a format can hold what it is given, and telling what it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nucdl_core.errors import ConfigError, ImageError, NucDLError
from nucdl_core.exchange.conversion import ConvertConfig, convert, lost_by, summary_of
from nucdl_core.exchange.formats import FORMATS, WriteOptions
from nucdl_core.exchange.objects import objects_of
from nucdl_core.exchange.sources import ImageSizes, ReadOptions
from nucdl_core.files.reading import read_labels
from nucdl_core.files.writing import write_labels
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

EXACT = ("labels", "rois", "masks", "coco", "geojson", "stack", "outlines")
KEEP_OVERLAPS = ("rois", "masks", "coco", "geojson", "stack", "outlines")
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "dsb2018" / "train" / "masks"


@pytest.mark.parametrize("kind", EXACT)
def test_peculiar_nuclei_come_back_byte_for_byte(there_and_back, peculiar, kind):
    before, after = there_and_back(peculiar, kind)
    assert before.read_bytes() == after.read_bytes()


@pytest.mark.parametrize("kind", EXACT)
def test_an_image_without_nuclei_comes_back_byte_for_byte(there_and_back, kind):
    before, after = there_and_back(np.zeros((7, 9), np.int32), kind)
    assert before.read_bytes() == after.read_bytes()


@pytest.mark.parametrize("kind", EXACT)
def test_an_image_of_one_pixel_comes_back_byte_for_byte(there_and_back, kind):
    before, after = there_and_back(np.ones((1, 1), np.int32), kind)
    assert before.read_bytes() == after.read_bytes()


# One mask a nucleus would be 66,000 files.
@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in EXACT if kind != "masks"])
def test_more_than_65535_nuclei_come_back_byte_for_byte(there_and_back, kind):
    labels = np.arange(1, 66_001, dtype=np.int32).reshape(220, 300)
    before, after = there_and_back(labels, kind)
    assert before.read_bytes() == after.read_bytes()


@pytest.mark.data
@pytest.mark.parametrize("kind", EXACT)
def test_real_nuclei_come_back_exactly(tmp_path, kind):
    if not REAL.is_dir():
        pytest.skip(f"{REAL} is absent")
    files = sorted(REAL.iterdir())[::60]
    records = convert(files, tmp_path / "there", ConvertConfig(kind, "labels"))
    assert not [record.error for record in records if record.error]
    sizes = ImageSizes(files={file.stem: file for file in files})
    records = convert([tmp_path / "there"], tmp_path / "back", ConvertConfig("labels", kind, sizes))
    assert len(records) == len(files)
    for file in files:
        assert np.array_equal(read_labels(tmp_path / "back" / f"{file.stem}_labels.tif"), read_labels(file))


@pytest.mark.parametrize("kind", EXACT)
def test_simulated_nuclei_come_back_byte_for_byte(there_and_back, kind):
    labels = simulate_field(FieldConfig(size=(160, 200)), np.random.default_rng(3)).labels
    before, after = there_and_back(labels, kind)
    assert before.read_bytes() == after.read_bytes()


@pytest.mark.parametrize("kind", KEEP_OVERLAPS)
def test_overlapping_nuclei_stay_whole(tmp_path, overlapping, kind):
    writer = FORMATS[kind].write(tmp_path, WriteOptions())
    writer.add(overlapping)
    writer.finish()
    (path,) = tmp_path.iterdir()
    (image,) = FORMATS[kind].read(path, ReadOptions(ImageSizes(size=overlapping.shape)))
    again = image.load()
    assert again.image == "field"
    assert sorted(found.number for found in again.objects) == [1, 4, 7]
    by_number = {found.number: found for found in again.objects}
    for found in overlapping.objects:
        placed = by_number[found.number].placed
        assert np.array_equal(placed.mask, found.placed.mask)
        assert (placed.row, placed.col) == (found.placed.row, found.placed.col)


@pytest.mark.parametrize("kind", list(FORMATS))
def test_a_format_keeps_classes_and_names_or_says_that_they_are_lost(tmp_path, overlapping, kind):
    told = " ".join(lost_by(overlapping, kind))
    assert ("no classes, they are lost (round: 1, small one: 1)" in told) != FORMATS[kind].classes
    assert ("those of 1 objects are lost (the odd one)" in told) != FORMATS[kind].names
    if not FORMATS[kind].classes:
        return
    writer = FORMATS[kind].write(tmp_path, WriteOptions())
    writer.add(overlapping)
    writer.finish()
    (path,) = tmp_path.iterdir()
    (image,) = FORMATS[kind].read(path, ReadOptions(ImageSizes(size=overlapping.shape), fill_boxes=True))
    found = {each.number: each for each in image.load().objects}
    default = "nucleus" if kind == "coco" else ""
    assert [found[number].category for number in (1, 4, 7)] == ["round", "small one", default]
    assert found[4].name == ("the odd one" if FORMATS[kind].names else "")


def test_the_smallest_of_overlapping_nuclei_is_on_top_and_shared_pixels_are_counted(tmp_path, overlapping):
    FORMATS["rois"].write(tmp_path, WriteOptions()).add(overlapping)
    config = ConvertConfig("labels", sizes=ImageSizes(size=overlapping.shape))
    (record,) = convert([tmp_path / "field_RoiSet.zip"], tmp_path / "out", config)
    labels = read_labels(tmp_path / "out" / "field_labels.tif")
    assert labels[4, 4] == 4
    assert labels[9, 9] == 7
    assert "8 pixels belong to several objects; the smallest of these gets them" in record.notes


@pytest.fixture
def folder(tmp_path, peculiar):
    """Two good label images and a broken one."""
    (tmp_path / "in").mkdir()
    for name in ("a", "c"):
        write_labels(tmp_path / "in" / f"{name}_labels.tif", peculiar)
    (tmp_path / "in" / "b_labels.tif").write_bytes(b"II*\0 and nothing more")
    return tmp_path


def test_a_broken_file_does_not_stop_the_others(folder):
    records = convert([folder / "in"], folder / "out", ConvertConfig("coco"))
    assert [record.error is None for record in records] == [True, False, True]
    assert records[1].error.startswith(str(folder / "in" / "b_labels.tif"))
    assert summary_of(records, "coco") == "2 of 3 images, 18 nuclei as coco"
    assert (folder / "out" / "annotations.json").exists()


def test_nothing_is_written_where_every_file_is_broken(folder):
    convert([folder / "in" / "b_labels.tif"], folder / "out", ConvertConfig("coco"))
    assert not list((folder / "out").iterdir())


def test_annotations_of_one_image_in_two_files_are_named(folder, peculiar):
    (folder / "more").mkdir()
    write_labels(folder / "more" / "a.tif", peculiar)
    records = convert(
        [folder / "in" / "a_labels.tif", folder / "more"], folder / "out", ConvertConfig("rois", "labels")
    )
    assert records[0].error is None
    assert "the image a has annotations in" in records[1].error


def test_the_folder_of_the_annotations_is_no_output_folder(folder):
    with pytest.raises(ConfigError, match="holds the annotations to be converted"):
        convert([folder / "in"], folder / "in", ConvertConfig("labels"))
    with pytest.raises(ConfigError, match="there is no format 'tiff'"):
        ConvertConfig("tiff")


def test_an_output_that_cannot_be_written_is_a_failure_of_the_image(folder, monkeypatch):
    def full(*_):
        raise NucDLError("x_labels.tif: cannot be written (No space left on device); check the folder and the disk")

    monkeypatch.setattr("nucdl_core.exchange.rasters.write_labels", full)
    (record,) = convert([folder / "in" / "a_labels.tif"], folder / "out", ConvertConfig("labels", "labels"))
    assert "No space left" in record.error


def test_an_image_that_does_not_fit_into_memory_is_a_failure_of_the_image(folder, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr("nucdl_core.exchange.rasters.write_labels", full)
    (record,) = convert([folder / "in" / "a_labels.tif"], folder / "out", ConvertConfig("labels", "labels"))
    assert "the image a does not fit into memory" in record.error


@pytest.mark.parametrize("kind", EXACT)
def test_points_in_the_name_of_an_image_are_kept(there_and_back, peculiar, kind):
    _, after = there_and_back(peculiar, kind, name="plate.A01.f2")
    assert after.name == "plate.A01.f2_labels.tif"


def test_halves_of_characters_in_json_break_nothing(folder):
    image = '{"id": 1, "height": 3, "width": 3, "file_name": "%s"}'
    outline = '{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 2]]}'
    text = '{"images": [%s], "annotations": [%s], "categories": [{"id": 1, "name": "\\ud800"}]}'
    (folder / "x.json").write_text(text % (image % "a", outline))
    (folder / "y.json").write_text(text % (image % "\\ud800", outline))
    for kind in ("outlines", "rois", "geojson"):
        records = convert([folder / "x.json", folder / "y.json"], folder / kind, ConvertConfig(kind))
        assert records[0].error is None
        assert "which is no name for a file" in records[1].error


def test_a_file_that_does_not_fit_into_memory_is_named(folder, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr("nucdl_core.exchange.formats.recognized", full)
    (record,) = convert([folder / "in" / "a_labels.tif"], folder / "out", ConvertConfig("rois"))
    assert "the file does not fit into memory" in record.error


def test_an_image_whose_name_is_no_name_for_a_file_is_named(folder):
    (folder / "x.csv").write_text("image,object,vertex,x,y\n..,1,1,0,0\n")
    (record,) = convert([folder / "x.csv"], folder / "out", ConvertConfig("labels", sizes=ImageSizes(size=(3, 3))))
    assert "which is no name for a file" in record.error


def test_a_file_without_images_is_named(folder):
    (folder / "x.json").write_text('{"images": [], "annotations": []}')
    (record,) = convert([folder / "x.json"], folder / "out", ConvertConfig("labels"))
    assert "the file lists no image" in record.error


def test_a_folder_without_annotations_is_an_error(folder):
    (folder / "empty").mkdir()
    with pytest.raises(ImageError, match="nothing that is known to be annotations"):
        convert([folder / "empty"], folder / "out", ConvertConfig("labels"))


def test_gaps_in_the_numbers_are_kept(peculiar):
    numbers = [found.number for found in objects_of("x", peculiar).objects]
    assert numbers == [2, 3, 5, 6, 9, 11, 12, 13, 40_000]
