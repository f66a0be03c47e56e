import numpy as np
import pytest

from nucdl_core.steps.detections import Detections, InstancePrediction, decode_detections, decode_views, merge_views
from nucdl_core.steps.instances import ONE_BY_ONE, Decision
from nucdl_core.steps.views import VIEW_SETS, View, apply_view

DECISION = Decision(decoder=ONE_BY_ONE, foreground=0.5, smallest=0.0, score=0.5)
CELLS = 28


def detections(*boxes, scores=None):
    """Detections whose masks fill their boxes (top, left, bottom, right)."""
    count = len(boxes)
    scores = np.linspace(0.9, 0.7, count) if scores is None else np.array(scores)
    masks = np.ones((count, CELLS, CELLS), np.float32)
    return Detections(np.array(boxes, np.float32).reshape(count, 4), scores.astype(np.float32), masks)


def decode(found, shape=(20, 30), scale=1.0, **changes):
    return decode_detections(found, shape, scale, Decision(**{**vars(DECISION), **changes}), 32.0)


def box_of(labels, number):
    rows, cols = np.nonzero(labels == number)
    return rows.min(), cols.min(), rows.max() + 1, cols.max() + 1


@pytest.mark.parametrize("box", [(3, 5, 11, 9), (0, 0, 4, 4), (12, 22, 20, 30)])
def test_a_full_mask_fills_its_box_to_the_pixel(box):
    labels = decode(detections(box)).labels
    assert box_of(labels, 1) == box
    assert (labels > 0).sum() == (box[2] - box[0]) * (box[3] - box[1])


@pytest.mark.parametrize("scale", [0.25, 0.5, 2.0])
def test_a_mask_lies_at_the_same_place_at_every_scale(scale):
    found = detections([side * scale for side in (4, 8, 12, 20)])
    assert box_of(decode(found, scale=scale).labels, 1) == (4, 8, 12, 20)


def test_an_enlarged_outline_is_smooth():
    rows, cols = np.indices((CELLS, CELLS)) - (CELLS - 1) / 2
    disk = np.clip(10.5 - np.hypot(rows, cols), 0, 1).astype(np.float32)
    found = Detections(np.array([[0, 0, 28, 28]], np.float32), np.ones(1, np.float32), disk[None])
    labels = decode(found, (280, 280), 0.1).labels
    rows, cols = np.nonzero(labels)
    radius = np.hypot(rows - 144.5, cols - 144.5)
    # A mask tells about the pixel whose number is its position: it lies half a network pixel further on.
    truth = np.hypot(*(np.indices((280, 280)) - 144.5)) < 100
    assert (truth != (labels > 0)).sum() < 0.02 * truth.sum()
    assert radius.max() < 103


def test_a_pixel_that_two_claim_goes_to_the_better_score():
    labels = decode(detections((2, 2, 12, 12), (2, 8, 12, 20))).labels
    assert box_of(labels, 1) == (2, 2, 12, 12)
    assert box_of(labels, 2) == (2, 12, 12, 20)


def test_what_is_found_twice_counts_once():
    found = decode(detections((2, 2, 12, 12), (3, 3, 13, 12), (2, 20, 12, 28)))
    assert found.labels.max() == 2
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])


def test_of_a_nucleus_in_two_pieces_the_larger_one_stays():
    found = detections((2, 2, 12, 26), scores=[0.9])
    found.masks[0, :, 6:10] = 0
    assert box_of(decode(found).labels, 1)[1] > 8


def test_low_scores_and_small_nuclei_are_dropped():
    found = detections((2, 2, 12, 12), (2, 20, 5, 23), scores=[0.9, 0.4])
    assert decode(found).labels.max() == 1
    assert decode(found, score=0.3).labels.max() == 2
    assert decode(found, score=0.3, smallest=0.2).labels.max() == 1


def test_the_probability_is_the_highest_that_any_mask_says():
    found = detections((2, 2, 12, 12), (2, 2, 12, 12))
    found.masks[0] *= 0.6
    probability = decode(found).probability
    assert probability[5, 5] == pytest.approx(1)
    assert probability[15, 15] == 0


def test_no_detection_gives_no_nucleus():
    found = decode(detections())
    assert found.labels.shape == found.probability.shape == (20, 30)
    assert found.labels.max() == 0
    assert found.scores.shape == (0,)


def test_many_sizes_are_pasted_in_one_go():
    boxes = [(5, 5, 11, 11), (20, 20, 60, 50), (100, 10, 230, 140)]
    labels = decode(detections(*boxes), (240, 160)).labels
    assert [box_of(labels, number) for number in (1, 2, 3)] == boxes


@pytest.mark.parametrize("view", VIEW_SETS["all"])
def test_every_view_is_turned_back_and_cropped_to_the_image(view):
    truth = np.zeros((20, 30), np.int32)
    truth[3:9, 5:17] = 1
    box = box_of(apply_view(truth, view), 1)
    prediction = InstancePrediction([view], [detections(box)], (20, 30), (18, 29), 1.0)
    found = decode_views(prediction, DECISION, 32.0)[0]
    assert np.array_equal(found.labels, truth[:18, :29])
    assert found.probability.shape == (18, 29)


def test_what_lies_in_the_padding_only_vanishes():
    prediction = InstancePrediction([View()], [detections((2, 2, 8, 8), (15, 15, 20, 25))], (20, 30), (14, 30), 1.0)
    found = decode_views(prediction, DECISION, 32.0)[0]
    assert found.labels.max() == 1
    assert found.scores.tolist() == pytest.approx([0.9])


def test_views_vote_and_their_scores_are_averaged():
    full = decode(detections((2, 2, 12, 12), (2, 20, 12, 28), scores=[0.9, 0.6]))
    half = decode(detections((2, 2, 12, 12), scores=[0.7]))
    merged = merge_views([full, half, half])
    assert merged.labels.max() == 1
    assert merged.scores.tolist() == pytest.approx([(0.9 + 0.7 + 0.7) / 3])
    assert merged.agreement.tolist() == [1.0]
    assert merged.areas.tolist() == [(merged.labels == 1).sum()]
    assert merged.probability[5, 25] == pytest.approx(1 / 3)
