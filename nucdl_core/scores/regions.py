"""Scores of areas rather than nuclei: how many pixels truth and prediction share."""

from __future__ import annotations

import numpy as np

from nucdl_core.overlap import Overlap

MATCH_THRESHOLD = 0.5


def aggregated_jaccard(pairs: Overlap) -> float:
    """Give the aggregated Jaccard index (AJI).

    Every true nucleus takes the prediction with which its IoU is highest; shared pixels and unions are added up
    over the nuclei, and predictions that no nucleus took are added to the unions.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.

    Returns
    -------
    float
        In [0, 1]; 1 where neither image holds a nucleus. Of predictions with equal IoU that with more shared pixels
        is taken, then that with the lower number.

    Notes
    -----
    Kumar et al., IEEE Transactions on Medical Imaging 2017; used by Kromp et al.
    """
    iou = pairs.iou
    order = np.lexsort((pairs.second, -pairs.intersection, -iou, pairs.first))
    _, first = np.unique(pairs.first[order], return_index=True)
    best = order[first]
    shared = int(pairs.intersection[best].sum())
    taken = pairs.second[best] - 1
    unused = np.ones(len(pairs.second_areas), bool)
    unused[taken] = False
    # A union is both areas without the shared pixels; a nucleus that found nothing adds its own area.
    union = int(pairs.first_areas.sum()) + int(pairs.second_areas[taken].sum()) - shared
    everything = union + int(pairs.second_areas[unused].sum())
    return shared / everything if everything else 1.0


def panoptic_quality(pairs: Overlap) -> float:
    """Give the panoptic quality: the sum of the IoU of matches (above 0.5) per ``TP + FP / 2 + FN / 2``.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.

    Returns
    -------
    float
        In [0, 1]; 1 where neither image holds a nucleus.

    Notes
    -----
    Kirillov et al., Panoptic segmentation, CVPR 2019.
    """
    matches = pairs.iou[pairs.iou > MATCH_THRESHOLD]
    # TP + FP / 2 + FN / 2 is half of the nuclei of both images.
    nuclei = pairs.first_count + pairs.second_count
    return float(2 * matches.sum() / nuclei) if nuclei else 1.0


def pixel_accuracy(pairs: Overlap, pixels: int) -> float:
    """Give the share of the pixels that are foreground in both images or background in both.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.
    pixels : int
        Number of pixels of the image.

    Returns
    -------
    float
        In [0, 1]; 1 for an image without pixels.
    """
    shared = int(pairs.intersection.sum())
    different = int(pairs.first_areas.sum()) + int(pairs.second_areas.sum()) - 2 * shared
    return 1 - different / pixels if pixels else 1.0


def mean_iou(pairs: Overlap, pixels: int) -> float:
    """Give the intersection over union of all foreground and of all background pixels, averaged.

    Parameters
    ----------
    pairs : Overlap
        Of the truth, as the first label image, and the prediction, as the second.
    pixels : int
        Number of pixels of the image.

    Returns
    -------
    float
        In [0, 1]. A class that neither image holds does not count.

    Notes
    -----
    The usual score of semantic segmentation, as Wang and Song report it. It does not tell nuclei apart.
    """
    shared = int(pairs.intersection.sum())
    foreground = int(pairs.first_areas.sum()) + int(pairs.second_areas.sum()) - shared
    background = pixels - shared
    ratios = [common / union for common, union in ((shared, foreground), (pixels - foreground, background)) if union]
    return sum(ratios) / len(ratios) if ratios else 1.0
