"""What a window shows of an image and its nuclei."""

import numpy as np
import pytest

from nucdl_core.annotate.view import (
    NO_CLASS,
    OUTSIDE,
    PALETTE,
    PENDING,
    SELECTED,
    Overlay,
    Viewport,
    colours_of,
    intensity_limits,
    picture,
)
from nucdl_core.exchange.objects import PlacedMask

IMAGE = np.zeros((20, 30), np.uint16)
LABELS = np.zeros((20, 30), np.int32)
LABELS[5:15, 5:15] = 1
PLAIN = Overlay(np.zeros_like(LABELS), colours_of(0))


def test_a_whole_image_lies_in_the_middle_of_its_window():
    view = Viewport.whole((20, 30), (400, 400))
    assert view.to_window(10, 15) == pytest.approx((200, 200))
    assert view.to_window(0, 30)[1] == pytest.approx(400)


def test_places_in_window_and_image_are_each_others_opposite():
    view = Viewport(3.5, -2, 4.0)
    assert view.to_image(*view.to_window(7.25, 9.5)) == pytest.approx((7.25, 9.5))


def test_zooming_keeps_the_place_below_the_mouse_and_ends_at_limits():
    view = Viewport(1, 2, 2.0)
    assert view.zoomed(1.5, 40, 60).to_image(40, 60) == pytest.approx(view.to_image(40, 60))
    assert view.zoomed(1e9, 0, 0).zoom == 64
    assert view.zoomed(1e-9, 0, 0).zoom == 1 / 64


def test_panning_moves_the_image_with_the_mouse():
    assert Viewport(10, 10, 2.0).panned(6, -4).to_window(10, 10) == (6, -4)


def test_a_position_is_brought_into_the_window_and_one_inside_moves_nothing():
    view = Viewport(0, 0, 2.0)
    assert view.showing(50, 50, (200, 200)) == view
    row, col = view.showing(500, -50, (200, 200)).to_window(500, -50)
    assert (row, col) == pytest.approx((170, 30))


def test_around_the_image_there_is_nothing_and_large_images_are_sampled():
    large = np.full((3000, 3000), 7, np.uint16)
    shown = picture(large, (0, 7), PLAIN._replace(labels=large * np.int32(0)), Viewport(0, 0, 0.05), (100, 300))
    assert shown.shape == (100, 300, 3)
    assert (shown[:, :150] == 255).all()
    assert (shown[:, 150:] == OUTSIDE).all()


def test_dim_pixels_become_brighter_by_gamma():
    dim = np.full((20, 30), 100, np.uint16)
    plain, bright = (picture(dim, (0, 1000), PLAIN, Viewport(), (5, 5), gamma)[0, 0, 0] for gamma in (1.0, 0.5))
    assert (plain, bright) == (25, 80)


def test_an_outline_runs_along_the_rim_inside_its_nucleus():
    shown = picture(IMAGE, (0, 1), Overlay(LABELS, colours_of(1)), Viewport(), (20, 30))
    marked = (shown == PALETTE[0]).all(axis=2)
    rim = np.zeros_like(marked)
    rim[5:15, 5:15] = True
    rim[6:14, 6:14] = False
    assert np.array_equal(marked, rim)
    pending = PlacedMask(np.ones((10, 10), bool), 5, 5)
    for overlay in (Overlay(LABELS, colours_of(1)), Overlay(LABELS, colours_of(1), pending=pending)):
        bright = picture(IMAGE + 1, (0, 1), overlay, Viewport(), (20, 30))
        assert (bright[LABELS == 0] == 255).all()


def test_what_is_selected_and_pending_stands_out_even_where_outlines_are_hidden():
    pending = PlacedMask(np.ones((4, 4), bool), 1, 20)
    overlay = Overlay(LABELS, colours_of(1), (1,), pending, hidden=True)
    shown = picture(IMAGE, (0, 1), overlay, Viewport(0, 0, 10.0), (200, 300))
    assert tuple(shown[51, 51]) == SELECTED
    assert tuple(shown[11, 201]) == PENDING
    assert shown[100, 100].max() > 0
    hidden = picture(IMAGE, (0, 1), overlay._replace(selection=(), pending=None), Viewport(0, 0, 10.0), (200, 300))
    assert hidden.max() == 0


def test_following_nuclei_differ_in_colour_and_classes_have_theirs():
    assert len({tuple(colour) for colour in colours_of(9)[1:]}) == 9
    classed = colours_of(3, np.array([1, 0, 1]))
    assert tuple(classed[1]) == tuple(classed[3]) == PALETTE[0]
    assert tuple(classed[2]) == NO_CLASS


@pytest.mark.parametrize("image", [np.zeros((5, 5), np.uint8), np.zeros((0, 0)), np.full((3, 3), 0.5)])
def test_an_image_of_one_intensity_has_limits(image):
    low, high = intensity_limits(image)
    assert high > low


def test_single_bright_spots_do_not_darken_the_image():
    image = np.full((200, 200), 10, np.uint16)
    image[:, :50] = 100
    image[0, 0] = 60000
    assert intensity_limits(image) == pytest.approx((10, 100))


def test_a_pending_contour_without_pixels_is_not_drawn():
    empty = PlacedMask(np.zeros((0, 0), bool), 0, 0)
    assert picture(IMAGE, (0, 1), PLAIN._replace(pending=empty), Viewport(), (20, 30)).max() == 0
