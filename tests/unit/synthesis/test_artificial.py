"""Crowds made of the nuclei of one image."""

import dataclasses

import numpy as np
import pytest
from drawings import disks, field

from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.labels import areas
from nucdl_core.synthesis.artificial import ArtificialConfig, artificial_image, as_type, pasted_in_place, places
from nucdl_core.synthesis.cutting import Variation

EXACT = ArtificialConfig(
    grid=(2, 3), spacing=2.0, overlap=0, presence=1, adding=0, variation=Variation(False, 0, 0), dilation=5
)


def sparse(value=100, shape=(90, 130)):
    """Two disks of grey value `value` on a background of 10."""
    labels = disks(shape, [(30, 30), (60, 90)], 8)
    return np.where(labels > 0, value, 10).astype(np.uint8), labels


def make(config, seed=0, **changed):
    image, labels = sparse()
    return artificial_image(image, labels, dataclasses.replace(config, **changed), np.random.default_rng(seed))


def test_nuclei_come_on_the_nodes_of_a_grid():
    made = make(EXACT)
    # A crowd of 2 x 3 nodes, two diameters apart, has 68 x 102 px: it fits once.
    assert made.labels.max() == 6
    assert (areas(made.labels) == (sparse()[1] == 1).sum()).all()
    assert (made.image[made.labels > 0] == 100).all()


def test_the_background_is_that_of_the_image():
    made = make(EXACT)
    far = np.ones(made.labels.shape, bool)
    far[2:-2, 2:-2] = False
    assert (made.image[far] == 10).all() and made.image.dtype == np.uint8


def test_an_image_holds_as_many_crowds_as_fit_with_a_diameter_between_them():
    config = dataclasses.replace(EXACT, grid=(1, 2), spacing=1.0)
    centres = places((20, 100), 10.0, config, np.random.default_rng(0))
    # Crowds of two nodes, 20 px wide, and 10 px between them: three of them take 80 px.
    assert sorted(np.unique(centres[:, 1])) == [15, 25, 45, 55, 75, 85]


def test_a_node_is_empty_as_often_as_presence_says():
    config = ArtificialConfig(grid=(50, 50), presence=0.3)
    assert len(places((550, 550), 10.0, config, np.random.default_rng(0))) == pytest.approx(750, rel=0.15)


def test_overlap_is_how_far_nuclei_leave_their_nodes():
    apart, moved = (
        places((400, 400), 20.0, dataclasses.replace(EXACT, grid=(5, 5), overlap=overlap), np.random.default_rng(0))
        for overlap in (0.0, 0.3)
    )
    apart = apart[np.lexsort(apart.T)]
    nearest = np.abs(moved[:, None] - apart[None]).max(axis=2).min(axis=1)
    assert 0.2 * 40 < nearest.max() <= 0.3 * 40


def test_where_nuclei_overlap_the_upper_mask_replaces():
    made = make(EXACT, spacing=0.6, overlap=0.4, seed=3)
    whole = (sparse()[1] == 1).sum()
    assert (areas(made.labels) <= whole).all() and (areas(made.labels) < whole).any()


def test_replacing_nuclei_are_as_bright_as_before_and_adding_ones_brighter():
    replaced = make(EXACT, spacing=0.6, overlap=0.4)
    added = make(EXACT, spacing=0.6, overlap=0.4, adding=1.0)
    assert replaced.image.max() == 100
    assert added.image.max() > 110


def test_nuclei_that_are_mostly_covered_have_no_label():
    made = make(EXACT, grid=(6, 6), spacing=0.3, overlap=0.5)
    assert (areas(made.labels) >= 0.35 * (sparse()[1] == 1).sum() * 0.9).all()


def test_the_same_seed_gives_the_same_image_and_another_one_another():
    first, second, third = make(ArtificialConfig(), 1), make(ArtificialConfig(), 1), make(ArtificialConfig(), 2)
    assert np.array_equal(first.image, second.image) and not np.array_equal(first.labels, third.labels)


def test_the_size_may_be_chosen():
    image, labels = sparse()
    made = artificial_image(image, labels, EXACT, np.random.default_rng(0), (50, 60))
    assert made.image.shape == made.labels.shape == (50, 60)


def test_an_image_without_a_whole_nucleus_is_refused():
    labels = disks((40, 40), [(0, 20)], 8)
    with pytest.raises(ImageError, match="no nucleus that lies wholly inside"):
        artificial_image(labels * 1.0, labels, ArtificialConfig(dilation=2), np.random.default_rng(0))


@pytest.mark.parametrize(
    "setting, text",
    [
        ({"grid": (0, 3)}, "grid"),
        ({"spacing": 0.1}, "spacing"),
        ({"overlap": 1.1}, "overlap"),
        ({"presence": -0.1}, "presence"),
        ({"adding": 2}, "adding"),
        ({"dilation": -1}, "dilation"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(setting, text):
    with pytest.raises(ConfigError, match=text):
        ArtificialConfig(**setting)


def test_nuclei_pasted_in_place_are_those_of_the_image():
    image, truth = field()
    made = pasted_in_place(image, truth, np.random.default_rng(0), dilation=5)
    assert np.array_equal(made.labels, truth)
    assert np.array_equal(made.image[truth > 0], image[truth > 0])
    assert not np.array_equal(made.image, image)


def test_an_image_without_nuclei_becomes_background():
    image = np.random.default_rng(0).integers(3, 9, (20, 30)).astype(np.uint8)
    made = pasted_in_place(image, np.zeros((20, 30), np.int32), np.random.default_rng(1))
    assert made.labels.max() == 0 and set(np.unique(made.image)) == set(range(3, 9))


def test_grey_values_are_rounded_and_stay_within_their_type():
    assert as_type(np.array([-3.0, 1.6, 300]), np.dtype("uint8")).tolist() == [0, 2, 255]
    assert as_type(np.array([0.25]), np.dtype("float32")).tolist() == [0.25]
