"""Ellipses that come nearest to nuclei."""

import numpy as np
import pytest
from drawings import disks

from nucdl_core.ellipses import ellipses_of


def bar(turn):
    """One bar of 30 x 10 px, lying along `turn` radians from the columns towards the rows."""
    rows, cols = np.indices((60, 60)) - 29.5
    along = cols * np.cos(turn) + rows * np.sin(turn)
    across = rows * np.cos(turn) - cols * np.sin(turn)
    return ((np.abs(along) < 15) & (np.abs(across) < 5)).astype(np.int32)


def test_a_disk_has_equal_axes_of_its_radius_and_its_centre():
    ellipses = ellipses_of(disks((50, 60), [(20, 30)], 10))
    assert (ellipses.row[0], ellipses.col[0]) == (20, 30)
    assert ellipses.length[0] == pytest.approx(10, abs=0.2)
    assert ellipses.elongation[0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("turn", [0.0, 0.5, 1.2, -0.7])
def test_a_bar_three_times_as_long_as_wide_has_its_direction_and_elongation(turn):
    ellipses = ellipses_of(bar(turn))
    assert ellipses.elongation[0] == pytest.approx(3, rel=0.06)
    assert np.sin(ellipses.angle[0] - turn) == pytest.approx(0, abs=0.03)


def test_the_area_is_that_of_the_nucleus():
    ellipses = ellipses_of(bar(0.3))
    assert np.pi * ellipses.length[0] * ellipses.width[0] == pytest.approx(bar(0.3).sum())


def test_a_nucleus_of_one_pixel_and_a_line_have_finite_axes():
    labels = np.zeros((5, 9), np.int32)
    labels[1, 1] = 1
    labels[3, 1:8] = 2
    ellipses = ellipses_of(labels)
    assert ellipses.elongation[0] == pytest.approx(1)
    assert np.isfinite(ellipses.elongation).all() and ellipses.elongation[1] > 5


def test_an_image_without_nuclei_has_no_ellipses():
    assert len(ellipses_of(np.zeros((4, 4), np.int32))) == 0
