"""The images that a model is to be adapted to: read, checked, and with the nuclei that it finds in them so far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Collection, List, Mapping, Sequence

from nucdl_core.arrays import AnyArray, Labels
from nucdl_core.errors import ImageError
from nucdl_core.files.folders import image_files, image_stem, refuse_same_names
from nucdl_core.files.reading import read_image
from nucdl_core.labels import highest
from nucdl_core.model.predictor import Predictor
from nucdl_core.steps.normalize import normalize
from nucdl_core.steps.polarity import looks_dark_on_bright
from nucdl_core.synthesis.appearance import Appearance, appearance_of
from nucdl_core.training.judging import find_nuclei_in

FEWEST_IMAGES_TO_ADAPT, FEWEST_NUCLEI_TO_ADAPT = 5, 50
_NAMED_AT_MOST = 3


@dataclass(frozen=True)
class PlainImage:
    """An image without annotation.

    Attributes
    ----------
    name : str
        Its file's, without suffix.
    image : array (H, W)
        Grey values with bright nuclei, of the type in the file.
    """

    name: str
    image: AnyArray


@dataclass(frozen=True)
class SeenImage:
    """An image with the nuclei by which its appearance is known.

    Attributes
    ----------
    name : str
    image : array (H, W)
        Grey values with bright nuclei.
    labels : int32 array (H, W)
        What a person annotated, or what the model found.
    appearance : Appearance
    """

    name: str
    image: AnyArray
    labels: Labels
    appearance: Appearance


def read_plain_images(paths: Collection[Path]) -> List[PlainImage]:
    """Read images of one modality; where all show dark nuclei, they are inverted.

    Parameters
    ----------
    paths : collection of Path
        Files, or folders of files.

    Raises
    ------
    ImageError
        Naming the files, if there are fewer than `FEWEST_IMAGES_TO_ADAPT`, one cannot be read or is flat, or some show
        bright and some dark nuclei.
    """
    files = image_files(list(paths))
    refuse_same_names(files)
    if len(files) < FEWEST_IMAGES_TO_ADAPT:
        raise ImageError(
            f"{len(files)} images came; at least {FEWEST_IMAGES_TO_ADAPT} are needed to know how images of their kind "
            "look: add some"
        )
    images = [read_image(path) for path in files]
    for path, image in zip(files, images):
        if image.min() == image.max():
            raise ImageError(f"{path} is {image.min()} everywhere, so that it tells nothing; take it out")
    dark = [looks_dark_on_bright(image) for image in images]
    if any(dark) and not all(dark):
        some = [path.name for path, is_dark in zip(files, dark) if is_dark]
        raise ImageError(
            f"{len(some)} of {len(files)} images seem to show dark nuclei ({', '.join(some[:_NAMED_AT_MOST])}), the "
            "others bright ones; a model is adapted to images that were taken in one way: give the two apart"
        )
    bright = [image.max() - image if all(dark) else image for image in images]
    return [PlainImage(image_stem(path), image) for path, image in zip(files, bright)]


def seen_images(
    images: Sequence[PlainImage], predictor: Predictor, annotated: Mapping[str, Labels] = {}
) -> List[SeenImage]:
    """Look at images with the nuclei that are annotated, or else with those that a model finds.

    Parameters
    ----------
    images : sequence of PlainImage
    predictor : Predictor
    annotated : mapping of str to int32 array (H, W)
        Annotations of some images, by their names.

    Returns
    -------
    list of SeenImage
        Without the images whose appearance cannot be told; see `synthesis.appearance.appearance_of`.

    Raises
    ------
    ImageError
        If there are fewer than `FEWEST_NUCLEI_TO_ADAPT` nuclei in all, or no image tells how it looks.
    """
    seen, nuclei = [], 0
    for each in images:
        known = annotated.get(each.name)
        labels = find_nuclei_in(normalize(each.image), predictor) if known is None else known
        nuclei += highest(labels)
        appearance = appearance_of(each.image, labels)
        if appearance is not None:
            seen.append(SeenImage(each.name, each.image, labels, appearance))
    if nuclei < FEWEST_NUCLEI_TO_ADAPT or not seen:
        raise ImageError(
            f"{nuclei} nuclei were found in {len(images)} images; at least {FEWEST_NUCLEI_TO_ADAPT}, brighter than "
            "their background, are needed to know how nuclei look: add images, or annotate some with their nuclei"
        )
    return seen
