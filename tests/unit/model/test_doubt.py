"""How far an image cannot be trusted, and why."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from drawings import field
from scipy import ndimage

from nucdl_core.model.doubt import SENTENCES, Doubt, Traces, doubt_about, doubt_of_traces, traces_of
from nucdl_core.model.fitness import MadeFor

MADE_FOR = MadeFor((5.0, 160.0), (8, 16), "fluorescence")
GOOD = Traces(40, 24.0, contrast=15.0, sharpness=4.0, saturated=0.0, brightest=2.5, missed=0.01)


def doubted(**changes):
    return doubt_of_traces(dataclasses.replace(GOOD, **changes), MADE_FOR)


def test_a_usual_image_is_not_doubted_and_has_no_reason():
    assert doubt_of_traces(GOOD, MADE_FOR) == Doubt(0.0, "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nuclei": 0}, "empty"),
        ({"contrast": 0.4}, "empty"),
        ({"missed": 0.4, "diameter": 5.5}, "specks only"),
        ({"saturated": 0.35}, "saturated"),
        ({"brightest": 12.0}, "artefact"),
        ({"sharpness": 2.0}, "out of focus"),
        ({"dark_nuclei": True}, "other modality"),
        ({"diameter": 260.0}, "size outside the model's range"),
        ({"diameter": 3.0}, "size outside the model's range"),
    ],
)
def test_each_trouble_is_doubted_for_its_reason(changes, reason):
    found = doubted(**changes)
    assert found.value > 0.5 and found.reason == reason


def test_the_worse_trouble_gives_the_reason():
    assert doubted(saturated=0.5, dark_nuclei=True).reason == "saturated"
    assert doubted(saturated=0.21, dark_nuclei=True).reason == "other modality"


def test_a_doubt_below_a_half_has_no_reason():
    assert doubted(sharpness=2.7) == Doubt(0.25, "")


def test_bright_pixels_beside_larger_nuclei_are_no_specks():
    assert doubted(missed=0.4).reason == ""


def test_what_was_not_measured_is_not_doubted():
    assert doubt_of_traces(Traces(3, float("nan"))) == Doubt(0.0, "")


def test_size_and_modality_are_doubted_only_where_the_model_says_what_it_was_made_for():
    other = dataclasses.replace(GOOD, dark_nuclei=True, diameter=400.0)
    assert doubt_of_traces(other) == Doubt(0.0, "")
    assert doubt_of_traces(other, MadeFor((300.0, 500.0))) == Doubt(0.0, "")


def test_a_warning_says_what_to_do_and_nothing_that_is_said_elsewhere():
    (warning,) = doubted(sharpness=2.0).warnings
    assert "out of focus, doubt 1.00" in warning and "focus again" in warning
    assert doubted().warnings == doubted(dark_nuclei=True).warnings == doubted(diameter=260.0).warnings == ()
    assert len(SENTENCES) == 5


def measured(change=lambda image: image, dtype=np.uint16):
    image, truth = field(dtype=dtype)
    return traces_of(change(image), truth, 24.0)


def test_sharp_bright_nuclei_are_measured_as_such():
    traces = measured()
    assert (traces.nuclei, traces.dark_nuclei, traces.missed, traces.saturated < 0.01) == (24, False, 0.0, True)
    assert traces.contrast > 20 and traces.sharpness > 3 and 1 < traces.brightest < 1.2


def test_numbers_do_not_depend_on_the_scale_of_intensities():
    first, second = measured(), measured(lambda image: (image / 65535).astype(np.float32))
    for name in ("contrast", "sharpness", "brightest"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), rel=1e-3)


def test_a_blurred_image_is_less_sharp_and_out_of_focus():
    traces = measured(lambda image: ndimage.gaussian_filter(image, 6))
    assert traces.sharpness < measured().sharpness / 2
    assert doubt_of_traces(traces).reason == "out of focus"


def test_nuclei_at_the_highest_value_are_saturated():
    traces = measured(lambda image: np.minimum(image, 2000))
    assert traces.saturated > 0.5 and doubt_of_traces(traces).reason == "saturated"


def test_dark_nuclei_are_measured_in_the_negative():
    negative = measured(lambda image: image.max() - image)
    assert negative.dark_nuclei and negative.sharpness == pytest.approx(measured().sharpness, rel=0.02)
    assert doubt_of_traces(negative, MADE_FOR).reason == "other modality"


def test_a_bright_object_is_an_artefact():
    image, truth = field()
    image[2:10, 2:10] = 60000
    assert doubt_about(image, truth, 24.0).reason == "artefact"


def test_what_is_masked_does_not_count():
    image, truth = field()
    image[2:10, 2:10] = 60000
    mask = np.ones(image.shape, bool)
    mask[:12, :12] = False
    assert doubt_about(image, truth, 24.0, mask=mask).reason == ""


def test_objects_that_are_darker_than_what_is_beside_them_are_nothing():
    image, truth = field()
    assert doubt_about(image, np.where(truth > 0, 0, 1).astype(np.int32), 24.0) == Doubt(1.0, "empty")


@pytest.mark.parametrize("labels", [np.zeros((30, 30), np.int32), np.ones((30, 30), np.int32)])
def test_an_image_without_nuclei_or_without_background_is_measured_without_an_error(labels):
    traces = traces_of(np.zeros((30, 30), np.uint8), labels, float("nan"))
    assert traces.nuclei == labels.max() and np.isnan(traces.contrast)
