"""Several folders of annotated images that one model learns from, each with its say."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

from nucdl_core.config import require
from nucdl_core.errors import ConfigError
from nucdl_core.training.reading import read_annotated_images
from nucdl_core.training.sources import AnnotatedImage
from nucdl_core.training.split import draw_of


@dataclass(frozen=True)
class Collection:
    """A folder of annotated images, and how much it counts.

    Attributes
    ----------
    folder : Path
        With ``images`` and ``masks``.
    share : float
        How often crops are cut from it, in relation to the other folders.
    """

    folder: Path
    share: float = 1.0

    def __post_init__(self) -> None:
        require(self.share > 0, f"{self.folder} counts {self.share:g}; it must count more than 0")

    @property
    def name(self) -> str:
        """What the collection is called: the name of its folder, of the one above for a folder of one of its parts."""
        folder = self.folder.resolve()
        return folder.parent.name if folder.name in ("train", "training") else folder.name


def collection_of(text: str) -> Collection:
    """Read ``FOLDER`` or ``FOLDER=SHARE``.

    Raises
    ------
    ConfigError
        If there is no such folder, or the share is not above 0.
    """
    named = re.fullmatch(r"(.+)=([0-9.]+)", text)
    folder, share = (named.group(1), float(named.group(2))) if named else (text, 1.0)
    if not Path(folder).is_dir():
        raise ConfigError(f"{folder} is no folder; give a folder with 'images' and 'masks', or FOLDER=SHARE")
    return Collection(Path(folder), share)


def read_collections(collections: Sequence[Collection], experiments: Mapping[str, str]) -> List[AnnotatedImage]:
    """Read several folders of annotated images.

    Parameters
    ----------
    collections : sequence of Collection
    experiments : mapping of str to str
        By the name of a collection: a regular expression that finds the experiment in the name of an image. What its
        first group matches is the group of the image, instead of what ``index.csv`` says.

    Returns
    -------
    list of AnnotatedImage

    Raises
    ------
    ImageError
        See `reading.annotated_files`.
    ConfigError
        If two folders have one name, an expression is none, or finds nothing in a name.
    """
    names = [collection.name for collection in collections]
    if len(set(names)) < len(names):
        raise ConfigError(f"the folders are called {', '.join(names)}; give each a name of its own")
    sources: List[AnnotatedImage] = []
    for collection in collections:
        read = read_annotated_images(collection.folder)
        if collection.name in experiments:
            read = [_of_experiment(source, experiments[collection.name]) for source in read]
        if len(collections) > 1:
            read = [dataclasses.replace(each, collection=collection.name, share=collection.share) for each in read]
        sources += read
    return sources


def _of_experiment(source: AnnotatedImage, pattern: str) -> AnnotatedImage:
    try:
        found = re.search(pattern, source.name)
        group = found and found.group(1)
    except (re.error, IndexError) as error:
        raise ConfigError(
            f"experiments: {pattern!r} is no regular expression with a group in brackets ({error})"
        ) from error
    if not group:
        raise ConfigError(f"experiments: {pattern!r} finds no experiment in the name {source.name!r}")
    return dataclasses.replace(source, group=group)


def validation_groups(sources: Sequence[AnnotatedImage], parts: int) -> Dict[str, Tuple[str, ...]]:
    """Choose the groups whose images judge, so that a plate, an experiment or a mouse stays on one side.

    Parameters
    ----------
    sources : sequence of AnnotatedImage
        Those without a group do not count.
    parts : int
        At least one image of so many judges.

    Returns
    -------
    dict of str to tuple of str
        Groups by collection: the first ones, in an order that depends on their names alone, that hold so many images;
        at least one group of each collection is left to learn from.
    """
    chosen: Dict[str, Tuple[str, ...]] = {}
    for collection in sorted({source.collection for source in sources}):
        groups = [source.group for source in sources if source.collection == collection and source.group]
        judging: List[str] = []
        for group in sorted(set(groups), key=draw_of)[:-1]:
            if sum(each in judging for each in groups) * parts >= len(groups):
                break
            judging.append(group)
        chosen[collection] = tuple(judging)
    return chosen
