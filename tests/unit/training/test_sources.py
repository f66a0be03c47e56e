"""Annotated images as training takes them."""

import dataclasses

import numpy as np
import pytest
from drawings import annotated_disks, disks

from nucdl_core.training.sources import kind_of, kind_weights, prepare


def test_the_size_of_a_nucleus_cut_by_the_image_border_is_not_taught():
    labels = np.zeros((40, 40), np.int32)
    labels[:9, 10:20], labels[20:29, 10:20] = 1, 2
    assert (
        prepare("cut", labels.astype(np.uint8), labels).sizes[1]
        == 0
        < prepare("cut", labels.astype(np.uint8), labels).sizes[2]
    )


def test_rare_kinds_of_images_are_drawn_more_often():
    weights = kind_weights([annotated_disks()] * 4 + [annotated_disks(shape=(100, 100))])
    assert weights[4] == pytest.approx(2 * weights[0])


def test_each_kind_of_image_can_count_the_same():
    weights = kind_weights([annotated_disks()] * 4 + [annotated_disks(shape=(100, 100))], evenness=1.0)
    assert weights[:4].sum() == pytest.approx(weights[4])


def test_groups_of_images_count_the_same():
    images = [annotated_disks(group="hela")] * 4 + [annotated_disks(group="u2os")]
    weights = kind_weights(images)
    assert weights[:4].sum() == pytest.approx(weights[4])


def test_a_folder_counts_by_its_share_however_many_images_it_has():
    cells = [dataclasses.replace(annotated_disks(), collection="cells", share=1.0)] * 6
    tissue = [dataclasses.replace(annotated_disks(group="mouse1"), collection="tissue", share=2.0)] * 2
    weights = kind_weights([*cells, *tissue])
    assert weights[:6].sum() == pytest.approx(1)
    assert weights[6:].sum() == pytest.approx(2)


def test_a_kind_is_a_laboratory():
    tissue = dataclasses.replace(annotated_disks(group="mouse1"), collection="tissue")
    cells = dataclasses.replace(annotated_disks(shape=(64, 96)), collection="cells", modality="fluorescence")
    assert kind_of(tissue) == "tissue"
    assert kind_of(cells) == "cells fluorescence 64 x 96"
    assert kind_of(annotated_disks(group="plate 1")) == "plate 1"


def test_micronuclei_do_not_make_the_nuclei_of_an_image_small():
    labels = disks((128, 128), [(30, 30), (30, 90), (90, 30), (90, 90)], 14)
    small = disks((128, 128), [(6, 6), (6, 60), (60, 6), (60, 60), (6, 120), (120, 6)], 2)
    both = np.where(small > 0, small + 4, labels).astype(np.int32)
    image = (both > 0).astype(np.uint8)
    assert prepare("both", image, both).diameter == prepare("nuclei", image, labels).diameter > 25
