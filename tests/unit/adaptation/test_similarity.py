"""Which images are of the same experiment, and which look alike."""

import dataclasses

import numpy as np
import pytest
from drawings import disks

from nucdl_core.adaptation.clusters import FEWEST_IMAGES, cluster_images
from nucdl_core.adaptation.similarity import (
    bundled_similarity,
    features_of,
    places_of,
    similarity,
    train_similarity,
)
from nucdl_core.errors import ConfigError
from nucdl_core.synthesis.appearance import appearance_of

LABELS = disks((120, 120), [(row, col) for row in (30, 60, 90) for col in (30, 60, 90)], 8)
BASE = appearance_of(np.where(LABELS > 0, 110, 10).astype(np.uint8), LABELS)


def experiment(count, seed, **changed):
    """Appearances that scatter a little around the given numbers."""
    rng = np.random.default_rng(seed)
    numbers = {**dataclasses.asdict(BASE), **changed}
    return [
        dataclasses.replace(BASE, **{name: value * np.exp(rng.normal(0, 0.05)) for name, value in numbers.items()})
        for _ in range(count)
    ]


SHARP, BLURRED, SMALL = (
    experiment(8, 0, blur=0.8),
    experiment(8, 1, blur=4.0, haze=0.3),
    experiment(8, 2, diameter=7.0, noise_bright=0.2),
)


@pytest.fixture(scope="module")
def learnt():
    features = np.stack([features_of(each) for each in [*SHARP, *BLURRED, *SMALL]])
    return train_similarity(features, ["a"] * 8 + ["b"] * 8 + ["c"] * 8)


def test_images_of_one_experiment_are_similar_and_others_are_not(learnt):
    assert similarity(learnt, SHARP[0], SHARP[1]) > 0.5
    assert similarity(learnt, SHARP[0], BLURRED[0]) < 0.2
    assert similarity(learnt, BLURRED[3], SMALL[0]) < 0.2


def test_similarity_is_symmetric_and_greatest_to_itself(learnt):
    one, other = SHARP[0], BLURRED[0]
    assert similarity(learnt, one, other) == pytest.approx(similarity(learnt, other, one))
    assert similarity(learnt, one, one) >= similarity(learnt, one, SHARP[1])


def test_a_new_experiment_differs_from_those_it_learnt_from(learnt):
    new = experiment(2, 5, blur=4.0, haze=0.3, diameter=60.0, coverage=0.6)
    assert similarity(learnt, *new) > similarity(learnt, new[0], SHARP[0])


def test_the_network_that_comes_with_the_product_tells_sharp_from_blurred():
    network = bundled_similarity()
    assert similarity(network, SHARP[0], SHARP[1]) > similarity(network, SHARP[0], BLURRED[0])
    assert places_of(network, SHARP).shape == (8, 8)


@pytest.mark.parametrize("experiments", [["a", "a"], ["a", "b"]])
def test_without_pairs_there_is_nothing_to_learn(experiments):
    features = np.stack([features_of(each) for each in SHARP[:2]])
    with pytest.raises(ConfigError, match="at least two experiments"):
        train_similarity(features, experiments)


def test_every_number_of_an_appearance_is_a_feature_but_the_falloff():
    assert len(features_of(BASE)) == len(dataclasses.fields(BASE)) - 1
    assert np.isfinite(features_of(dataclasses.replace(BASE, haze=0.0, noise_dark=0.0))).all()


def test_images_that_look_alike_are_in_one_cluster_and_others_are_not(learnt):
    numbers = cluster_images(learnt, [*SHARP, *BLURRED, *SMALL])
    for first, second in ((0, 8), (8, 16), (0, 16)):
        assert not set(numbers[first : first + 8]) & set(numbers[second : second + 8])


def test_clusters_are_numbered_from_the_largest_on_and_none_is_too_small(learnt):
    numbers = cluster_images(learnt, [*SHARP, *BLURRED[:4], SMALL[0]])
    counts = np.bincount(numbers)
    assert (counts >= FEWEST_IMAGES).all() and (np.diff(counts) <= 0).all()


def test_a_few_images_are_one_cluster(learnt):
    assert set(cluster_images(learnt, SHARP[:2])) == {0}


def test_the_same_images_give_the_same_clusters(learnt):
    images = [*SHARP, *BLURRED]
    assert np.array_equal(cluster_images(learnt, images), cluster_images(learnt, images))
