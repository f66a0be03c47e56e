"""Image files of annotations."""

import errno

import numpy as np
import pytest
import tifffile
from PIL import Image

from nucdl_core.errors import ImageError, NucDLError
from nucdl_core.exchange import rasters
from nucdl_core.exchange.objects import AnnotatedObjects, label_image, objects_of
from nucdl_core.exchange.sources import ImageSizes, ReadOptions
from nucdl_core.files.reading import read_labels
from nucdl_core.files.writing import write_labels, write_png

PLAIN = ReadOptions()
TWO = np.zeros((8, 9), np.int32)
TWO[1:4, 1:4], TWO[5:7, 5:9] = 1, 2


def png(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.mark.parametrize(("name", "kind"), [("a.png", np.uint8), ("a.png", np.uint16), ("a_labels.tif", np.uint32)])
def test_label_images_are_read_from_png_and_tiff(tmp_path, one_image, name, kind):
    if name.endswith("png"):
        png(tmp_path / name, TWO.astype(kind))
    else:
        tifffile.imwrite(tmp_path / name, TWO.astype(kind))
    found = one_image(rasters.read_label_image, tmp_path / name, PLAIN)
    assert found.image == "a"
    assert np.array_equal(label_image(found).labels, TWO)


def test_a_label_image_of_another_size_than_its_image_is_refused(tmp_path, one_image):
    write_labels(tmp_path / "a.tif", TWO)
    with pytest.raises(ImageError, match="the size that was given is 4 x 4"):
        one_image(rasters.read_label_image, tmp_path / "a.tif", ReadOptions(ImageSizes(size=(4, 4))))


def test_a_label_image_that_may_be_binary_is_told(tmp_path, one_image):
    write_labels(tmp_path / "a.tif", (TWO > 0).astype(np.int32))
    (told,) = one_image(rasters.read_label_image, tmp_path / "a.tif", PLAIN).notes
    assert told.startswith("all 2 separate parts have one number")


def test_colour_images_are_no_label_images(tmp_path, one_image):
    png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ImageError, match="this is an RGB image"):
        one_image(rasters.read_label_image, tmp_path / "a.png", PLAIN)


def test_kinds_of_images_are_told_apart_or_refused(tmp_path):
    write_labels(tmp_path / "a.tif", TWO)
    assert rasters.kind_of_raster(tmp_path / "a.tif") == "labels"
    tifffile.imwrite(tmp_path / "s.tif", np.stack([TWO, TWO]).astype(np.uint16))
    assert rasters.kind_of_raster(tmp_path / "s.tif") == "stack"
    png(tmp_path / "b.png", (TWO > 0).astype(np.uint8) * np.uint8(255))
    with pytest.raises(ImageError, match="as in a binary image"):
        rasters.kind_of_raster(tmp_path / "b.png")
    png(tmp_path / "photo.png", np.random.default_rng(0).integers(1, 200, (20, 20)).astype(np.uint8))
    with pytest.raises(ImageError, match="looks like a photograph"):
        rasters.kind_of_raster(tmp_path / "photo.png")


def test_a_file_that_cannot_be_opened_is_refused(tmp_path, monkeypatch):
    write_labels(tmp_path / "a.tif", TWO)

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ImageError, match="cannot be read .Permission denied."):
        rasters.pages_of(tmp_path / "a.tif")


def test_the_layers_of_annotatorj_are_a_nucleus_each(tmp_path, one_image):
    stack = np.stack([TWO == 1, TWO == 2, TWO == 1]).astype(np.uint8) * np.uint8(255)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    found = one_image(rasters.read_stack, tmp_path / "a.tif", PLAIN)
    assert [each.number for each in found.objects] == [1, 2, 3]
    assert not found.notes


def test_a_number_in_two_layers_is_two_nuclei_and_told(tmp_path, one_image):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([TWO, TWO]).astype(np.uint16), photometric="minisblack")
    found = one_image(rasters.read_stack, tmp_path / "a.tif", PLAIN)
    assert [each.number for each in found.objects] == [1, 2, 3, 4]
    assert "2 objects have the number of another one and get a new one (1, 2)" in found.notes


def test_layers_of_different_sizes_are_refused(tmp_path, one_image):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(TWO.astype(np.uint16), metadata=None)
        file.write(TWO[1:].astype(np.uint16), metadata=None)
    with pytest.raises(ImageError, match="layer 2 has the shape"):
        one_image(rasters.read_stack, tmp_path / "a.tif", PLAIN)


def test_the_parts_of_a_binary_image_become_nuclei_with_a_note(tmp_path, one_image):
    png(tmp_path / "a_binary.png", (TWO > 0).astype(np.uint8) * np.uint8(255))
    found = one_image(rasters.read_binary, tmp_path / "a_binary.png", PLAIN)
    assert found.image == "a"
    assert np.array_equal(label_image(found).labels, TWO)
    assert "cannot be told apart" in found.notes[0]


def test_an_image_of_three_numbers_is_not_binary(tmp_path, one_image):
    write_labels(tmp_path / "a.tif", TWO)
    with pytest.raises(ImageError, match="two numbers, this one has 3"):
        one_image(rasters.read_binary, tmp_path / "a.tif", PLAIN)


@pytest.mark.parametrize("shift", [(0, 3), (3, 0), (3, 3), (3, -3)])
def test_touching_nuclei_are_refused_or_cut_apart_in_a_binary_image(tmp_path, one_image, shift):
    labels = np.zeros((9, 9), np.int32)
    labels[3:6, 3:6] = 1
    labels[3 + shift[0] : 6 + shift[0], 3 + shift[1] : 6 + shift[1]] = 2
    with pytest.raises(ImageError, match="1 nuclei touch another one"):
        rasters.BinaryWriter(tmp_path, False).add(objects_of("a", labels))
    (told,) = rasters.BinaryWriter(tmp_path, True).add(objects_of("a", labels))
    assert "became background so that a gap parts touching nuclei" in told
    assert len(one_image(rasters.read_binary, tmp_path / "a_binary.png", PLAIN).objects) == 2


def test_nuclei_that_vanish_in_the_gap_or_have_several_pieces_are_told(tmp_path):
    labels = np.zeros((9, 9), np.int32)
    labels[1, 1], labels[1, 2] = 1, 2
    labels[5, 5] = labels[7, 7] = 3
    told = rasters.BinaryWriter(tmp_path, True).add(objects_of("a", labels))
    assert told[1:] == (
        "1 nuclei vanished in the gaps",
        "2 nuclei became 3 separate parts, since some have several pieces",
    )


def test_a_folder_of_the_data_science_bowl_is_read(tmp_path, one_image):
    folder = tmp_path / "field"
    for name, number in (("0007", 1), ("abc", 2)):
        png(folder / "masks" / f"{name}.png", (number == TWO).astype(np.uint8) * np.uint8(255))
    png(folder / "images" / "field.png", np.zeros((8, 9, 3), np.uint8))
    assert rasters.is_mask_folder(folder)
    found = one_image(rasters.read_masks, folder, PLAIN)
    assert [(each.number, each.name) for each in found.objects] == [(7, ""), (8, "abc")]
    png(folder / "masks" / "empty.png", np.zeros((8, 9), np.uint8))
    png(folder / "masks" / "soft.png", np.repeat(TWO[..., None], 3, 2).astype(np.uint8) * np.uint8(90))
    notes = one_image(rasters.read_masks, folder, PLAIN).notes
    assert set(notes) == {
        "1 objects have no pixel and are left out (empty)",
        "1 masks have more than two values; all but 0 count as the nucleus (soft.png)",
    }


def test_masks_and_images_of_different_sizes_are_refused(tmp_path, one_image):
    folder = tmp_path / "field"
    png(folder / "masks" / "1.png", np.ones((8, 9), np.uint8))
    png(folder / "masks" / "2.png", np.ones((8, 8), np.uint8))
    with pytest.raises(ImageError, match="the mask 2.png is 8 x 8 pixels"):
        one_image(rasters.read_masks, folder, PLAIN)
    png(folder / "images" / "field.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(ImageError, match="the masks are 8 x 9 pixels"):
        one_image(rasters.read_masks, folder, PLAIN)


def test_a_folder_without_masks_is_refused(tmp_path, one_image):
    with pytest.raises(ImageError, match="has no folder 'masks'"):
        one_image(rasters.read_masks, tmp_path, PLAIN)
    assert not rasters.is_mask_folder(tmp_path)


def test_masks_replace_older_ones_and_keep_the_image(tmp_path, one_image):
    write_png(tmp_path / "image.png", np.zeros((8, 9), np.uint8))
    writer = rasters.MaskWriter(tmp_path, {"a": tmp_path / "image.png"})
    writer.add(objects_of("a", TWO))
    writer = rasters.MaskWriter(tmp_path, {})
    assert writer.add(objects_of("a", (TWO == 2).astype(np.int32) * 5)) == ()
    assert [file.name for file in (tmp_path / "a" / "masks").iterdir()] == ["0005.png"]
    assert (tmp_path / "a" / "images" / "a.png").is_file()
    assert one_image(rasters.read_masks, tmp_path / "a", PLAIN).shape == (8, 9)


def test_no_nucleus_and_no_image_is_told(tmp_path):
    (told,) = rasters.MaskWriter(tmp_path, {}).add(AnnotatedObjects("a", (3, 3), ()))
    assert "no mask tells how large the image is" in told


def test_a_stack_has_a_layer_for_what_overlaps(tmp_path, overlapping):
    rasters.StackWriter(tmp_path).add(overlapping)
    stack = tifffile.imread(tmp_path / "field_stack.tif")
    assert stack.shape == (2, 12, 14)
    assert stack.dtype == np.uint16
    assert stack[0].max() == 1
    assert np.unique(stack[1]).tolist() == [0, 4, 7]


def test_label_images_are_written_as_nucdl_writes_them(tmp_path):
    rasters.LabelWriter(tmp_path).add(objects_of("a", TWO))
    write_labels(tmp_path / "b.tif", TWO)
    assert (tmp_path / "a_labels.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert np.array_equal(read_labels(tmp_path / "a_labels.tif"), TWO)


def test_masks_that_do_not_fit_on_the_disk_leave_the_old_ones(tmp_path, monkeypatch):
    found = objects_of("a", TWO)
    rasters.MaskWriter(tmp_path, {}).add(found)

    def full(picture, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(NucDLError, match=r"a: cannot be written \(No space left on device\); check the disk"):
        rasters.MaskWriter(tmp_path, {}).add(AnnotatedObjects("a", (8, 9), found.objects[:1]))
    assert len(list((tmp_path / "a" / "masks").iterdir())) == 2
