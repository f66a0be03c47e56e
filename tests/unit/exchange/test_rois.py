"""ImageJ ROIs, as Fiji and AnnotatorJ write them."""

import numpy as np
import pytest
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from nucdl_core.errors import ImageError
from nucdl_core.exchange import rois
from nucdl_core.exchange.objects import AnnotatedObject, AnnotatedObjects, PlacedMask, label_image
from nucdl_core.exchange.sources import ImageSizes, ReadOptions

OPTIONS = ReadOptions(ImageSizes(size=(20, 30)))


def polygon(points, roitype=ROI_TYPE.FREEHAND, **words):
    roi = ImagejRoi.frompoints(np.array(points), name=words.pop("name", "0001"))
    roi.roitype = roitype
    for key, value in words.items():
        setattr(roi, key, value)
    return roi


def rectangle(box, roitype=ROI_TYPE.RECT, **words):
    left, top, right, bottom = box
    return ImagejRoi(roitype=roitype, version=227, top=top, left=left, bottom=bottom, right=right, **words)


@pytest.fixture
def read(tmp_path, one_image):
    def go(*found):
        path = tmp_path / "field_RoiSet.zip"
        members = [(roi.name or f"{number}", roi.tobytes()) for number, roi in enumerate(found)]
        with path.open("wb") as stream:
            rois.write_members(stream, members)
        return one_image(rois.read_roi_set, path, OPTIONS)

    return go


@pytest.mark.parametrize("roitype", [ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED])
def test_whole_corners_are_corners_of_pixels(read, roitype):
    found = read(polygon([[2, 1], [5, 1], [5, 3], [2, 3]], roitype))
    labels = label_image(found).labels
    assert np.argwhere(labels).tolist() == [[row, col] for row in (1, 2) for col in (2, 3, 4)]
    assert not found.notes


def test_corners_between_pixels_go_by_the_centres(read):
    found = read(polygon([[2.4, 1.0], [5.6, 1.0], [5.6, 3.0], [2.4, 3.0]]))
    assert np.unique(np.nonzero(label_image(found).labels)[1]).tolist() == [2, 3, 4, 5]


def test_a_single_roi_file_is_read(tmp_path, one_image):
    polygon([[2, 1], [5, 1], [5, 3]]).tofile(tmp_path / "field.roi")
    found = one_image(rois.read_roi_set, tmp_path / "field.roi", OPTIONS)
    assert found.image == "field"
    assert len(found.objects) == 1


def test_rectangles_and_ovals_are_read_with_whole_and_broken_sides(read):
    sub = {"options": ROI_OPTIONS.SUB_PIXEL_RESOLUTION, "xd": 10.6, "yd": 2.0, "widthd": 3.0, "heightd": 2.0}
    found = read(
        rectangle((1, 1, 4, 3), name="0001"),
        rectangle((10, 2, 14, 4), name="0002", **sub),
        rectangle((20, 2, 24, 6), ROI_TYPE.OVAL, name="0003"),
        rectangle((1, 10, 6, 15), name="0004", rounded_rect_arc_size=3),
    )
    assert [each.area for each in found.objects] == [6, 6, 12, 25]
    assert found.objects[1].placed.col == 11
    assert found.notes == ("1 rectangles have round corners, which are taken as square (0004)",)


def test_points_lines_and_texts_are_left_out_and_told(read):
    lines = [ROI_TYPE.POLYLINE, ROI_TYPE.FREELINE, ROI_TYPE.ANGLE, ROI_TYPE.POINT]
    points = [[2, 1], [5, 1], [5, 3]]
    found = read(
        *(polygon(points, roitype, name=f"000{number}") for number, roitype in enumerate(lines)),
        rectangle((1, 1, 4, 3), ROI_TYPE.LINE, name="line"),
        rectangle((1, 1, 4, 3), subtype=ROI_SUBTYPE.TEXT, name="text"),
    )
    assert not found.objects
    assert found.notes[0].startswith("6 ROIs are points, lines, angles or texts")


def test_what_lies_outside_crosses_itself_or_is_empty_is_told(read):
    found = read(
        polygon([[25, 5], [40, 5], [40, 9], [25, 9]], name="0001"),
        polygon([[50, 50], [60, 50], [60, 60]], name="0002"),
        polygon([[0, 0], [8, 8], [8, 0], [0, 8]], name="0003"),
        rectangle((3, 3, 3, 3), name="0004"),
        polygon([[1, 1], [3, 1], [3, 3], [1, 3]], name="0005", options=ROI_OPTIONS.SPLINE_FIT),
    )
    assert [each.number for each in found.objects] == [1, 3, 5]
    assert found.notes == (
        "1 objects reach out of the image and are cut at its border (0001)",
        "1 objects lie outside the image and are left out (0002)",
        "1 outlines cross themselves; what they run around twice is outside (0003)",
        "1 objects have no pixel and are left out (4)",
        "1 outlines are splines, which are taken as straight lines between their points (0005)",
    )


def test_composite_rois_have_holes_and_curves(read):
    square = [0, 2, 2, 1, 10, 2, 1, 10, 10, 1, 2, 10, 4]
    hole = [0, 4, 4, 1, 6, 4, 1, 6, 6, 1, 4, 6, 4]
    curves = [0, 12, 2, 1, 16, 2, 2, 20, 6, 16, 10, 3, 14, 10, 12, 8, 12, 2, 4]
    path = np.array(square + hole + curves, np.float32)
    roi = rectangle((2, 2, 20, 10), name="0001", shape_roi_size=len(path), multi_coordinates=path)
    (each,) = read(roi).objects
    labels = np.zeros((20, 30), bool)
    labels[each.window] = each.placed.mask
    assert labels[2:10, 2:10].sum() == 60
    assert labels[6, 16]
    assert not labels[3, 18]


@pytest.mark.parametrize("path", [[9, 1, 1], [1, 2, 2], [0, 2]])
def test_a_broken_path_is_refused(read, path):
    path = np.array(path, np.float32)
    with pytest.raises(ImageError, match="path of the composite ROI '0001' is broken"):
        read(rectangle((2, 2, 20, 10), name="0001", shape_roi_size=len(path), multi_coordinates=path))


def test_groups_are_classes_as_annotatorj_keeps_them(read):
    found = read(polygon([[1, 1], [3, 1], [3, 3]], group=2), polygon([[5, 5], [8, 5], [8, 8]], name="0002"))
    assert [each.category for each in found.objects] == ["group 2", ""]


def test_names_that_a_person_gave_are_kept_and_those_of_positions_are_not(read):
    square = [[1, 1], [3, 1], [3, 3], [1, 3]]
    found = read(*(polygon(square, name=name) for name in ("0007", "0012-0034", "0001-0012-0034", "the odd one")))
    assert [(each.number, each.name) for each in found.objects] == [(7, ""), (8, ""), (9, ""), (10, "the odd one")]


def test_rois_of_several_slices_are_told(read):
    square = [[1, 1], [3, 1], [3, 3], [1, 3]]
    found = read(*(polygon(square, name=f"000{z}", position=z) for z in (1, 2)))
    assert "the ROIs lie on 2 slices of a stack; all are taken as those of one image" in found.notes


def test_a_set_is_named_numbered_and_grouped(tmp_path, overlapping):
    rois.RoiSetWriter(tmp_path).add(overlapping)
    found = ImagejRoi.fromfile(tmp_path / "field_RoiSet.zip")
    assert [(roi.name, roi.group) for roi in found] == [("0001", 1), ("0004", 2), ("0007", 0)]
    assert [roi.roitype for roi in found] == [ROI_TYPE.TRACED] * 3
    assert found[0].coordinates().tolist() == [[2, 2], [10, 2], [10, 10], [2, 10]]


def test_a_group_keeps_its_number_and_classes_beyond_the_last_group_are_told(tmp_path):
    masks = [AnnotatedObject(n, PlacedMask(np.ones((1, 1), bool), 0, n), f"class {n}") for n in range(1, 258)]
    masks[0] = AnnotatedObject(1, masks[0].placed, "group 7")
    (told,) = rois.RoiSetWriter(tmp_path).add(AnnotatedObjects("x", (1, 300), tuple(masks)))
    assert told.startswith("ROIs have 255 groups")
    groups = [roi.group for roi in ImagejRoi.fromfile(tmp_path / "x_RoiSet.zip")]
    assert groups[:2] == [7, 8]
    assert groups[-1] == 0


def test_letters_that_rois_cannot_keep_are_told(tmp_path, one_image):
    odd = AnnotatedObject(1, PlacedMask(np.ones((1, 1), bool), 0, 0), "a \U0001f600", "two\nlines")
    (told,) = rois.RoiSetWriter(tmp_path).add(AnnotatedObjects("x", (1, 1), (odd,)))
    assert told.startswith("2 classes or names hold what ROIs cannot keep")
    (found,) = one_image(rois.read_roi_set, tmp_path / "x_RoiSet.zip", ReadOptions(ImageSizes(size=(1, 1)))).objects
    assert (found.category, found.name) == ("a ?", "two lines")


def test_what_lies_beyond_the_coordinates_of_imagej_is_refused(tmp_path):
    far = AnnotatedObject(1, PlacedMask(np.ones((1, 1), bool), 0, 70_000))
    with pytest.raises(ImageError, match="end at 60536 pixels, 1 objects lie beyond"):
        rois.RoiSetWriter(tmp_path).add(AnnotatedObjects("x", (1, 80_000), (far,)))


@pytest.mark.parametrize("change", [slice(0, 40), slice(0, 70)])
def test_a_roi_that_is_cut_off_is_refused(tmp_path, one_image, change):
    (tmp_path / "x.roi").write_bytes(polygon([[2, 1], [5, 1], [5, 3]]).tobytes()[change])
    with pytest.raises(ImageError, match="is no whole ImageJ ROI"):
        one_image(rois.read_roi_set, tmp_path / "x.roi", OPTIONS)


def test_a_roi_that_claims_two_billion_corners_is_refused(tmp_path, one_image):
    content = bytearray(polygon([[2, 1], [5, 1], [5, 3]]).tobytes())
    content[16:22] = b"\0\0\x7f\xff\xff\xff"
    (tmp_path / "x.roi").write_bytes(content)
    with pytest.raises(ImageError, match="is no whole ImageJ ROI"):
        one_image(rois.read_roi_set, tmp_path / "x.roi", OPTIONS)


def test_a_file_without_a_second_header_has_no_properties():
    assert rois._properties(bytes(64)) == {}
    assert rois._properties(bytes(60) + (64).to_bytes(4, "big") + bytes(64)) == {}
