"""Every way in which the bundled model is known to fail, or has failed: docs/accuracy.md has a row for each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from drawings import crystal, lobed_field, micronuclei_beside
from scipy import ndimage

from nucdl_core.config import SegmentConfig
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.labels import equivalent_diameters, relabel
from nucdl_core.model.bundle import find_bundle, read_description
from nucdl_core.model.doubt import doubt_about
from nucdl_core.overlap import overlap
from nucdl_core.scores.matching import image_scores
from nucdl_core.segment import segment
from nucdl_core.simulate.field import FieldConfig
from nucdl_core.simulate.image import simulate_field

DEFAULT = SegmentConfig()
READERS = (("images", read_image), ("masks", read_labels))
MADE_FOR = read_description(find_bundle(DEFAULT.model)).made_for


def nuclei_of_34_px(seed=0):
    config = FieldConfig(size=(400, 500), diameter=34.0, count=40, micronucleus_share=0, debris=0, bits=16)
    return simulate_field(config, np.random.default_rng(seed))


def doubt_of(image, config=DEFAULT):
    found = segment(image, config)
    return doubt_about(image, found.labels, found.diameter, MADE_FOR)


def found_share(truth, labels, chosen):
    """Share of the chosen nuclei that are found with an IoU of more than 0.3."""
    pairs = overlap(truth, labels)
    found = np.zeros(chosen.size, bool)
    found[pairs.first[pairs.iou > 0.3] - 1] = True
    return found[chosen].mean()


@pytest.mark.parametrize("count", [25, 45, 80])
def test_micronuclei_are_found_where_they_are_wanted_and_nuclei_stay_as_they_are(count):
    image, truth = micronuclei_beside(63, count)
    small = equivalent_diameters(truth) < 12
    found = segment(image, SegmentConfig(micronuclei="all"))
    assert found_share(truth, found.labels, small) > 0.85
    assert found_share(truth, found.labels, ~small) == 1
    assert found.diameter == pytest.approx(34, rel=0.1)
    assert np.count_nonzero(found.micronuclei) == pytest.approx(count, rel=0.15)


def test_without_micronuclei_the_count_is_that_of_the_nuclei():
    image, _ = micronuclei_beside(63, 80)
    assert segment(image, SegmentConfig(micronuclei="none")).count == pytest.approx(63, abs=1)


@pytest.mark.parametrize("lobes", [2, 3])
def test_the_lobes_of_a_nucleus_are_joined_on_request(lobes):
    image, truth = lobed_field(lobes)
    whole = float(equivalent_diameters(truth).max())
    apart, joined = segment(image), segment(image, SegmentConfig(lobed_diameter=1.25 * whole))
    assert apart.count == pytest.approx(16 * lobes, abs=2)
    assert joined.count == 16 and image_scores(truth, joined.labels)["f1_0.50"] == 1


def test_nuclei_larger_than_a_lobed_one_are_not_joined():
    field = nuclei_of_34_px()
    assert segment(field.image, SegmentConfig(lobed_diameter=30.0)).count == segment(field.image).count


def test_one_bright_object_hides_no_nuclei_and_is_told():
    field = nuclei_of_34_px()
    spoilt = crystal(field.image)
    assert segment(spoilt).count > 0.9 * segment(field.image).count
    assert doubt_of(spoilt).reason == "artefact"


def test_specks_and_hot_pixels_in_an_empty_well_are_doubted():
    config = FieldConfig((256, 256), count=0, debris=4.0, hot_pixels=0.001, bits=16)
    image = simulate_field(config, np.random.default_rng(1)).image
    assert doubt_of(image).value > 0.5


def test_an_empty_well_is_empty():
    image = simulate_field(FieldConfig((256, 256), count=0, debris=0, bits=16), np.random.default_rng(0)).image
    found = segment(image)
    assert found.count == 0 and doubt_about(image, found.labels, found.diameter, MADE_FOR).reason == "empty"


def test_an_image_out_of_focus_is_doubted():
    field = nuclei_of_34_px()
    blurred = ndimage.gaussian_filter(field.image.astype(float), 9).astype(np.uint16)
    assert doubt_of(blurred).reason == "out of focus"


def test_saturated_nuclei_are_doubted():
    image = nuclei_of_34_px().image.astype(float)
    assert doubt_of(np.minimum(image * 6, 65535).astype(np.uint16)).reason == "saturated"


def test_dark_nuclei_are_found_in_the_negative_and_doubted():
    field = nuclei_of_34_px()
    negative = field.image.max() - field.image
    assert segment(negative).count == pytest.approx(segment(field.image).count, abs=2)
    assert doubt_of(negative).reason == "other modality"


def test_nuclei_of_a_size_that_the_model_does_not_know_are_doubted():
    config = dataclasses.replace(FieldConfig(), size=(900, 900), diameter=300.0, count=5, micronucleus_share=0)
    assert doubt_of(simulate_field(config, np.random.default_rng(0)).image).value > 0.5


def test_a_good_image_is_not_doubted():
    assert doubt_of(nuclei_of_34_px().image).reason == ""


@pytest.mark.data
def test_micronuclei_of_real_cells_are_found_where_they_are_wanted(real_images):
    folder, name, first = real_images.parent / "mnfinder", "train_2022_05_25_RPE1_3", 115
    if not folder.is_dir():
        pytest.skip(f"the images with micronuclei are absent ({folder})")
    (image,), (mask,) = ([read(path) for path in (folder / kind).glob(f"{name}.*")] for kind, read in READERS)
    small = np.arange(1, mask.max() + 1) >= first
    shares = [
        found_share(mask, segment(image, SegmentConfig(micronuclei=word)).labels, small) for word in ("large", "all")
    ]
    assert shares[1] > 0.35 and shares[1] > 2 * shares[0]


@pytest.mark.data
def test_crowded_tissue_is_found_only_by_half(real_images):
    folder = real_images.parent / "mouse_intestine"
    if not folder.is_dir():
        pytest.skip(f"the images of tissue are absent ({folder})")
    name = "train_E2F3A_E2F4_mouse1_image1"
    (image,), (mask,) = ([read(path) for path in (folder / kind).glob(f"{name}.*")] for kind, read in READERS)
    assert image_scores(relabel(mask), segment(image).labels)["f1_0.50"] > 0.4
