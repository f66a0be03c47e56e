"""Nuclei cut out of images and varied."""

import numpy as np
import pytest
from drawings import disks

from nucdl_core.synthesis.cutting import Variation, cut_nuclei, smooth_shifts, varied

AS_THEY_ARE = Variation(turned=False, deformation=0, brightness=0)


def image_and_labels():
    labels = disks((60, 90), [(20, 20), (20, 37), (45, 70)], 8)
    return 10 + 5.0 * labels, labels


def test_each_whole_nucleus_is_cut_with_its_light_above_the_background():
    image, labels = image_and_labels()
    cuttings = cut_nuclei(image, labels, 10)
    assert [int(cutting.inside.sum()) for cutting in cuttings] == [int((labels == n).sum()) for n in (1, 2, 3)]
    assert [float(cutting.light[cutting.inside].mean()) for cutting in cuttings] == [5, 10, 15]


def test_neighbours_are_dark_in_the_surroundings():
    cutting = cut_nuclei(*image_and_labels(), 10)[0]
    assert not cutting.light[~cutting.inside].any()


def test_nuclei_that_the_border_cuts_are_left_out():
    labels = disks((30, 40), [(0, 10), (15, 28)], 6)
    assert len(cut_nuclei(labels * 1.0, labels, 0)) == 1


def test_without_variation_a_nucleus_stays_as_it_is():
    cutting = cut_nuclei(*image_and_labels(), 10)[2]
    same = varied(cutting, AS_THEY_ARE, np.random.default_rng(0))
    assert same.inside.sum() == cutting.inside.sum()
    assert same.light[same.inside].mean() == pytest.approx(15)


def test_a_turned_nucleus_keeps_its_area_and_its_light():
    labels = np.zeros((60, 60), np.int32)
    labels[25:35, 10:50] = 1
    cutting = cut_nuclei(labels * 7.0, labels, 0)[0]
    for seed in range(5):
        turned = varied(cutting, Variation(deformation=0, brightness=0), np.random.default_rng(seed))
        assert turned.inside.sum() == pytest.approx(400, rel=0.03)
        assert turned.light[turned.inside].mean() == pytest.approx(7, rel=0.05)
        assert not turned.inside[[0, -1]].any() and not turned.inside[:, [0, -1]].any()


def test_brightness_multiplies_all_light_of_a_nucleus():
    cutting = cut_nuclei(*image_and_labels(), 10)[2]
    brighter = varied(cutting, Variation(False, 0, 0.5), np.random.default_rng(1))
    values = brighter.light[brighter.inside]
    assert abs(values.mean() - 15) > 1 and values.std() < 1e-3 * values.mean()


def test_deformation_moves_outlines_by_its_share_of_the_diameter():
    labels = disks((80, 80), [(40, 40)], 25)
    cutting = cut_nuclei(labels * 1.0, labels, 0)[0]
    changed = varied(cutting, Variation(False, 0.08, 0), np.random.default_rng(0))
    still = varied(cutting, AS_THEY_ARE, np.random.default_rng(0)).inside
    side = len(changed.inside) - len(still)
    still = np.pad(still, side // 2)[: len(changed.inside), : len(changed.inside)]
    still = np.pad(still, [(0, len(changed.inside) - length) for length in still.shape])
    assert 0.03 < (changed.inside ^ still).sum() / still.sum() < 0.6


def test_shifts_are_smooth_and_of_unit_size():
    shifts = smooth_shifts(64, np.random.default_rng(0))
    assert shifts.shape == (2, 64, 64)
    assert 0.4 < shifts.std() < 1.6
    assert np.abs(np.diff(shifts, axis=1)).max() < 0.3
