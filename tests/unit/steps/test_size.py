import numpy as np
import pytest
from drawings import disks

from nucdl_core.steps.instances import Maps
from nucdl_core.steps.size import (
    estimate_diameter,
    estimate_diameters,
    other_diameters,
    richest_window,
    typical_diameter,
)

CANONICAL = 32.0


class IdealNetwork:
    """Says the size of the disks of a simulated image, as long as they appear from 8 to 120 px across."""

    def __init__(self, diameter):
        self.diameter = diameter
        self.looks = []

    def __call__(self, image, scale):
        self.looks.append(scale)
        apparent = self.diameter * scale
        size = np.full(image.shape, np.log2(apparent / CANONICAL), np.float32)
        foreground = image if 8 <= apparent <= 120 else np.zeros_like(image)
        return Maps(foreground, image, image, size)


@pytest.mark.parametrize("diameter", [6, 12, 32, 80, 150])
def test_the_diameter_is_found_whatever_its_size(diameter):
    image = (disks((700, 700), [(350, 350), (200, 500)], diameter / 2) > 0).astype(np.float32)
    assert estimate_diameter(image, CANONICAL, IdealNetwork(diameter)) == pytest.approx(diameter, rel=0.01)


def test_an_image_without_nuclei_has_no_diameter():
    network = IdealNetwork(30)
    assert estimate_diameter(np.zeros((300, 300), np.float32), CANONICAL, network) is None
    assert len(network.looks) <= 5


def test_one_look_suffices_where_nuclei_have_about_the_canonical_size():
    network = IdealNetwork(34)
    image = (disks((300, 300), [(150, 150)], 17) > 0).astype(np.float32)
    estimate_diameter(image, CANONICAL, network)
    assert network.looks == [1.0]


def test_one_look_suffices_for_usual_nuclei_in_a_usual_camera_image():
    network = IdealNetwork(26)
    image = (disks((520, 696), [(150, 150), (300, 500)], 13) > 0).astype(np.float32)
    assert estimate_diameter(image, CANONICAL, network) == pytest.approx(26, rel=0.01)
    assert len(network.looks) == 1


def test_every_nucleus_has_one_vote_whatever_its_area():
    foreground = np.zeros((200, 200), np.float32)
    size = np.zeros_like(foreground)
    for row in range(3):
        foreground[10 + 40 * row : 26 + 40 * row, 10:26] = 1
        size[10 + 40 * row : 26 + 40 * row, 10:26] = np.log2(16 / CANONICAL)
    foreground[60:160, 60:160] = 1
    size[60:160, 60:160] = np.log2(100 / CANONICAL)
    assert typical_diameter(Maps(foreground, foreground, foreground, size), CANONICAL) == pytest.approx(16)


def test_no_sure_pixel_gives_no_diameter():
    unsure = np.full((9, 9), 0.5, np.float32)
    assert typical_diameter(Maps(unsure, unsure, unsure, unsure), CANONICAL) is None


def test_micronuclei_do_not_pull_the_diameter_down():
    foreground = np.zeros((200, 200), np.float32)
    size = np.zeros_like(foreground)
    for place in range(8):
        foreground[10:38, 10 + 20 * place : 18 + 20 * place] = 1
        size[10:38, 10 + 20 * place : 18 + 20 * place] = np.log2(7 / CANONICAL)
    foreground[60:95, 10:180] = 1
    size[60:95, 10:180] = np.log2(35 / CANONICAL)
    # About 36 micronuclei beside 5 nuclei, were they not so small; here they are 30 of them.
    foreground[10:22] = 0
    assert typical_diameter(Maps(foreground, foreground, foreground, size), CANONICAL) == pytest.approx(7)
    foreground[10:38, 60:] = 0
    assert typical_diameter(Maps(foreground, foreground, foreground, size), CANONICAL) == pytest.approx(35)


def test_the_richest_window_holds_the_content_and_stays_inside():
    content = np.zeros((25, 50), np.float32)
    content[20:24, 44:49] = 1
    rows, cols = richest_window(content, (100, 200), (40, 40))
    assert rows.start <= 80 and 96 <= rows.stop <= 100
    assert cols.start <= 176 and 196 <= cols.stop <= 200
    assert rows.stop - rows.start == cols.stop - cols.start == 40


def test_a_window_larger_than_the_image_is_the_image():
    assert richest_window(np.ones((5, 5), np.float32), (20, 30), (90, 90)) == (slice(0, 20), slice(0, 30))


def test_the_first_look_at_a_very_large_image_is_one_at_its_richest_part():
    network = IdealNetwork(24)
    image = np.zeros((4000, 4000), np.float32)
    image[3000:3400, 500:900] = disks((400, 400), [(100, 100), (250, 300)], 12) > 0
    assert estimate_diameter(image, CANONICAL, network) == pytest.approx(24, rel=0.01)
    assert min(network.looks) >= 0.13


def maps_of_squares(*squares):
    """Maps of an image that holds so many squares of each side, one group below the other."""
    foreground, size = np.zeros((400, 400), np.float32), np.zeros((400, 400), np.float32)
    top = 0
    for count, side in squares:
        for number in range(count):
            place = (slice(top, top + side), slice(number * (side + 2), number * (side + 2) + side))
            foreground[place], size[place] = 1, np.log2(side / CANONICAL)
        top += side + 2
    return Maps(foreground, foreground, foreground, size)


def test_nuclei_of_similar_size_are_one_group():
    assert other_diameters(maps_of_squares((9, 12), (3, 40)), CANONICAL, 12.0) == []


def test_much_larger_nuclei_are_told_from_the_typical_ones():
    assert other_diameters(maps_of_squares((9, 12), (2, 90)), CANONICAL, 12.0) == [pytest.approx(90)]


def test_much_smaller_nuclei_are_told_from_the_typical_ones_if_they_are_many():
    many, few = maps_of_squares((5, 60), (4, 12)), maps_of_squares((5, 60), (1, 12))
    assert other_diameters(many, CANONICAL, 60.0) == [pytest.approx(12)]
    assert other_diameters(few, CANONICAL, 60.0) == []


def test_an_image_of_two_sizes_has_two_diameters_in_its_own_pixels():
    maps = maps_of_squares((9, 12), (2, 90))
    image = np.repeat(np.repeat(maps.foreground, 2, axis=0), 2, axis=1)

    def look(part, scale):
        return maps if part.shape == image.shape else maps_of_squares((9, 32))

    found = estimate_diameters(image, CANONICAL, look)
    assert len(found) == 2
    assert found[1] > 4 * found[0]


def test_an_image_without_nuclei_has_no_diameters():
    assert estimate_diameters(np.zeros((300, 300), np.float32), CANONICAL, IdealNetwork(30)) == []


@pytest.mark.parametrize("beside, others", [((), []), ((2, 90), [pytest.approx(270, rel=0.1)])])
def test_only_looks_in_which_nuclei_can_be_told_apart_tell_about_other_sizes(beside, others):
    image = np.ones((3000, 3000), np.float32)
    crowd, single = maps_of_squares((9, 12), (2, 120)), maps_of_squares((9, 10), *([beside] if beside else []))

    def look(part, scale):
        # Nuclei of 30 px are 4 px across at the first look, where a crowd of them is taken for a large one.
        return crowd if scale < 0.2 else single if scale < 0.5 else maps_of_squares((9, round(30 * scale)))

    assert estimate_diameters(image, CANONICAL, look)[1:] == others
