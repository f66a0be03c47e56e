from dataclasses import replace

import numpy as np
import pytest
from conftest import untrained_map_model
from drawings import disks, ideal_maps

from nucdl_core.steps.instances import Decision, MapPrediction, Maps
from nucdl_core.training import calibrate as calibration
from nucdl_core.training.calibrate import Jury, PredictedTruth, calibrate, climb, is_clear, scores_of

MODEL = untrained_map_model()


def predicted(foreground_of_rim):
    """Two touching disks whose outermost ring the network gives only that probability."""
    truth = disks((60, 90), [(30, 28), (30, 52)], 12)
    core = disks((60, 90), [(30, 28), (30, 52)], 9)
    ideal = ideal_maps(truth)
    foreground = np.where(core > 0, 1, np.where(truth > 0, foreground_of_rim, 0)).astype(np.float32)
    maps = Maps(foreground, ideal.boundary, ideal.distance, ideal.size)
    return PredictedTruth(truth, MapPrediction([maps], maps, foreground, 1.0))


def test_the_threshold_that_fits_the_annotators_is_found():
    decision, decoders = calibrate([predicted(0.42)], MODEL)
    assert decision.foreground <= 0.4
    assert decoders[decision.decoder] == max(decoders.values()) == 1.0


def test_a_wrong_threshold_scores_lower():
    wide, tight = (scores_of(Decision(foreground=value), [predicted(0.42)], MODEL) for value in (0.35, 0.6))
    assert wide == pytest.approx([1.0])
    assert tight[0] < 0.7


def test_simulated_fields_have_no_say_in_the_threshold():
    drawn, simulated = predicted(1.0), replace(predicted(0.42), simulated=True, weight=9.0)
    assert calibrate([drawn, simulated], MODEL)[0].foreground == Decision().foreground
    assert calibrate([simulated], MODEL)[0].foreground <= 0.4


def test_a_number_from_which_nothing_is_gained_keeps_its_usual_value():
    usual = Decision()
    decision, _ = calibrate([predicted(1.0)], MODEL)
    assert (decision.foreground, decision.smallest, decision.score) == (usual.foreground, usual.smallest, usual.score)


def test_a_gain_on_most_images_is_clear_and_one_on_a_single_image_is_not():
    weights = np.ones(10)
    assert is_clear(np.linspace(0.01, 0.02, 10), weights)
    assert not is_clear(np.array([0.1] + [-0.005] * 9), weights)
    assert not is_clear(np.zeros(10), weights)


class KnownScores(Jury):
    """Judges by a formula instead of images; all three images agree."""

    def __init__(self, formula):
        super().__init__([replace(predicted(1.0), weight=1.0)] * 3, MODEL)
        self.formula = formula

    def scores(self, decision):
        return np.full(3, self.formula(decision))


def test_each_number_climbs_to_its_best_value():
    hill = KnownScores(lambda decision: 1 - abs(decision.foreground - 0.4) - abs(decision.score - 0.5))
    reached = climb(Decision(), {"foreground": (0.3, 0.4, 0.6), "score": (0.5, 0.7)}, hill)
    assert (reached.foreground, reached.score) == (0.4, 0.5)


def test_a_careful_climb_leaves_a_value_only_for_a_clear_gain():
    judges = KnownScores(lambda decision: 0.0)
    judges.scores = lambda decision: np.array([0.9, 0.5, 0.5]) if decision.score == 0.7 else np.full(3, 0.6)
    assert climb(Decision(), {"score": (0.7,)}, judges) == Decision(score=0.7)
    assert climb(Decision(), {"score": (0.7,)}, judges, clear_only=True) == Decision()


def test_two_numbers_that_gain_clearly_only_together_are_both_taken(monkeypatch):
    """Neither the threshold 0.4 nor the seed 0.2 gains anything clear alone; both together do."""
    usual, together = np.full(4, 0.6), np.full(4, 0.8)
    unclear = np.array([1.0, 0.5, 0.5, 0.5])

    def scores(decision, *_):
        changed = (decision.foreground == 0.4) + (decision.seed == 0.2)
        return (usual, unclear, together)[changed]

    monkeypatch.setattr(calibration, "scores_of", scores)
    decision, _ = calibrate([predicted(1.0)] * 4, MODEL, {"distance": {"seed": (0.2,), "foreground": (0.4,)}})
    assert (decision.foreground, decision.seed) == (0.4, 0.2)


def test_a_decision_is_scored_once():
    jury = Jury([predicted(0.42)], MODEL)
    assert jury.scores(Decision()) is jury.scores(Decision())
