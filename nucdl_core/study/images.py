"""The images of a study: of which kind each is, and which teach, judge while networks learn, and test them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Sequence

from nucdl_core.errors import ConfigError
from nucdl_core.study.design import StudyCell, StudyDesign
from nucdl_core.study.results import TEST_PART
from nucdl_core.training.sources import AnnotatedImage
from nucdl_core.training.split import draw_of

POOL_PART, VALIDATION_PART = "pool", "validation"
# Of each kind this share tests, and half as many judge while networks learn.
TEST_SHARE = 0.25
FEWEST_OF_A_KIND = 3


@dataclass(frozen=True)
class StudyImage:
    """An image of a study.

    Attributes
    ----------
    kind : str
    part : str
        ``pool`` (may teach), ``validation`` or ``test``.
    digest : str
        Fingerprint of image and nuclei, see `plan.digest_of`.
    """

    kind: str
    part: str
    digest: str


Images = Dict[str, StudyImage]
"""Images by their names."""


def image_kind(source: AnnotatedImage) -> str:
    """Return the kind of an image: its group in ``index.csv``, or else its height and width."""
    height, width = source.labels.shape[-2:]
    return source.group or f"{height}x{width}"


def part_images(kinds: Dict[str, List[str]], design: StudyDesign) -> Dict[str, str]:
    """Decide what each image is there for: by the names alone, so that it is the same in every study.

    Parameters
    ----------
    kinds : dict of str to list of str
        Names of the images of each kind, at least `FEWEST_OF_A_KIND`.
    design : StudyDesign

    Returns
    -------
    dict of str to str
        Part by the name of the image.
    """
    parts: Dict[str, str] = {}
    for names in kinds.values():
        drawn = sorted(names, key=draw_of)
        tested = max(1, min(design.test_images, round(TEST_SHARE * len(drawn))))
        judging = max(1, min(design.validation_images, round(TEST_SHARE / 2 * len(drawn))))
        parts.update(dict.fromkeys(drawn[:tested], TEST_PART))
        parts.update(dict.fromkeys(drawn[tested : tested + judging], VALIDATION_PART))
        parts.update(dict.fromkeys(drawn[tested + judging :], POOL_PART))
    return parts


def kinds_in(images: Images) -> List[str]:
    """Name the kinds of images, the one with the most images first."""
    counts: Dict[str, int] = {}
    for image in images.values():
        counts[image.kind] = counts.get(image.kind, 0) + 1
    return sorted(counts, key=lambda kind: (-counts[kind], kind))


def images_for(cell: StudyCell, images: Images, part: str) -> List[str]:
    """Name the images of a part that belong to the kinds of a training, in an order of their own for each replicate.

    Parameters
    ----------
    cell : StudyCell
    images : dict of str to StudyImage
    part : str

    Returns
    -------
    list of str
        Of the pool as many as the training takes, from each kind in turn; of other parts all.

    Raises
    ------
    ConfigError
        If there is no such kind, or there are too few images.
    """
    wanted = cell.kinds or tuple(kinds_in(images))
    unknown = sorted(set(wanted) - {image.kind for image in images.values()})
    if unknown:
        raise ConfigError(
            f"there are no images of the kind {', '.join(unknown)}; the kinds are {', '.join(kinds_in(images))}"
        )
    drawn = [_drawn(cell, images, part, kind) for kind in wanted]
    turns = [name for turn in range(max(map(len, drawn))) for names in drawn for name in names[turn : turn + 1]]
    if part != POOL_PART or not cell.images:
        return turns
    if cell.images > len(turns):
        raise ConfigError(
            f"{cell.name} is to learn from {cell.images} images, but only {len(turns)} of its kinds may teach; "
            "annotate more, or ask for fewer"
        )
    return turns[: cell.images]


def _drawn(cell: StudyCell, images: Images, part: str, kind: str) -> List[str]:
    names: Sequence[str] = [name for name, image in images.items() if (image.part, image.kind) == (part, kind)]
    return sorted(names, key=lambda name: draw_of(f"{name}{cell.replicate}"))
