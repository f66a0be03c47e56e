"""What variants have in common is computed once, and changes nothing."""

import numpy as np
import pytest
from drawings import field

from nucdl_core.config import SegmentConfig
from nucdl_core.explore import stages
from nucdl_core.explore.stages import SharedStages
from nucdl_core.model.map_predictor import MapPredictor
from nucdl_core.segment import segment


@pytest.fixture
def calls(monkeypatch):
    """Lists of what is computed: treatments, predictions and estimates of the size."""
    made = {"prepare": [], "predict": [], "estimate_diameters": []}

    def counting(real, name):
        def call(*arguments, **options):
            made[name].append(arguments)
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(stages, "prepare_image", counting(stages.prepare_image, "prepare"))
    for name in ("predict", "estimate_diameters"):
        monkeypatch.setattr(MapPredictor, name, counting(getattr(MapPredictor, name), name))
    return made


def test_variants_that_differ_after_the_network_only_share_all_before(calls):
    shared, (image, _) = SharedStages(field()[0]), field()
    for threshold in (None, 0.3, 0.6, 0.8):
        config = SegmentConfig(probability_threshold=threshold)
        assert np.array_equal(shared.segment(config).labels, segment(image, config).labels)
    # The four calls of segment come to the four of which the first alone computed something.
    assert len(calls["prepare"]) == 1
    assert len(calls["predict"]) == len(calls["estimate_diameters"]) == 1 + 4


def test_each_treatment_is_done_once_and_each_diameter_predicted_once(calls):
    shared = SharedStages(field()[0])
    for treatments in ((), ("median3",)):
        for diameter in (20.0, 24.0):
            for threshold in (0.4, 0.6):
                shared.segment(SegmentConfig(diameter=diameter, probability_threshold=threshold, treatments=treatments))
    assert len(calls["prepare"]) == 2 and len(calls["predict"]) == 4 and not calls["estimate_diameters"]


@pytest.mark.parametrize(
    "config", [SegmentConfig(treatments=("bin2",)), SegmentConfig(views="flips"), SegmentConfig(refine=True)]
)
def test_the_nuclei_are_those_of_segment(config):
    image, _ = field()
    shared = SharedStages(image)
    shared.segment(SegmentConfig())
    found, alone = shared.segment(config), segment(image, config)
    assert np.array_equal(found.labels, alone.labels) and np.array_equal(found.scores, alone.scores)
