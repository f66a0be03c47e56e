"""nucdl convert."""

import numpy as np
import pytest
from commands import nucdl

from nucdl_core.cli.main import main
from nucdl_core.exchange.formats import FORMATS, WriteOptions
from nucdl_core.files.reading import read_labels
from nucdl_core.files.writing import write_labels, write_png


@pytest.fixture
def folder(tmp_path, peculiar):
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        write_labels(tmp_path / "labels" / f"{name}_labels.tif", peculiar)
        write_png(tmp_path / "images" / f"{name}.png", np.zeros(peculiar.shape, np.uint8))
    return tmp_path


def test_there_and_back_with_the_images(folder, peculiar):
    result = nucdl("convert", folder / "labels", "--output", folder / "rois", "--to", "rois")
    assert result.exit_code == 0, result.output
    assert f"2 of 2 images, 18 nuclei as rois in {folder / 'rois'}" in result.output
    back = ("convert", folder / "rois", "--output", folder / "back", "--to", "labels", "--images", folder / "images")
    assert nucdl(*back).exit_code == 0
    assert np.array_equal(read_labels(folder / "back" / "a_labels.tif"), peculiar)


def test_a_missing_size_is_a_failure_that_says_what_to_do(folder):
    nucdl("convert", folder / "labels", "--output", folder / "rois", "--to", "rois")
    back = ("convert", folder / "rois", "--output", folder / "back", "--to", "labels")
    result = nucdl(*back)
    assert result.exit_code == 3
    assert result.output.count("(--images FOLDER) or the size (--size HEIGHTxWIDTH)") == 2
    assert nucdl(*back, "--size", "24x30").exit_code == 0
    assert nucdl(*back, "--size", "24").exit_code == 1
    assert "give height x width in pixels" in nucdl(*back, "--size", "24").output


def test_notes_are_told_once_for_all_images_and_on_the_standard_error(folder, capsys):
    for name in "cdef":
        (folder / "labels" / f"{name}_labels.tif").write_bytes((folder / "labels" / "a_labels.tif").read_bytes())
    arguments = ["convert", folder / "labels", "--output", folder / "boxes", "--to", "boxes"]
    main([str(argument) for argument in arguments], standalone_mode=False)
    told = capsys.readouterr()
    assert "note: a, b, c and 3 more images: boxes keep place and size of the nuclei" in told.err
    assert "note:" not in told.out


def test_images_without_annotations_are_told(folder):
    (folder / "labels" / "b_labels.tif").unlink()
    to = ("--output", folder / "out", "--to", "coco", "--images", folder / "images")
    assert "note: 1 images have no annotations, among them b" in nucdl("convert", folder / "labels", *to).output


def test_overlaps_and_lost_classes_are_told(tmp_path, overlapping):
    FORMATS["geojson"].write(tmp_path, WriteOptions()).add(overlapping)
    result = nucdl("convert", tmp_path / "field.geojson", "--output", tmp_path / "out", "--to", "labels")
    assert result.exit_code == 0
    assert "8 pixels belong to several objects" in result.output
    assert "the format labels has no classes, they are lost (round: 1, small one: 1)" in result.output
    assert "1 of 1 images, 3 nuclei as labels, notes about 1 images" in result.output


def test_an_uncertain_format_is_asked_for(folder):
    (folder / "labels" / "more.geojson").write_text("{}")
    result = nucdl("convert", folder / "labels", "--output", folder / "out", "--to", "coco")
    assert result.exit_code == 1
    assert "name the format (--from)" in result.output
    named = nucdl("convert", folder / "labels", "--output", folder / "out", "--to", "coco", "--from", "labels")
    assert named.exit_code == 0


def test_boxes_are_filled_and_touching_nuclei_cut_only_where_asked_for(folder):
    nucdl("convert", folder / "labels", "--output", folder / "boxes", "--to", "boxes")
    to = ("convert", folder / "boxes", "--output", folder / "filled", "--to", "labels")
    assert "boxes are no outlines" in nucdl(*to).output
    assert nucdl(*to, "--fill-boxes").exit_code == 0
    to = ("convert", folder / "labels", "--output", folder / "binary", "--to", "binary")
    assert nucdl(*to).exit_code == 3
    assert nucdl(*to, "--cut-touching").exit_code == 0
