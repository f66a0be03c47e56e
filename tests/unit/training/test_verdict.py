"""What is said about a new model."""

import numpy as np
import pytest

from nucdl_core.training.verdict import judge

BEFORE = np.array([0.70, 0.72, 0.74, 0.71, 0.73, 0.75, 0.70, 0.74])


def test_a_clear_gain_on_many_images_is_said_to_be_no_chance():
    verdict = judge(BEFORE + np.linspace(0.02, 0.05, 8), BEFORE, "nuclei_unet")
    assert verdict.better
    assert verdict.sentence.startswith(
        "Use your model: on 8 validation images the mean F1 is 0.759, with nuclei_unet 0.724"
    )
    assert "hardly chance" in verdict.sentence


def test_a_gain_that_may_be_chance_is_said_to_be_one():
    gains = np.array([0.06, 0.05, -0.02, 0.04, -0.03, 0.05, 0.01, -0.01])
    verdict = judge(BEFORE + gains, BEFORE, "nuclei_unet")
    assert verdict.better
    assert "may be chance" in verdict.sentence


def test_few_images_prove_nothing():
    verdict = judge(BEFORE[:3] + 0.05, BEFORE[:3], "nuclei_unet")
    assert verdict.better
    assert "So few images cannot prove it" in verdict.sentence


@pytest.mark.parametrize("gains", [np.zeros(8), -np.linspace(0.01, 0.02, 8), np.array([0.1, -0.09] * 4)])
def test_a_model_that_is_not_clearly_better_is_not_recommended(gains):
    verdict = judge(BEFORE + gains, BEFORE, "nuclei_unet")
    assert not verdict.better
    assert verdict.sentence.startswith("Do not use your model")
    assert "Keep nuclei_unet" in verdict.sentence


@pytest.mark.parametrize("gain, better", [(0.02, True), (0.005, False)])
def test_on_a_single_image_a_small_gain_does_not_count(gain, better):
    verdict = judge(BEFORE[:1] + gain, BEFORE[:1], "nuclei_unet")
    assert verdict.better == better
    assert "on the validation image the mean F1" in verdict.sentence


def test_a_sentence_makes_sense_in_a_terminal_too():
    for gains in (np.full(3, 0.05), np.array([0.06, 0.05, -0.02, 0.04, -0.03, 0.05, 0.01, -0.01])):
        assert (
            "look at the outlines on the page"
            in judge(BEFORE[: len(gains)] + gains, BEFORE[: len(gains)], "x").sentence.lower()
        )
