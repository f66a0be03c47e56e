"""Outlines drawn into images."""

from __future__ import annotations

import numpy as np
import pytest

from nucdl_core.errors import ImageError
from nucdl_core.overlap import overlap
from nucdl_core.reports import overlay as drawing
from nucdl_core.scores.object_errors import COLOURS, ErrorClass, object_errors

LABELS = np.zeros((20, 30), np.int32)
LABELS[2:8, 2:8] = 1
LABELS[10:18, 10:18] = 2
IMAGE = np.linspace(0, 1000, 600).reshape(20, 30).astype(np.uint16)


def test_outlines_are_coloured_and_the_rest_is_grey():
    rgb = drawing.overlay(IMAGE, LABELS, colour=(255, 0, 10))
    assert rgb.shape == (20, 30, 3)
    assert rgb.dtype == np.uint8
    assert rgb[2, 2].tolist() == [255, 0, 10]
    grey = drawing.grey_picture(IMAGE)
    assert rgb[4, 4].tolist() == [grey[4, 4]] * 3
    assert np.array_equal(rgb[0, :, 1], grey[0])


def test_without_nuclei_the_picture_is_grey():
    rgb = drawing.overlay(IMAGE, np.zeros_like(LABELS))
    assert np.array_equal(rgb, np.repeat(drawing.grey_picture(IMAGE)[:, :, None], 3, axis=2))


def test_found_missed_and_extra_nuclei_have_their_colours():
    truth = np.zeros_like(LABELS)
    truth[2:8, 2:8] = 5
    truth[12:18, 22:28] = 2
    rgb = drawing.overlay(IMAGE, LABELS, truth=truth)
    assert rgb[2, 2].tolist() == list(drawing.MATCHED_COLOUR)
    assert rgb[10, 10].tolist() == list(drawing.EXTRA_COLOUR)
    assert rgb[12, 22].tolist() == list(drawing.MISSED_COLOUR)


def test_every_error_class_has_its_colour():
    truth, prediction = np.zeros((12, 60), np.int32), np.zeros((12, 60), np.int32)
    truth[2:10, 1:9] = prediction[2:10, 1:9] = 1
    truth[2:10, 11:19] = 2
    prediction[2:10, 21:29] = 2
    truth[2:10, 31:35], truth[2:10, 35:39], prediction[2:10, 31:39] = 3, 4, 3
    truth[2:10, 41:49], prediction[2:10, 41:45], prediction[2:10, 45:49] = 5, 4, 5
    picture = drawing.error_overlay(truth, truth, prediction, object_errors(overlap(truth, prediction)))
    for col, kind in ((1, "MATCHED"), (11, "MISSED"), (21, "EXTRA"), (31, "MERGED"), (41, "SPLIT")):
        assert picture[2, col].tolist() == list(COLOURS[ErrorClass[kind]])
    assert picture[5, 35].tolist() == list(COLOURS[ErrorClass.MERGED])  # the line that should part the two
    assert picture[5, 45].tolist() == list(COLOURS[ErrorClass.SPLIT])
    assert not picture[0].any()


def test_in_no_class_of_errors_true_and_predicted_outlines_look_alike():
    for kind in (ErrorClass.MERGED, ErrorClass.SPLIT):
        assert drawing.TRUTH_COLOURS[kind] not in COLOURS.values()
    truth = np.zeros((12, 12), np.int32)
    truth[1:11, 1:6], truth[1:11, 6:11] = 1, 2
    prediction = (truth > 0).astype(np.int32)
    errors = object_errors(overlap(truth, prediction))
    assert errors[0].error.tolist() == [ErrorClass.MERGED] * 2
    picture = drawing.error_overlay(truth, truth, prediction, errors, drawing.TRUTH_COLOURS)
    assert picture[5, 5].tolist() == picture[5, 6].tolist() == [255, 255, 255]


def test_of_a_matched_pair_only_the_prediction_is_outlined():
    prediction = np.where(LABELS == 2, LABELS, 0)
    prediction[2:8, 2:7] = 1
    picture = drawing.error_overlay(IMAGE, LABELS, prediction, object_errors(overlap(LABELS, prediction)))
    assert picture[4, 6].tolist() == list(COLOURS[ErrorClass.MATCHED])
    assert picture[4, 7].tolist() != list(COLOURS[ErrorClass.MATCHED])


def test_nuclei_are_filled_with_the_colour_of_their_class():
    errors, _ = object_errors(overlap(LABELS, np.where(LABELS == 2, LABELS, 0)))
    picture = drawing.error_map(LABELS, errors)
    assert picture.dtype == np.uint8
    assert picture[4, 4].tolist() == list(COLOURS[ErrorClass.MISSED])
    assert picture[14, 14].tolist() == list(COLOURS[ErrorClass.MATCHED])
    assert not picture[LABELS == 0].any()
    assert not picture[2, 2].any()  # an outline


def test_the_threshold_decides_what_is_found():
    truth = np.zeros_like(LABELS)
    truth[2:8, 2:7] = 1
    truth[10:18, 10:18] = 2
    assert drawing.overlay(IMAGE, LABELS, truth=truth, threshold=0.8)[2, 7].tolist() == list(drawing.MATCHED_COLOUR)
    assert drawing.overlay(IMAGE, LABELS, truth=truth, threshold=0.9)[2, 7].tolist() == list(drawing.EXTRA_COLOUR)


def test_the_image_is_stretched_between_its_percentiles():
    image = np.zeros((100, 100), np.uint16)
    image.flat[:] = np.arange(10_000)
    image[0, 0] = 60_000
    grey = drawing.grey_picture(image)
    assert grey.max() == 255
    assert (grey == 0).mean() == pytest.approx(0.01, abs=0.002)
    assert (grey == 255).mean() == pytest.approx(0.002, abs=0.003)


@pytest.mark.parametrize("image", [np.zeros((20, 30), np.uint8), np.full((20, 30), 7.0), np.zeros((20, 30), bool)])
def test_a_uniform_image_is_black(image):
    assert not drawing.grey_picture(image).any()


def test_a_few_bright_pixels_on_black_stay_visible():
    image = np.zeros((100, 100), np.float32)
    image[3, 3] = 0.5
    assert drawing.grey_picture(image)[3, 3] > 0


def test_the_input_is_not_modified():
    image, labels = IMAGE.copy(), LABELS.copy()
    for array in (image, labels):
        array.setflags(write=False)
    drawing.overlay(image, labels, truth=labels)


def test_different_shapes_are_refused():
    with pytest.raises(ImageError, match="same shape"):
        drawing.overlay(IMAGE, LABELS[1:])
    with pytest.raises(ImageError, match="differ in shape"):
        drawing.overlay(IMAGE, LABELS, truth=LABELS[1:])
    with pytest.raises(ImageError, match="same shape"):
        drawing.error_overlay(IMAGE, LABELS, LABELS[1:], object_errors(overlap(LABELS, LABELS)))
