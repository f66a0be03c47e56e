"""Nuclei that are darker than their background."""

import numpy as np
import pytest
from drawings import field

from nucdl_core.config import POLARITIES, SegmentConfig
from nucdl_core.errors import ConfigError
from nucdl_core.refine import refine
from nucdl_core.segment import segment
from nucdl_core.steps.contours import RefineConfig
from nucdl_core.steps.polarity import looks_dark_on_bright, with_bright_nuclei

IMAGE, TRUTH = field()
NEGATIVE = IMAGE.max() - IMAGE


def patches(nuclei, background, share=0.1):
    """Nuclei of one intensity on a background of another one."""
    image = np.full((100, 100), background, np.uint8)
    image[: int(100 * share)] = nuclei
    return image


def test_dark_nuclei_on_bright_ground_are_seen():
    assert looks_dark_on_bright(patches(nuclei=40, background=220))
    assert not looks_dark_on_bright(patches(nuclei=220, background=40))


@pytest.mark.parametrize("image", [np.zeros((20, 20), np.uint8), np.full((1, 1), 7.0)])
def test_an_image_of_one_intensity_is_not_called_dark(image):
    assert not looks_dark_on_bright(image)


def test_a_bright_image_is_handed_on_untouched_and_a_dark_one_inverted():
    assert with_bright_nuclei(IMAGE, "auto") is IMAGE
    assert np.array_equal(with_bright_nuclei(NEGATIVE, "auto"), NEGATIVE.max() - NEGATIVE)


def test_what_a_person_says_counts_more_than_what_it_looks_like():
    assert with_bright_nuclei(NEGATIVE, "bright") is NEGATIVE
    assert np.array_equal(with_bright_nuclei(IMAGE, "dark"), IMAGE.max() - IMAGE)


@pytest.mark.parametrize("kind", [np.bool_, np.int16, np.uint8, np.uint16, np.float32])
def test_no_kind_of_numbers_overflows(kind):
    image = np.array([[0, 1], [1, 0]]).astype(kind)
    if np.issubdtype(kind, np.signedinteger):
        image[0, 0], image[0, 1] = np.iinfo(kind).min, np.iinfo(kind).max
    inverted = with_bright_nuclei(image, "dark")
    assert inverted.min() == 0 and inverted.argmax() == image.argmin()


def test_the_negative_of_an_image_has_the_same_nuclei_unless_they_are_said_to_be_bright():
    found, negative = segment(IMAGE).labels, segment(NEGATIVE).labels
    assert found.max() == TRUTH.max()
    assert np.mean(found != negative) < 0.01 and negative.max() == TRUTH.max()
    assert segment(NEGATIVE, SegmentConfig(polarity="bright")).count != TRUTH.max()


def test_outlines_are_corrected_on_the_negative_as_on_the_image():
    config = RefineConfig(views="none")
    assert np.mean(refine(NEGATIVE, TRUTH, config).labels != refine(IMAGE, TRUTH, config).labels) < 0.01


@pytest.mark.parametrize("made", [SegmentConfig, RefineConfig])
def test_an_unknown_polarity_is_refused_with_those_that_there_are(made):
    with pytest.raises(ConfigError, match=f"polarity is 'grey'; it must be one of {', '.join(POLARITIES)}"):
        made(polarity="grey")
