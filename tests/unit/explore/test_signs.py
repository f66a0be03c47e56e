"""What is seen of results without truth."""

import numpy as np
import pytest
from drawings import disks, field

from nucdl_core.explore.ranking import score_without_truth
from nucdl_core.explore.signs import ImageSigns, Scene, agreement_of, agreements

CENTRES = [(30, 30), (30, 90), (90, 30), (90, 90)]
RIGHT, SMALLER = disks((120, 120), CENTRES, 14), disks((120, 120), CENTRES, 12)
ONE, NONE = disks((120, 120), CENTRES[:1], 14), np.zeros((120, 120), np.int32)


def test_results_that_are_alike_agree():
    first, second, third = agreements([RIGHT, SMALLER, NONE])
    assert first == second == pytest.approx(agreement_of(RIGHT, SMALLER) / 2) and first > 0.2 and third == 0


def test_the_same_result_tried_twice_does_not_count_twice():
    assert agreements([RIGHT, SMALLER, RIGHT.copy()]) == agreements([RIGHT, SMALLER, RIGHT])
    assert agreements([RIGHT, SMALLER, RIGHT])[:2] == agreements([RIGHT, SMALLER])


def test_only_the_five_most_similar_others_count():
    others = [disks((120, 120), CENTRES, radius) for radius in (11, 12, 13, 15, 16)]
    assert agreements([RIGHT, *others])[0] == pytest.approx(agreements([RIGHT, *others, NONE])[0])


def test_a_single_result_agrees_with_nothing():
    assert agreements([RIGHT]) == agreements([RIGHT, RIGHT])[:1] == [0.0]


@pytest.mark.parametrize("change", [lambda image: image, lambda image: image.max() - image])
def test_light_is_highest_where_the_nuclei_are_bright_or_dark(change):
    image, truth = field()
    scene = Scene(change(image))
    shifted = np.roll(truth, 9, axis=1)
    assert scene.light(truth) > 0.9 > 0.6 > scene.light(shifted)
    assert scene.light(np.zeros_like(truth)) == scene.light(np.ones_like(truth)) == 0


def test_neither_a_slope_nor_bad_pixels_change_the_light_much():
    image, truth = field()
    slope = np.linspace(0, 20000, image.shape[1])[None].astype(np.uint16)
    bad = np.where(np.random.default_rng(0).random(image.shape) < 0.05, 3000, image)
    for changed in (image + slope, bad):
        assert Scene(changed).light(truth) == pytest.approx(Scene(image).light(truth), abs=0.1)


def test_the_score_grows_with_agreement_and_light():
    assert score_without_truth(ImageSigns(1, 1)) == 1 and score_without_truth(ImageSigns(1, 0)) == 0
    assert score_without_truth(ImageSigns(0.8, 0.5)) == pytest.approx(0.9 / 1.1 / 4)


def test_what_all_others_miss_may_still_come_first():
    alone, alike = ImageSigns(0.01, 0.8), ImageSigns(0.4, 0.1)
    assert score_without_truth(alone) > score_without_truth(alike)
