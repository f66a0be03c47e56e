"""What speaks for or against an adapted model, without truth."""

import dataclasses
import math

import numpy as np
import pytest
from drawings import disks
from scipy import ndimage

from nucdl_core.adaptation import evidence
from nucdl_core.adaptation.evidence import edge_steepness, gather_gains, plausible_share, view_agreement
from nucdl_core.training.sources import prepare

LABELS = disks((90, 120), [(25, 25), (25, 60), (60, 40), (60, 90)], 9)
IMAGE = ndimage.gaussian_filter((LABELS > 0).astype(np.float32), 1.0)


class Model:
    """Finds the nuclei it is made with, turned as the image is; `find` stands in for a network."""

    def __init__(self, labels, faithful=True):
        self.labels, self.faithful = labels, faithful

    def find(self, image):
        if not self.faithful and not np.array_equal(image, IMAGE):
            return np.zeros(image.shape, np.int32)
        for rows in (1, -1):
            for cols in (1, -1):
                if np.array_equal(image[::rows, ::cols], IMAGE):
                    return np.ascontiguousarray(self.labels[::rows, ::cols])
        return self.labels[: image.shape[0], : image.shape[1]]


@pytest.fixture(autouse=True)
def models_find_by_themselves(monkeypatch):
    monkeypatch.setattr(evidence, "find_nuclei_in", lambda image, model: model.find(image))
    monkeypatch.setattr(evidence, "find_nuclei", lambda source, model: model.labels)


def test_a_model_that_finds_the_same_in_mirrored_views_agrees_fully():
    assert view_agreement(IMAGE, LABELS, Model(LABELS)) == 1
    assert view_agreement(IMAGE, LABELS, Model(LABELS, faithful=False)) == 0


def test_nuclei_of_usual_size_and_shape_are_plausible():
    assert plausible_share(LABELS) == 1
    odd = LABELS.copy()
    odd[80:82, 2:4] = 5
    assert plausible_share(odd) == pytest.approx(0.8)
    joined = np.where(LABELS == 2, 1, LABELS)
    joined[24:26, 25:60] = 1
    assert plausible_share(np.unique(joined, return_inverse=True)[1].reshape(joined.shape).astype(np.int32)) < 1
    assert math.isnan(plausible_share(np.zeros((5, 5), np.int32)))


def test_outlines_on_the_edges_are_steeper_than_those_beside_them():
    tight = disks(LABELS.shape, [(25, 25), (25, 60), (60, 40), (60, 90)], 5)
    assert edge_steepness(IMAGE, LABELS) > 1.3 * edge_steepness(IMAGE, tight)


@pytest.mark.parametrize("labels", [np.zeros_like(LABELS), np.ones_like(LABELS)])
def test_without_nuclei_or_background_edges_tell_nothing(labels):
    assert math.isnan(edge_steepness(IMAGE, labels))


def test_steepness_does_not_depend_on_brightness():
    assert edge_steepness(IMAGE * 7, LABELS) == pytest.approx(edge_steepness(IMAGE, LABELS), rel=1e-4)


def test_evidence_is_the_difference_between_the_models():
    source = prepare("one", IMAGE * 100, LABELS)
    worse = Model(np.where(LABELS > 2, 0, LABELS))
    found = gather_gains([IMAGE], [worse, Model(LABELS)], Model(LABELS), [source], [source])
    assert found.second == pytest.approx(1 - 2 * 2 / 6) and found.synthetic == pytest.approx(1 - 2 * 2 / 6)
    assert found.usual == found.synthetic and found.views == 0
    assert found.same == pytest.approx(2 * 2 / 6)
    assert found.count == pytest.approx(np.log(5 / 3))


def test_a_model_is_no_better_than_itself():
    source = prepare("one", IMAGE * 100, LABELS)
    found = gather_gains([IMAGE], [Model(LABELS)] * 2, None, [source], [source])
    values = dataclasses.asdict(found)
    assert math.isnan(values.pop("second")) and values.pop("same") == 1
    assert set(values.values()) == {0.0}
