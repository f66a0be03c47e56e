"""Which annotated images teach a network and which ones judge it: by whole images, and the same for ever."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from nucdl_core.errors import ImageError

# Of so many images one judges, where a person does not say how many.
IMAGES_PER_JUDGE = 4
# Of fewer images a quarter would be fewer than six, too few for any test to tell a gain from chance: each half teaches
# once and judges once, so that every image judges.
FEWEST_APART = 24


@dataclass(frozen=True)
class Part:
    """Images of one training: names of those that teach, and of those that judge what was learnt."""

    training: Tuple[str, ...]
    validation: Tuple[str, ...]


def draw_of(name: str) -> int:
    """Return a number that depends on the name alone and looks drawn at random."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def is_validation(name: str, parts: int) -> bool:
    """Tell whether the image `name` is kept for validation, as one in `parts` images is.

    It depends on the name alone, so all crops of an image and all training runs agree.
    """
    return draw_of(name) % parts == 0


def parts_of(groups: Mapping[str, str], wanted: Optional[int] = None) -> List[Part]:
    """Part annotated images for a training, or for two of them that judge each other's images.

    Parameters
    ----------
    groups : mapping of str to str
        Group of each image, such as its plate or cell type, by the name of the image.
    wanted : int, optional
        How many images judge; without it a quarter.

    Returns
    -------
    list of Part
        One. Of fewer than `FEWEST_APART` images, where a person does not say how many judge, two: each half teaches
        once and judges once (cross-validation by halves).

    Raises
    ------
    ImageError
        If there is one image only, or none would teach.
    """
    if len(groups) < 2:
        raise ImageError(
            f"{len(groups)} annotated image came; at least 2 are needed, one to learn from and one to judge by: "
            "annotate another one"
        )
    halves = wanted is None and len(groups) < FEWEST_APART
    count = len(groups) // 2 if halves else wanted or len(groups) // IMAGES_PER_JUDGE
    chosen = choose_validation(groups, count)
    part = Part(tuple(sorted(set(groups) - set(chosen))), tuple(sorted(chosen)))
    return [part, Part(part.validation, part.training)] if halves else [part]


def choose_validation(groups: Mapping[str, str], count: int) -> List[str]:
    """Choose the images that judge: from each group in turn, in an order that depends on the names alone.

    Parameters
    ----------
    groups : mapping of str to str
        See `parts_of`.
    count : int

    Returns
    -------
    list of str

    Raises
    ------
    ImageError
        If no image would be left to learn from.
    """
    if not 1 <= count < len(groups):
        raise ImageError(
            f"{count} of {len(groups)} annotated images are to judge; at least one must judge, and one be left to "
            "learn from: choose another number of validation images, or annotate more"
        )
    waiting: Dict[str, List[str]] = {}
    for name in sorted(groups, key=draw_of):
        waiting.setdefault(groups[name], []).append(name)
    chosen: List[str] = []
    while len(chosen) < count:
        # A group's last image judges only where every group is down to one: a kind that was never seen is not learnt.
        open_groups = [names for names in waiting.values() if len(names) > 1] or list(waiting.values())
        for names in open_groups[: count - len(chosen)]:
            if names:
                chosen.append(names.pop(0))
    return chosen


def group_weights(groups: List[str]) -> List[float]:
    """Let each group count the same, however many images it has; the weights of all images sum to 1."""
    counts = Counter(groups)
    return [1 / (counts[group] * len(counts)) for group in groups]
