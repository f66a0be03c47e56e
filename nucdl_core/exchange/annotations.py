"""Label images out of annotations of any format, for other parts of the program."""

from __future__ import annotations

import logging
from typing import Dict, Optional

from nucdl_core.arrays import Labels
from nucdl_core.errors import ImageError
from nucdl_core.exchange.conversion import images_of
from nucdl_core.exchange.formats import find_sources
from nucdl_core.exchange.objects import label_image
from nucdl_core.exchange.sources import ImageSizes, ReadOptions
from nucdl_core.files.folders import PathLike

_LOGGER = logging.getLogger(__name__)


def read_annotations(
    path: PathLike, images: Optional[PathLike] = None, kind: Optional[str] = None
) -> Dict[str, Labels]:
    """Read annotations of any format as label images.

    Parameters
    ----------
    path : str or path
        A file or a folder of annotations.
    images : str or path, optional
        Folder of the images. It is needed where the annotations do not tell how large their image is, and checked
        against them where they do.
    kind : str, optional
        The format, a key of `formats.FORMATS`; without it the format is recognized.

    Returns
    -------
    dict of str to int32 array (H, W)
        Label images by the name of the image without suffix, in the order of the files. A pixel of several objects
        goes to the smallest one. What a person must know, such as overlaps and ROIs that enclose nothing, is told in
        the log.

    Raises
    ------
    ImageError
        Naming the file, if one cannot be read, its format is not certain, its image has another size, or two are of
        one image.
    """
    options = ReadOptions(ImageSizes.of(images))
    found: Dict[str, Labels] = {}
    for source in find_sources([path], kind):
        for image, failure in images_of(source, options):
            if image is None:
                raise ImageError(failure)
            if image.image in found:
                raise ImageError(f"{source.path}: the image {image.image} has annotations already; remove one of them")
            try:
                annotated = image.load()
            except ImageError as error:
                raise ImageError(f"{source.path}: {error}") from error
            made = label_image(annotated)
            for sentence in (*annotated.notes, *made.sentences()):
                _LOGGER.warning("%s: %s: %s", source.path, image.image, sentence)
            found[image.image] = made.labels
    return found
