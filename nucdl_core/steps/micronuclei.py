"""Micronuclei, where they are wanted: found at the scale of nuclei, and by a second look at a finer one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nucdl_core.config import ALL_OF_THEM, SegmentConfig
from nucdl_core.large import strips
from nucdl_core.regions import MICRONUCLEUS
from nucdl_core.results import Segmentation
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.scales import LookAt, combine

# Share of the typical diameter from which on micronuclei are kept, where they are wanted. Models are calibrated to drop
# what is below a quarter: it is not annotated in most images.
SMALLEST_KEPT = 0.1
# Share of the typical diameter at which micronuclei are looked for: of 1,862 annotated ones in the 40 images of
# mnfinder, a look at 1.0, 0.6 and 0.4 shows 664, 887 and 926 with a confidence of 0.5, and at 0.4 many parts of nuclei.
FINER_LOOK = 0.6
# Micronuclei are less sure than nuclei: in every fourth of those images, 0.6 instead of the calibrated 0.75 gives 159
# instead of 124, and 11 further objects that are not annotated.
SURE_ENOUGH = 0.6
# What is found at the finer scale is a part of a nucleus if more than this share of it lies in one.
INSIDE_NUCLEUS = 0.3


def chosen_decision(calibrated: Decision, config: SegmentConfig, micronuclei_alone: bool = False) -> Decision:
    """Return the decision of a model, which keeps smaller objects where micronuclei are wanted.

    Where they alone are looked for, it also keeps less sure ones.
    """
    if config.micronuclei != ALL_OF_THEM:
        return calibrated
    score = min(calibrated.score, SURE_ENOUGH) if micronuclei_alone else calibrated.score
    return replace(calibrated, smallest=min(calibrated.smallest, SMALLEST_KEPT), score=score)


def with_micronuclei(found: Segmentation, config: SegmentConfig, look: LookAt) -> Segmentation:
    """Look again at a finer scale where there are micronuclei and they are wanted, and add those that are seen there.

    Parameters
    ----------
    found : Segmentation
        Its `diameter` is the typical one.
    config : SegmentConfig
        Its `micronuclei` counts.
    look : callable
        Finds the nuclei of the same image at the scale of a diameter in pixels.

    Returns
    -------
    Segmentation
        With the micronuclei of the second look that do not lie in a nucleus; of one that both show, that of the second.
    """
    if config.micronuclei != ALL_OF_THEM or not found.micronuclei.any():
        return found
    finer = look(FINER_LOOK * found.diameter)
    small = finer.regions.diameters < MICRONUCLEUS * found.diameter
    is_nucleus = np.append(False, ~found.micronuclei)
    inside = np.zeros(finer.count + 1, np.int64)
    for numbers, others in strips(found.labels, finer.labels):
        inside += np.bincount(others[is_nucleus[numbers]], minlength=inside.size)
    free = inside[1:] <= INSIDE_NUCLEUS * finer.regions.areas
    return combine(found, finer.keep(small & free))
