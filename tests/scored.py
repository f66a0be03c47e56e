"""All scores of two label images, as tests want them."""

from nucdl_core.labels import relabel
from nucdl_core.overlap import overlap
from nucdl_core.scores.all_scores import all_overlap_scores


def all_scores(truth, prediction):
    """Score a prediction in every way; numbers may have gaps."""
    return all_overlap_scores(overlap(relabel(truth), relabel(prediction)), truth.size)
