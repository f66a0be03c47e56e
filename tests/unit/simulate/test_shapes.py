"""Outlines of nuclei, and the light inside."""

from __future__ import annotations

import numpy as np
import pytest
from clean_fields import make, relative_light
from scipy import ndimage
from skimage.measure import regionprops


def solidities(labels):
    return np.array([region.solidity for region in regionprops(labels)])


@pytest.mark.parametrize("diameter, blur", [(8, 0.8), (24, 0.8), (24, 2.0), (60, 3.0)])
def test_the_truth_is_where_the_light_falls_to_half(diameter, blur):
    field = make(diameter=diameter, blur=blur, size=(200, 200), count=4, seed=2)
    seen, truth = relative_light(field) > 0.5, field.labels > 0
    assert truth.sum() == pytest.approx(seen.sum(), rel=0.06)
    assert (seen & truth).sum() / (seen | truth).sum() > 0.93


@pytest.mark.parametrize("share", ["kidney_share", "lobed_share"])
def test_kidneys_and_lobes_are_hollow_where_ellipses_are_not(share):
    shape = {"count": 8, "diameter": 36, "size": (300, 300), "deformation": 0}
    plain, hollow = make(**shape), make(**shape, **{share: 1.0})
    assert np.median(solidities(plain.labels)) > 0.96 > np.median(solidities(hollow.labels)) + 0.005


def test_deformation_makes_outlines_irregular():
    plain, bumpy = (make(count=8, diameter=36, size=(300, 300), deformation=d) for d in (0.0, 0.15))
    assert np.median(solidities(bumpy.labels)) < np.median(solidities(plain.labels)) - 0.005


@pytest.mark.parametrize("name, value", [("texture", 0.3), ("nucleoli", 0.8), ("bright_spots", 1.0), ("dome", 0.8)])
def test_nuclei_are_not_flat_when_asked_not_to_be(name, value):
    def variation(field):
        inner = ndimage.binary_erosion(field.labels > 0, iterations=4)
        return float(relative_light(field)[inner].std())

    shape = {"count": 12, "diameter": 40, "size": (260, 260)}
    plain, structured = make(**shape), make(**shape, **{name: value})
    assert variation(structured) > variation(plain) + 0.02
