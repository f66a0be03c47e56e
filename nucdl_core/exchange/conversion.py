"""From one format of annotations to another, file by file."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from nucdl_core.errors import ConfigError, ImageError, NucDLError
from nucdl_core.exchange.coco import DEFAULT_CATEGORY
from nucdl_core.exchange.formats import FORMATS, AnnotationWriter, Source, WriteOptions, find_sources
from nucdl_core.exchange.objects import AnnotatedObjects, categories_of, first_few
from nucdl_core.exchange.sources import ImageSizes, ImageToRead, ReadOptions
from nucdl_core.files.folders import PathLike
from nucdl_core.files.writing import make_folder


@dataclass(frozen=True)
class ConvertConfig:
    """Settings of a conversion.

    Attributes
    ----------
    target : str
        Format to write, a key of `formats.FORMATS`.
    source : str, optional
        Format to read; without it the format is recognized.
    sizes : ImageSizes
        Of images whose annotations do not tell how large they are.
    fill_boxes, cut_touching : bool
        See `sources.ReadOptions` and `formats.WriteOptions`.
    """

    target: str
    source: Optional[str] = None
    sizes: ImageSizes = field(default_factory=ImageSizes)
    fill_boxes: bool = False
    cut_touching: bool = False

    def __post_init__(self) -> None:
        for name in (self.target, *([] if self.source is None else [self.source])):
            if name not in FORMATS:
                raise ConfigError(f"there is no format {name!r}; choose one of {', '.join(FORMATS)}")


@dataclass(frozen=True)
class ConvertedImage:
    """What became of one image, or of a file that could not be read at all.

    Attributes
    ----------
    source : Path
        File or folder of its annotations.
    image : str
        Its name without suffix.
    nuclei : int
    notes : tuple of str
        What a person must know, a sentence each.
    error : str, optional
        Why it failed, with the name of the file.
    """

    source: Path
    image: str
    nuclei: int = 0
    notes: Tuple[str, ...] = ()
    error: Optional[str] = None


def convert(
    inputs: Sequence[PathLike],
    output: PathLike,
    config: ConvertConfig,
    progress: Callable[[Iterable[Source]], Iterable[Source]] = iter,
) -> List[ConvertedImage]:
    """Convert annotations; a file that cannot be used does not stop the others.

    Parameters
    ----------
    inputs : sequence of str or path
        Files and folders, see `formats.find_sources`.
    output : str or path
        Folder for the files of the new format; made where it does not exist. Files of the same names are replaced.
    config : ConvertConfig
    progress : callable
        Wraps the iteration over the files, for example in a progress bar.

    Returns
    -------
    list of ConvertedImage
        One for each image, and for each file that cannot be read, in order.

    Raises
    ------
    ConfigError
        If the output would lie among the annotations that it is made from.
    ImageError
        If a folder has no annotations or several formats, or nothing could be found.
    NucDLError
        If the output folder cannot be made, or a file of all images cannot be written.
    """
    target = Path(output)
    sources = find_sources(inputs, config.source)
    _refuse_own_folder(sources, target)
    make_folder(target)
    options = WriteOptions(config.sizes.files, config.cut_touching)
    writer = FORMATS[config.target].write(target, options)
    records: List[ConvertedImage] = []
    first_source: Dict[str, Path] = {}
    for source in progress(sources):
        for image, failure in images_of(source, ReadOptions(config.sizes, config.fill_boxes)):
            if image is None:
                records.append(ConvertedImage(source.path, source.path.stem, error=failure))
                continue
            records.append(_converted(source, image, writer, config.target, first_source))
    if any(record.error is None for record in records):
        writer.finish()
    return records


def images_of(source: Source, options: ReadOptions) -> Iterator[Tuple[Optional[ImageToRead], Optional[str]]]:
    """Yield the images of a source, or None and why it cannot be read, with its name."""
    try:
        found = list(source.format().read(source.path, options))
        if not found:
            raise ImageError("the file lists no image; export it again with its images")
    except ImageError as error:
        yield None, f"{source.path}: {error}"
        return
    except MemoryError:
        yield None, f"{source.path}: the file does not fit into memory; export fewer images a file"
        return
    for image in found:
        yield image, None


def _refuse_own_folder(sources: Sequence[Source], target: Path) -> None:
    """Raise a `ConfigError` if the output folder is one that annotations are read from."""
    for source in sources:
        # What is a folder by itself is written as one of the same name.
        if target.resolve() in (source.path.resolve(), source.path.resolve().parent):
            raise ConfigError(f"the output folder {target} holds the annotations to be converted; name another one")


def _converted(
    source: Source, image: ImageToRead, writer: AnnotationWriter, target: str, first_source: Dict[str, Path]
) -> ConvertedImage:
    """Read and write one image."""
    name = image.image
    try:
        _refuse_name(name)
        if name in first_source:
            raise ImageError(f"the image {name} has annotations in {first_source[name]} already; convert them apart")
        annotated = image.load()
        told = (*annotated.notes, *lost_by(annotated, target), *writer.add(annotated))
        first_source[name] = source.path
    except ImageError as error:
        place = source.path if source.path.stem.startswith(name) else f"{source.path}, image {name}"
        return ConvertedImage(source.path, name, error=f"{place}: {error}")
    except MemoryError:
        return ConvertedImage(source.path, name, error=f"{source.path}: the image {name} does not fit into memory")
    except NucDLError as error:
        return ConvertedImage(source.path, name, error=str(error))
    return ConvertedImage(source.path, name, len(annotated.objects), told)


def _refuse_name(name: str) -> None:
    """Raise an `ImageError` for the name of an image that no file can have."""
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        encoded = b""
    if encoded in (b"", b".", b"..") or b"/" in encoded or b"\0" in encoded:
        raise ImageError(f"the image is called {name!r}, which is no name for a file; rename it")


def lost_by(annotated: AnnotatedObjects, target: str) -> Tuple[str, ...]:
    """Say which classes and names of objects a format cannot keep, in a sentence each.

    Parameters
    ----------
    annotated : AnnotatedObjects
    target : str
        A key of `formats.FORMATS`.

    Returns
    -------
    tuple of str
        Empty where nothing is lost.
    """
    told: List[str] = []
    classes = categories_of(annotated)
    # Of COCO objects that all are called nuclei, this says nothing.
    if set(classes) - {DEFAULT_CATEGORY} and not FORMATS[target].classes:
        names = first_few([f"{name}: {count}" for name, count in classes.items()])
        told.append(f"the format {target} has no classes, they are lost ({names})")
    named = [found.name for found in annotated.objects if found.name]
    if named and not FORMATS[target].names:
        told.append(f"the format {target} has no names, those of {len(named)} objects are lost ({first_few(named)})")
    return tuple(told)


def summary_of(records: Sequence[ConvertedImage], target: str) -> str:
    """Say in one line what became of all images."""
    done = [record for record in records if record.error is None]
    notes = Counter(record.image for record in done if record.notes)
    about = f", notes about {len(notes)} images" if notes else ""
    nuclei = sum(record.nuclei for record in done)
    return f"{len(done)} of {len(records)} images, {nuclei} nuclei as {target}{about}"
