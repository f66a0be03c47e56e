"""From the boxes and small masks of a Mask R-CNN to numbered nuclei on the image's own pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterator, List, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from nucdl_core.arrays import AnyArray, Floats, Mask
from nucdl_core.labels import largest_component
from nucdl_core.results import Found
from nucdl_core.steps.instances import Decision
from nucdl_core.steps.views import View, apply_view, matching_nuclei, undo_view, vote

# A nucleus of which less than this share is left when better ones have taken their pixels was found twice.
LEAST_LEFT = 0.5
# Masks are enlarged together only up to this number of pixels.
MASK_BATCH_PIXELS = 4_000_000


@dataclass(frozen=True)
class Detections:
    """What a Mask R-CNN finds in one view of an image, at its own scale.

    Attributes
    ----------
    boxes : float32 array (N, 4)
        Top, left, bottom, right in network pixels, 0 at the outer edge of the first pixel.
    scores : float32 array (N,)
        In [0, 1], falling.
    masks : float32 array (N, M, M)
        Probability in [0, 1] of each cell of the box to lie in the nucleus. The cell at position x tells about the
        network pixel number x, whose centre is at x + 0.5.
    """

    boxes: Floats
    scores: Floats
    masks: Floats

    def keep(self, kept: Mask) -> Detections:
        """Return the detections where `kept` (N,) is true."""
        return Detections(self.boxes[kept], self.scores[kept], self.masks[kept])


@dataclass(frozen=True)
class InstancePrediction:
    """What a Mask R-CNN says about an image.

    Attributes
    ----------
    views : sequence of View
    detections : sequence of Detections
        Of each view, as it lies there.
    padded : (int, int)
        Height and width in image pixels of what the network was shown, before it was turned.
    shape : (int, int)
        Height and width of the image, which begins at the same corner.
    scale : float
        Network pixels per image pixel.
    """

    views: Sequence[View]
    detections: Sequence[Detections]
    padded: Tuple[int, int]
    shape: Tuple[int, int]
    scale: float


def decode_views(prediction: InstancePrediction, decision: Decision, canonical_diameter: float) -> List[Found]:
    """Find the nuclei of each view, turned back; see `decode_detections`."""
    height, width = prediction.shape
    found = []
    for view, detections in zip(prediction.views, prediction.detections):
        shown = apply_view(np.empty(prediction.padded, np.bool_), view).shape
        nuclei = decode_detections(detections, (shown[0], shown[1]), prediction.scale, decision, canonical_diameter)
        labels, probability = (
            np.ascontiguousarray(undo_view(array, view)[:height, :width])
            for array in (nuclei.labels, nuclei.probability)
        )
        found.append(replace(nuclei.redrawn(labels), probability=probability))
    return found


def decode_detections(
    found: Detections, shape: Tuple[int, int], scale: float, decision: Decision, canonical_diameter: float
) -> Found:
    """Decide which detections are nuclei and which pixels are theirs.

    A pixel that several masks claim goes to the one with the best score; what is left of the others must be half of
    them at least. Of each nucleus the largest connected piece stays.

    Parameters
    ----------
    found : Detections
    shape : (int, int)
        Height and width of the image in pixels.
    scale : float
        Network pixels per image pixel; both begin at the same corner.
    decision : Decision
        Its scores, its foreground and its smallest nucleus.
    canonical_diameter : float
        In network pixels.

    Returns
    -------
    Found
        Best score first.
    """
    found = found.keep(found.scores >= decision.score)
    pixels, numbers, values = enlarge(found, shape, scale)
    probability = np.zeros(shape, np.float32)
    # Of several values for one place the last one stays: the highest.
    order = np.argsort(values, kind="stable")
    probability.ravel()[pixels[order]] = values[order]
    claimed = values > decision.foreground
    pixels, numbers = pixels[claimed], numbers[claimed]
    order = np.argsort(-numbers, kind="stable")
    labels = np.zeros(shape, np.int32)
    labels.ravel()[pixels[order]] = numbers[order]
    count = len(found.scores)
    claims = np.bincount(numbers, minlength=count + 1)[1:]
    labels = largest_component(labels)
    left = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    smallest_area = np.pi / 4 * (decision.smallest * canonical_diameter / scale) ** 2
    kept = np.flatnonzero((left > LEAST_LEFT * claims) & (left >= smallest_area))
    number = np.zeros(count + 1, np.int32)
    number[kept + 1] = 1 + np.arange(kept.size)
    return Found(number[labels], left[kept], probability, found.scores[kept])


def enlarge(
    found: Detections, shape: Tuple[int, int], scale: float
) -> Tuple[NDArray[np.int64], NDArray[np.int32], Floats]:
    """Enlarge masks to the pixels of an image, bilinearly, so that outlines are not staircases of their cells.

    Parameters
    ----------
    found : Detections
    shape, scale : (int, int), float
        See `decode_detections`.

    Returns
    -------
    pixels : int64 array (P,)
        Positions in the flattened image, of the pixels in any box; as often as there are boxes around them.
    numbers : int32 array (P,)
        The detection whose box it is, from 1.
    values : float32 array (P,)
        The probability that its mask gives to the pixel.
    """
    parts = [_enlarge_batch(found, members, side, shape, scale) for members, side in _of_similar_size(found, scale)]
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
    pixels, numbers, values = (np.concatenate(arrays) for arrays in zip(*parts))
    return pixels, numbers, values


def _of_similar_size(found: Detections, scale: float) -> Iterator[Tuple[NDArray[np.intp], int]]:
    """Part detections into groups that fit into squares of one side in image pixels, to be enlarged together."""
    longest = (found.boxes[:, 2:] - found.boxes[:, :2]).max(axis=1, initial=0) / scale
    sides = 2 ** np.ceil(np.log2(np.maximum(longest + 2, 8))).astype(np.intp)
    for side in np.unique(sides):
        members, at_once = np.flatnonzero(sides == side), max(1, MASK_BATCH_PIXELS // int(side) ** 2)
        for first in range(0, members.size, at_once):
            yield members[first : first + at_once], int(side)


def _enlarge_batch(
    found: Detections, members: NDArray[np.intp], side: int, shape: Tuple[int, int], scale: float
) -> Tuple[AnyArray, AnyArray, AnyArray]:
    """Enlarge the masks of some detections that fit into squares of `side` image pixels; see `enlarge`."""
    low, high = found.boxes[members, :2, None], found.boxes[members, 2:, None]
    cells = found.masks.shape[-1]
    index = np.floor(low / scale).astype(np.int64) + np.arange(side)
    centres = (index + 0.5) * scale
    inside = (centres >= low) & (centres <= high) & (index >= 0) & (index < np.array(shape)[:, None])
    position = (centres - 0.5 - low) / np.maximum(high - low, 1e-3) * cells - 0.5
    position = np.clip(position, 0, cells - 1)[..., None]
    weights = np.maximum(0, 1 - np.abs(position - np.arange(cells))).astype(np.float32)
    values = weights[:, 0] @ found.masks[members] @ weights[:, 1].transpose(0, 2, 1)
    here = inside[:, 0, :, None] & inside[:, 1, None, :]
    pixels = index[:, 0, :, None] * shape[1] + index[:, 1, None, :]
    numbers = np.broadcast_to((members + 1).astype(np.int32)[:, None, None], here.shape)
    return pixels[here], numbers[here], values[here]


def merge_views(views: Sequence[Found]) -> Found:
    """Let the views vote on the nuclei and on their pixels; see `views.vote`.

    Returns
    -------
    Found
        Scores are averaged over the views that hold the nucleus, the probability over all views.
    """
    result = vote([view.labels for view in views])
    total, count = np.zeros(len(result.agreement)), np.zeros(len(result.agreement))
    for view in views:
        matches = matching_nuclei(result.labels, view.labels)[1:]
        total += np.concatenate([np.zeros(1), view.scores])[matches]
        count += matches > 0
    scores = np.asarray(total / np.maximum(count, 1), np.float32)
    probability = np.mean([view.probability for view in views], axis=0, dtype=np.float32)
    return Found(result.labels, result.areas, probability, scores, result.agreement)
