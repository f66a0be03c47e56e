"""What reading annotations needs besides their file: the sizes of the images, and choices of the person."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Container, Iterable, Mapping, NamedTuple, Optional, Tuple

from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.exchange.objects import AnnotatedObjects
from nucdl_core.files.decoding import Limits
from nucdl_core.files.folders import IMAGE_SUFFIXES, PathLike, image_files, image_stem, refuse_same_names
from nucdl_core.files.reading import MAX_PIXELS, read_image

# What programs put behind the name of the image.
_ENDINGS = ("_RoiSet", "_ROIs", "_rois", "_labels", "_binary", "_stack")


def annotation_stem(path: PathLike, known: Container[str] = ()) -> str:
    """Return the name of the image that a file of annotations belongs to, without its suffix.

    Parameters
    ----------
    path : str or path
        ``NAME_RoiSet.zip``, ``NAME_ROIs.zip``, ``NAME_labels.tif``, ``NAME_stack.tif``, ``NAME_binary.png``,
        ``NAME.tif.geojson`` and ``NAME.roi`` all belong to ``NAME``.
    known : container of str
        Names of images. A file that is called like one of them belongs to it, whatever its name ends with.

    Returns
    -------
    str
    """
    stem = Path(path).stem
    if stem in known:
        return stem
    for ending in _ENDINGS:
        if stem.endswith(ending) and stem != ending:
            stem = stem[: -len(ending)]
            break
    return named_image(stem)


def named_image(name: str) -> str:
    """Return the name of an image file without its folders, those of Windows too, and without an image's suffix."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return Path(last).stem if Path(last).suffix.lower() in IMAGE_SUFFIXES else last


@dataclass(frozen=True)
class ImageSizes:
    """Height and width of images whose annotations do not tell them.

    Attributes
    ----------
    files : mapping of str to Path
        Images by their names without suffix.
    size : (int, int), optional
        Height and width in pixels of every image that is not among the files.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    size: Optional[Tuple[int, int]] = None

    def __post_init__(self) -> None:
        if self.size is not None and min(self.size) < 1:
            raise ConfigError(f"the size is {self.size[0]} x {self.size[1]}; give height and width of at least 1 pixel")

    @classmethod
    def of(cls, images: Optional[PathLike] = None, size: Optional[Tuple[int, int]] = None) -> ImageSizes:
        """Take the images of a folder, and a size for what is not there.

        Raises
        ------
        ImageError
            If the folder has no images, or two of one name.
        ConfigError
            If the size has no pixel.
        """
        files = image_files([images]) if images is not None else []
        refuse_same_names(files)
        return cls({image_stem(file): file for file in files}, size)

    def shape_of(self, image: str, stated: Optional[Tuple[int, int]] = None) -> Tuple[int, int]:
        """Return height and width of an image in pixels.

        Parameters
        ----------
        image : str
            Its name without suffix.
        stated : (int, int), optional
            What the file of annotations says.

        Raises
        ------
        ImageError
            If nothing says it, two sources contradict each other, or the image is too large.
        """
        known, origin = self.size, "the size that was given"
        if image in self.files:
            found = read_image(self.files[image]).shape
            known, origin = (found[0], found[1]), str(self.files[image])
        shape = stated or known
        if shape is None:
            raise ImageError(
                f"the annotations do not say how large the image {image} is; "
                "name the folder of the images (--images FOLDER) or the size (--size HEIGHTxWIDTH)"
            )
        if known is not None and known != shape:
            raise ImageError(
                f"the annotations are for an image of {shape[0]} x {shape[1]} pixels, "
                f"{origin} is {known[0]} x {known[1]}; "
                "use the image that was annotated, at the same scale"
            )
        Limits(pixels=MAX_PIXELS).check(*shape, 4)
        return shape


@dataclass(frozen=True)
class ReadOptions:
    """What a person decides about reading annotations.

    Attributes
    ----------
    sizes : ImageSizes
    fill_boxes : bool
        Whether a box becomes a nucleus that fills it. Nuclei are not rectangles, so this is not done unasked.
    """

    sizes: ImageSizes = field(default_factory=ImageSizes)
    fill_boxes: bool = False


class ImageToRead(NamedTuple):
    """One image of a file of annotations.

    Attributes
    ----------
    image : str
        Its name without suffix.
    load : callable
        Reads its objects. Raises an `ImageError` without the name of the file.
    """

    image: str
    load: Callable[[], AnnotatedObjects]


Reader = Callable[[Path, ReadOptions], Iterable[ImageToRead]]
"""Finds the images of one file, or folder, of annotations; raises an `ImageError` without its name."""
