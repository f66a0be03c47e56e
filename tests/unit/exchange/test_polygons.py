"""Outlines along the edges of pixels, and the rule of pixel centres."""

import numpy as np
import pytest

from nucdl_core.errors import ImageError
from nucdl_core.exchange import polygons as pg
from nucdl_core.exchange.objects import trimmed

SHAPE = (10, 12)


def filled(points, shape=SHAPE):
    return pg.fill([pg.as_ring(points, "x")], shape)


def image_of(found, shape=SHAPE):
    image = np.zeros(shape, int)
    mask, row, col = found.placed
    image[row : row + mask.shape[0], col : col + mask.shape[1]] = mask
    return image


def test_a_nucleus_of_one_pixel_is_a_unit_square():
    (polygon,) = pg.polygons_of(trimmed(np.ones((1, 1), bool), 3, 5))
    assert polygon.shell.tolist() == [[5, 3], [6, 3], [6, 4], [5, 4]]
    assert not polygon.holes


def test_a_ring_of_pixels_has_a_hole():
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    (polygon,) = pg.polygons_of(trimmed(mask))
    assert sorted(polygon.shell.tolist()) == [[0, 0], [0, 3], [3, 0], [3, 3]]
    assert [sorted(hole.tolist()) for hole in polygon.holes] == [[[1, 1], [1, 2], [2, 1], [2, 2]]]


def test_pixels_that_touch_at_a_corner_are_two_pieces():
    assert len(pg.polygons_of(trimmed(np.eye(2, dtype=bool)))) == 2


def test_no_ring_passes_a_point_twice():
    mask = np.ones((4, 4), bool)
    mask[1, 1] = mask[2, 2] = mask[0, 0] = False
    (polygon,) = pg.polygons_of(trimmed(mask))
    for ring in (polygon.shell, *polygon.holes):
        assert len({tuple(point) for point in ring.tolist()}) == len(ring)
    assert len(polygon.holes) == 2


def test_a_pixel_belongs_to_a_polygon_if_its_centre_does():
    # A triangle whose long side runs from (1, 1) to (4.2, 4): the centres below it, found by hand.
    assert image_of(filled([[1.0, 1.0], [4.2, 4.0], [1.0, 4.0]]))[1:5, 1:5].tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [0, 0, 0, 0],
    ]


def test_a_centre_on_the_line_belongs_on_the_right_and_upper_side_only():
    image = image_of(filled([[1.5, 2.5], [3.5, 2.5], [3.5, 4.5], [1.5, 4.5]]))
    assert np.argwhere(image).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_whole_corners_of_imagej_are_corners_of_pixels():
    # ImageJ: makePolygon(2,1, 5,1, 5,3, 2,3) selects 3 x 2 pixels.
    image = image_of(filled([[2, 1], [5, 1], [5, 3], [2, 3]]))
    assert image.sum() == 6
    assert image[1:3, 2:5].all()


def test_neighbouring_polygons_share_no_pixel_and_leave_none():
    middle = [[5.3, 0], [4.1, 3.7], [6.2, 10]]
    left = image_of(filled([[0, 0], *middle, [0, 10]]))
    right = image_of(filled([*middle, [12, 10], [12, 0]]))
    assert np.array_equal(left + right, np.ones(SHAPE, int))


def test_an_outline_that_crosses_itself_is_told_and_what_it_runs_around_twice_is_outside():
    bow = filled([[0, 0], [8, 8], [8, 0], [0, 8]])
    assert bow.crossing
    twice = filled([[0, 0], [8, 0], [8, 8], [2, 8], [2, 2], [6, 2], [6, 6], [0, 6]])
    assert twice.crossing
    assert image_of(twice)[3, 3] == 0
    assert not filled([[0, 0], [8, 0], [8, 8], [0, 8]]).crossing


def test_outlines_outside_the_image_are_cut_and_told():
    found = filled([[-3, -2], [4, -2], [4, 5], [-3, 5]])
    assert found.outside
    assert image_of(found).sum() == 20
    gone = filled([[20, 20], [30, 20], [30, 30]])
    assert gone.outside
    assert gone.placed.mask.size == 0
    assert not filled([[-0.4, 1], [3, 1], [3, 4]]).outside


def test_outlines_of_fewer_than_three_corners_enclose_nothing():
    for points in ([], [[1, 1]], [[1, 1], [5, 5]]):
        assert filled(points).placed.mask.size == 0
    assert pg.fill([], SHAPE).placed.mask.size == 0


def test_rings_make_holes_or_a_union():
    outer, inner = pg.as_ring([[0, 0], [6, 0], [6, 6], [0, 6]], "x"), pg.as_ring([[2, 2], [4, 2], [4, 4], [2, 4]], "x")
    assert image_of(pg.fill([outer, inner], SHAPE)).sum() == 32
    assert image_of(pg.fill([outer, inner], SHAPE, together=False)).sum() == 36


def test_an_ellipse_has_the_pixels_whose_centres_lie_in_it():
    found = pg.fill_ellipse((1, 1, 4, 4), SHAPE)
    assert image_of(found)[1:5, 1:5].tolist() == [[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 0]]
    assert pg.fill_ellipse((-2, 1, 4, 4), SHAPE).outside
    assert pg.fill_ellipse((1, 1, 0, 0), SHAPE).placed.mask.size == 0


@pytest.mark.parametrize("points", [[[1, 2], [3]], [["a", "b"]], [1, 2, 3], "text", None])
def test_what_is_no_list_of_points_is_refused(points):
    with pytest.raises(ImageError, match="outline of object n7"):
        pg.as_ring(points, "n7")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e12])
def test_numbers_far_beyond_an_image_are_refused(number):
    with pytest.raises(ImageError, match="not finite or above 1e"):
        pg.as_ring([[0, 0], [number, 0], [1, 1]], "n7")


def test_an_object_as_large_as_no_nucleus_is_refused(monkeypatch):
    monkeypatch.setattr(pg, "MAX_OBJECT_PIXELS", 10)
    with pytest.raises(ImageError, match="one object is 4 x 4 pixels large"):
        filled([[0, 0], [4, 0], [4, 4], [0, 4]])
