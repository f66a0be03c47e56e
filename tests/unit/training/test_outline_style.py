"""How far out a laboratory draws its outlines."""

import numpy as np
import pytest
from conftest import untrained_map_model
from drawings import disks, ideal_maps

from nucdl_core.steps.instances import MapPrediction, Maps
from nucdl_core.training.calibrate import PredictedTruth
from nucdl_core.training.outline_style import OutlineStyle, choose_style, style_scores, styles_around

USUAL = OutlineStyle(0.5)
CENTRES = [(20, 20), (20, 60), (60, 30)]


def predicted(annotated_radius):
    """Three disks of radius 10 for the network, for which annotators draw another radius."""
    seen = disks((90, 90), CENTRES, 10)
    ideal = ideal_maps(seen)
    maps = Maps(ideal.foreground, ideal.boundary, ideal.distance, ideal.size)
    return PredictedTruth(disks((90, 90), CENTRES, annotated_radius), MapPrediction([maps], maps, maps.foreground, 1.0))


def chosen_for(images):
    styles = styles_around(USUAL)
    return choose_style(style_scores(images, untrained_map_model(), styles), styles)


def test_the_usual_style_is_tried_first_and_each_once():
    styles = styles_around(USUAL)
    assert styles[0] == USUAL
    assert len(set(styles)) == len(styles)
    assert {OutlineStyle(0.2), OutlineStyle(0.7), OutlineStyle(0.4, 1.0), OutlineStyle(0.6, -0.5)} < set(styles)


@pytest.mark.parametrize("radius, offset", [(11, 1.0), (9, -1.0), (10, 0.0)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_offset_of_the_annotators_is_found_from_one_image_on(radius, offset, count):
    chosen = chosen_for([predicted(radius)] * count)
    assert np.sign(chosen.style.offset) == np.sign(offset)
    assert chosen.usual.shape == chosen.chosen.shape == (count, 2)
    if offset:
        assert chosen.chosen[:, 0].mean() > chosen.usual[:, 0].mean() + 0.05


def test_a_gain_that_would_not_hold_is_not_taken():
    scores = np.array([[[0.80, 0.5], [0.81, 0.6]]])
    assert choose_style(scores, [USUAL, OutlineStyle(0.4)]).style == USUAL
    assert choose_style(scores + [[[0, 0], [0.02, 0]]], [USUAL, OutlineStyle(0.4)]).style == OutlineStyle(0.4)


def test_images_that_disagree_keep_the_usual_style():
    """What one image gains by the style of the other it loses again."""
    scores = np.array([[[0.5, 0], [0.9, 0], [0.2, 0]], [[0.5, 0], [0.2, 0], [0.9, 0]]])
    chosen = choose_style(scores, [USUAL, OutlineStyle(0.4), OutlineStyle(0.6)])
    assert chosen.style == USUAL
    assert chosen.chosen[:, 0].tolist() == [0.2, 0.2]
