"""Which files of a folder are images and label images, and which of them belong together."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence, Tuple, Union

from nucdl_core.errors import ImageError
from nucdl_core.extras import EXTRAS, install_line

_LOGGER = logging.getLogger(__name__)

PathLike = Union[str, "os.PathLike[str]"]

PairOfFiles = Tuple[Path, Optional[Path]]
"""A true label image and the prediction for it, None where that is missing."""

ImageWithLabels = Tuple[Optional[Path], Optional[Path]]
"""An image and its label image, None where one of them is missing."""

LABEL_SUFFIX = "_labels.tif"
IMAGE_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".flex", ".lsm", ".png", ".jpg", ".jpeg", ".bmp", ".gif")
OTHER_SUFFIXES = (
    *(".czi", ".dv", ".heic", ".ims", ".jp2", ".lif", ".mrxs", ".nd2", ".ndpi", ".oib", ".oif", ".r3d", ".scn"),
    *(".stk", ".svs", ".vsi", ".webp", ".zvi"),
)
"""Images that are not read, or only with a package; a person hears of them where a folder is listed."""
FOLDER_SUFFIXES = (".zarr",)
"""Images that are folders."""
_NAMED_AT_MOST = 3
_ADVICE = "export them as TIFF"

_LABEL_ENDING = Path(LABEL_SUFFIX).stem
_LABEL_SUFFIXES = (".tif", ".tiff", ".png")


def image_stem(path: PathLike) -> str:
    """Return what an image and its label image have in common in their names.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    str
        The name without its last suffix and without ``_labels``.
    """
    stem = Path(path).stem
    return stem.removesuffix(_LABEL_ENDING)


def image_files(paths: Iterable[PathLike], recursive: bool = False, more: Sequence[str] = ()) -> List[Path]:
    """List the images that files and folders stand for; what is left out in a folder is named in the log.

    Parameters
    ----------
    paths : iterable of str or path
        A file is listed even if it does not exist, so that reading it can report what is wrong. Of a folder, the
        files directly in it with the suffix of an image (`IMAGE_SUFFIXES`, capital letters included) are listed,
        without hidden and temporary files and without label images (`LABEL_SUFFIX`).
    recursive : bool
        Whether the folders in a folder count as well; hidden ones do not.
    more : sequence of str
        Suffixes of other files in folders that the caller can read.

    Returns
    -------
    list of Path
        In the order of `paths`, sorted by name within a folder, each file once.

    Raises
    ------
    ImageError
        If a folder cannot be read or has no images.
    """
    files: List[Path] = []
    for path in map(Path, paths):
        if path.is_dir() and not _is_image(path):
            folders = _folders_in(path) if recursive else [path]
            suffixes = (*OTHER_SUFFIXES, *FOLDER_SUFFIXES, *more)
            listed = [file for folder in folders for file in list_folder(folder, suffixes)]
            readable = [file for file in listed if file.suffix.lower() in (*IMAGE_SUFFIXES, *more)]
            others = [file for file in listed if file not in readable]
            inside = [file for file in readable if not file.stem.endswith(_LABEL_ENDING)]
            if not inside:
                there = f"; {_left_out(others)}" if others else "; name another one"
                raise ImageError(f"{path}: the folder has no images ({', '.join(IMAGE_SUFFIXES)}){there}")
            if others:
                _LOGGER.warning("%s: %s", path, _left_out(others))
            files.extend(inside)
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def _is_image(folder: Path) -> bool:
    """Tell whether a folder is an OME-Zarr or a part of one."""
    return folder.suffix.lower() in FOLDER_SUFFIXES or (folder / ".zattrs").is_file()


def _folders_in(folder: Path) -> List[Path]:
    """List a folder and all folders in it, sorted, without hidden ones."""
    found = []
    for place, names, _ in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith(".") and not name.endswith(FOLDER_SUFFIXES))
        found.append(Path(place))
    return found


def _left_out(files: Sequence[Path]) -> str:
    names = ", ".join(file.name for file in files[:_NAMED_AT_MOST])
    found = {file.suffix.lower().lstrip(".") for file in files}
    lines = [f"nucdl segment reads .{kind} with {install_line(kind)}" for kind in sorted(found & set(EXTRAS))]
    return f"{len(files)} files are left out, since they cannot be read ({names}); {'; '.join([*lines, _ADVICE])}"


def list_folder(folder: PathLike, more: Sequence[str] = ()) -> List[Path]:
    """List the image files in a folder, label images included.

    Parameters
    ----------
    folder : str or path
    more : sequence of str
        Suffixes of other files that are to be listed; of those in `FOLDER_SUFFIXES`, folders.

    Returns
    -------
    list of Path
        Sorted by name, without hidden (``.name``) and temporary (``~name``, ``name~``) files and subfolders.

    Raises
    ------
    ImageError
        If the folder is missing or cannot be read.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ImageError(f"{folder}: the folder cannot be read ({error.strerror}); check the name") from error
    files = [Path(folder, name) for name in names if not name.startswith((".", "~"))]
    listed = [file for file in files if file.suffix.lower() in (*IMAGE_SUFFIXES, *more)]
    return [file for file in listed if file.is_dir() == (file.suffix.lower() in FOLDER_SUFFIXES)]


def pair_label_images(
    truth_dir: PathLike, prediction_dir: PathLike, allow_missing: bool = False
) -> Dict[str, PairOfFiles]:
    """Pair the label images of a folder with those of the same image in another folder.

    Parameters
    ----------
    truth_dir, prediction_dir : str or path
        See `reports.folders.evaluate_folders`.
    allow_missing : bool
        Whether a prediction may be missing.

    Returns
    -------
    dict of str to (Path, Path or None)
        Truth and prediction by the stem of the image, sorted; None for a missing prediction.

    Raises
    ------
    ImageError
        Naming the folder or file, if a folder has no label images, or an image is missing in one folder or is in
        it twice.
    """
    truths, predictions = label_images(Path(truth_dir)), label_images(Path(prediction_dir))
    missing_predictions = set() if allow_missing else set(truths) - set(predictions)
    for missing, files, folder in (
        (missing_predictions, truths, prediction_dir),
        (set(predictions) - set(truths), predictions, truth_dir),
    ):
        if missing:
            first = min(missing)
            others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            names = f"{first}{LABEL_SUFFIX}, {first}.tif, .tiff or .png"
            raise ImageError(f"{files[first]}{others}: no {names} in {folder}; add what is missing there")
    return {stem: (truths[stem], predictions.get(stem)) for stem in sorted(truths)}


def label_images(folder: Path) -> Dict[str, Path]:
    """Find the label images of a folder, by the stem of the image that each belongs to."""
    files = [file for file in list_folder(folder) if file.suffix.lower() in _LABEL_SUFFIXES]
    files = [file for file in files if file.stem.endswith(_LABEL_ENDING)] or files
    if not files:
        raise ImageError(f"{folder}: the folder has no label images ({', '.join(_LABEL_SUFFIXES)}); name another one")
    images: Dict[str, Path] = {}
    for file in files:
        stem = image_stem(file)
        if stem in images:
            raise ImageError(f"{file}: {images[stem].name} beside it is the same image; remove one of the two")
        images[stem] = file
    return images


def pair_images_with_labels(images: Path, labels: Path) -> List[ImageWithLabels]:
    """Find the label image of each image.

    Parameters
    ----------
    images, labels : Path
        Folders. The label image of ``NAME.png`` is ``NAME_labels.tif`` or ``NAME.tif``, with the suffix ``.tif``,
        ``.tiff`` or ``.png``. Where the folder of label images has names that end in ``_labels`` only these count,
        so that it may be the folder of the images.

    Returns
    -------
    list of (Path or None, Path or None)
        Image and label image, sorted by name; None where one has no partner.

    Raises
    ------
    ImageError
        If a folder has no images, or two of them have the same name.
    """
    files = image_files([images])
    refuse_same_names(files)
    image_of, objects_of = {image_stem(file): file for file in files}, label_images(labels)
    stems = sorted({*image_of, *objects_of})
    return [(image_of.get(stem), objects_of.get(stem)) for stem in stems]


def refuse_same_names(files: Sequence[Path]) -> None:
    """Raise an `ImageError` if the label images of two files would have the same name."""
    first: Dict[str, Path] = {}
    for path in files:
        other = first.setdefault(path.stem, path)
        if other is not path:
            raise ImageError(
                f"{other} and {path} would both be written to {path.stem}{LABEL_SUFFIX}; rename one, or segment them "
                "into different folders"
            )
