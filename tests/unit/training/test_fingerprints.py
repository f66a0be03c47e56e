"""Fingerprints by which a model's training images are known again."""

import dataclasses

import numpy as np
from drawings import field

from nucdl_core.config import DEFAULT_MODEL
from nucdl_core.model.bundle import find_bundle, list_bundles, read_bundle
from nucdl_core.steps.normalize import normalize
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.fingerprints import fingerprint, fingerprints_of, training_fingerprints
from nucdl_core.training.recipe import fingerprints_before
from nucdl_core.training.sources import prepare


def test_an_image_has_one_fingerprint_in_any_number_type_and_another_than_its_neighbour():
    image = np.rint(field()[0]).astype(np.uint8)
    own = fingerprint(normalize(image))
    assert own == fingerprint(normalize(image.astype(np.uint16) * 257)) == fingerprint(normalize(image / 255))
    assert own != fingerprint(normalize(image[::-1]))


def test_equal_pixels_in_another_shape_have_another_fingerprint():
    assert fingerprint(np.zeros((2, 8), np.float32)) != fingerprint(np.zeros((4, 4), np.float32))


def test_simulated_and_synthetic_images_have_none():
    image, truth = field()
    sources = [prepare(name, image, truth, **{name: True}) for name in ("simulated", "synthetic")]
    assert fingerprints_of(sources) == []
    assert fingerprints_of([prepare("real", image, truth)]) == [fingerprint(normalize(image))]


def test_the_bundled_models_know_their_training_images():
    for name in list_bundles():
        bundle = read_bundle(find_bundle(name))
        assert len(training_fingerprints(bundle)) == bundle.description.training["images"]


def test_a_model_that_was_taught_further_knows_the_images_of_the_one_before(tmp_path):
    config = TrainConfig("tiny", arguments={"widths": [4, 8]})
    assert fingerprints_before(config) == ()
    assert len(fingerprints_before(dataclasses.replace(config, initial=DEFAULT_MODEL))) == 546
    assert fingerprints_before(dataclasses.replace(config, initial=str(tmp_path / "gone"))) == ()
