"""The formats of annotations that NucDL reads and writes, and how a file is recognized."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from nucdl_core.errors import ImageError
from nucdl_core.exchange import coco, geojson, rasters, rois, tables
from nucdl_core.exchange.objects import AnnotatedObjects
from nucdl_core.exchange.sources import Reader
from nucdl_core.exchange.texts import read_json, read_text_table
from nucdl_core.files.folders import PathLike, label_images, list_folder


class AnnotationWriter(Protocol):
    """Writes the objects of images into a folder in one format."""

    def add(self, annotated: AnnotatedObjects) -> Tuple[str, ...]:
        """Write the objects of one image, or keep them for a file of all images.

        Returns
        -------
        tuple of str
            What a person must know, a sentence each.

        Raises
        ------
        ImageError
            Without the name of the image, if the format cannot hold them.
        NucDLError
            If a file cannot be written.
        """

    def finish(self) -> None:
        """Write the file of all images, where the format has one.

        Raises
        ------
        NucDLError
            If it cannot be written.
        """


@dataclass(frozen=True)
class WriteOptions:
    """What a person decides about writing annotations.

    Attributes
    ----------
    images : mapping of str to Path
        Images by their names without suffix; one mask a nucleus puts them beside the masks, and
        COCO names their files.
    cut_touching : bool
        Whether touching nuclei are parted by a gap in a binary image.
    """

    images: Mapping[str, Path] = field(default_factory=dict)
    cut_touching: bool = False


@dataclass(frozen=True)
class Format:
    """A format of annotations.

    Attributes
    ----------
    title : str
        What it is, for lists of formats.
    read : Reader
    write : callable
        Makes a `AnnotationWriter` into a folder.
    suffixes : tuple of str
        Endings of its files in small letters; none where images are folders.
    classes, names : bool
        Whether it keeps the class of a nucleus, and the name that a person gave it.
    """

    title: str
    read: Reader
    write: Callable[[Path, WriteOptions], AnnotationWriter]
    suffixes: Tuple[str, ...]
    classes: bool = False
    names: bool = False


# What `nucdl segment` and `nucdl evaluate` leave beside label images.
_COMPANIONS = ("run.json", "objects.csv", "images.csv", "evaluation.csv", "summary.json")
_RASTERS = (".tif", ".tiff", ".png")
FORMATS: Dict[str, Format] = {
    "labels": Format(
        "label images (NAME_labels.tif or NAME.tif, .png)",
        rasters.read_label_image,
        lambda folder, options: rasters.LabelWriter(folder),
        _RASTERS,
    ),
    "rois": Format(
        "ImageJ ROI sets (NAME_RoiSet.zip, NAME.zip, NAME.roi)",
        rois.read_roi_set,
        lambda folder, options: rois.RoiSetWriter(folder),
        (".zip", ".roi"),
        classes=True,
        names=True,
    ),
    "masks": Format(
        "one mask a nucleus (NAME/masks/*.png)",
        rasters.read_masks,
        lambda folder, options: rasters.MaskWriter(folder, options.images),
        (),
    ),
    "coco": Format(
        "COCO JSON (one file for many images)",
        coco.read_coco,
        lambda folder, options: coco.CocoWriter(folder, options.images),
        (".json",),
        classes=True,
        names=True,
    ),
    "geojson": Format(
        "QuPath GeoJSON (NAME.geojson)",
        geojson.read_geojson,
        lambda folder, options: geojson.GeoJsonWriter(folder),
        (".geojson", ".json"),
        classes=True,
        names=True,
    ),
    "boxes": Format(
        "boxes (CSV with x, y, width, height)",
        tables.read_boxes,
        lambda folder, options: tables.BoxWriter(folder),
        (".csv", ".tsv"),
        classes=True,
    ),
    "stack": Format(
        "stacks of label images (NAME_stack.tif)",
        rasters.read_stack,
        lambda folder, options: rasters.StackWriter(folder),
        (".tif", ".tiff"),
    ),
    "binary": Format(
        "binary images (NAME_binary.png)",
        rasters.read_binary,
        lambda folder, options: rasters.BinaryWriter(folder, options.cut_touching),
        _RASTERS,
    ),
    "outlines": Format(
        "outlines (CSV with image, object, vertex, x, y)",
        tables.read_outlines,
        lambda folder, options: tables.OutlineWriter(folder),
        (".csv", ".tsv"),
        classes=True,
    ),
}
LIST_OF_FORMATS = "; ".join(f"{name}: {each.title}" for name, each in FORMATS.items())


@dataclass(frozen=True)
class Source:
    """A file or folder that holds annotations.

    Attributes
    ----------
    path : Path
    kind : str, optional
        A key of `FORMATS`; None for what is recognized only when it is opened.
    """

    path: Path
    kind: Optional[str]

    def format(self) -> Format:
        """Return its format, which is looked for in the file where it is not known.

        Raises
        ------
        ImageError
            Without the name of the file, if the format is not certain.
        """
        return FORMATS[self.kind or recognized(self.path)]


def find_sources(inputs: Sequence[PathLike], kind: Optional[str] = None) -> List[Source]:
    """Find the annotations that files and folders stand for.

    Parameters
    ----------
    inputs : sequence of str or path
        Of a folder, the files directly in it count that have the ending of the format, and folders with one mask a
        nucleus.
    kind : str, optional
        A key of `FORMATS`; without it the format is recognized.

    Returns
    -------
    list of Source
        In the order of the inputs, sorted by name within a folder, each once.

    Raises
    ------
    ImageError
        If a folder cannot be read, has no annotations, or, without `kind`, has files of several formats.
    """
    found: List[Source] = []
    for path in map(Path, inputs):
        if not path.is_dir():
            found.append(Source(path, kind))
        elif kind is None:
            found.extend(_recognized_in(path))
        else:
            found.extend(Source(each, kind) for each in _files_in(path, kind))
    return list(dict.fromkeys(found))


def _entries(folder: Path) -> List[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ImageError(f"{folder}: the folder cannot be read ({error.strerror}); check the name") from error
    return [folder / name for name in names if not name.startswith((".", "~"))]


def _files_in(folder: Path, kind: str) -> List[Path]:
    """List what a folder has of a format."""
    if kind == "masks":
        found = [folder] if rasters.is_mask_folder(folder) else []
        found = found or [each for each in _entries(folder) if each.is_dir() and (each / "masks").is_dir()]
    elif kind == "labels":
        found = list(label_images(folder).values())
    elif kind in ("stack", "binary"):
        ending = Path(rasters.STACK_SUFFIX if kind == "stack" else rasters.BINARY_SUFFIX).stem
        found = [each for each in list_folder(folder) if each.suffix.lower() in FORMATS[kind].suffixes]
        found = [each for each in found if each.stem.endswith(ending)] or found
    else:
        found = [each for each in _entries(folder) if each.suffix.lower() in FORMATS[kind].suffixes and each.is_file()]
    if not found:
        raise ImageError(f"{folder}: the folder has no {FORMATS[kind].title}; name another one, or another format")
    return found


def _recognized_in(folder: Path) -> List[Source]:
    """List the annotations of a folder, which must be of one format."""
    if rasters.is_mask_folder(folder):
        return [Source(folder, "masks")]
    files: Dict[str, List[Path]] = {}
    for each in _entries(folder):
        if each.is_dir():
            kind: Optional[str] = "masks" if rasters.is_mask_folder(each) else None
        else:
            kind = _family(each)
        if kind is not None:
            files.setdefault(kind, []).append(each)
    if len(files) != 1:
        there = "annotations of several formats" if files else "nothing that is known to be annotations"
        examples = ", ".join(paths[0].name for paths in files.values())
        raise ImageError(
            f"{folder}: the folder has {there}{f' ({examples})' if examples else ''}; "
            f"name the format (--from). Formats are {LIST_OF_FORMATS}"
        )
    ((kind, found),) = files.items()
    if kind == "image":
        found = _label_files(folder, found)
    return [Source(each, "masks" if kind == "masks" else None) for each in found]


def _label_files(folder: Path, found: List[Path]) -> List[Path]:
    """Return the label images among image files, or all of them where their names do not say."""
    endings = ("_labels", Path(rasters.STACK_SUFFIX).stem, Path(rasters.BINARY_SUFFIX).stem)
    named = [each for each in found if each.stem.endswith(endings)]
    return named or found


def _family(path: Path) -> Optional[str]:
    """Tell by its name what a file may be; None for one that is no annotations."""
    suffix = path.suffix.lower()
    if path.name in _COMPANIONS:
        return None
    if rasters.is_raster(path):
        return "image"
    return next((name for name in ("rois", "geojson", "boxes") if suffix in FORMATS[name].suffixes), None)


def recognized(path: Path) -> str:
    """Tell the format of a file by its content.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
        A key of `FORMATS`.

    Raises
    ------
    ImageError
        Without the name of the file, if it cannot be read or its format is not certain.
    """
    family = _family(path)
    if path.is_dir() and rasters.is_mask_folder(path):
        return "masks"
    if family == "rois":
        return "rois"
    if family == "image":
        binary = path.stem.endswith(Path(rasters.BINARY_SUFFIX).stem)
        return "binary" if binary else rasters.kind_of_raster(path)
    if family == "geojson":
        content = read_json(path)
        kinds = {"coco": coco.is_coco(content), "geojson": geojson.features_in(content) is not None}
        found = [name for name, fits in kinds.items() if fits]
    elif family == "boxes":
        columns = set(read_text_table(path, ()).columns)
        # The corners of an outline are rows of one object, so that a table of boxes needs more.
        wanted = {"boxes": tables.BOX_COLUMNS, "outlines": (*tables.OUTLINE_COLUMNS, "vertex")}
        found = [name for name, needed in wanted.items() if set(needed) <= columns]
    else:
        found = []
    if len(found) != 1:
        raise ImageError(f"the format is not certain; name it (--from). Formats are {LIST_OF_FORMATS}")
    return found[0]
