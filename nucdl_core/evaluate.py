"""Comparing a folder of segmentations with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

import numpy as np

from nucdl_core.arrays import Labels
from nucdl_core.errors import ImageError
from nucdl_core.files import (
    LABEL_SUFFIX,
    PathLike,
    image_stem,
    list_folder,
    make_folder,
    read_labels,
    write_json,
    write_table,
)
from nucdl_core.metrics import Number, image_scores, summarize

if TYPE_CHECKING:
    import pandas as pd

PairOfFiles = Tuple[Path, Optional[Path]]

TABLE_NAME = "evaluation.csv"
SUMMARY_NAME = "summary.json"
_LABEL_ENDING = Path(LABEL_SUFFIX).stem
_LABEL_SUFFIXES = (".tif", ".tiff", ".png")


def evaluate_folders(truth_dir: PathLike, prediction_dir: PathLike) -> Tuple[pd.DataFrame, Dict[str, Number]]:
    """Score all label images of a folder against those of the same name in another folder.

    Parameters
    ----------
    truth_dir, prediction_dir : str or path
        Folders of label images. ``NAME_labels.tif`` and ``NAME.tif`` are the same image, as are the suffixes
        ``.tif``, ``.tiff`` and ``.png``. Where a folder has names that end in ``_labels``, only these count, so
        that images and overlays may lie beside them.

    Returns
    -------
    table : pandas.DataFrame
        One row per image, sorted by name: ``image`` (the name without suffix) and the scores that
        `nucdl_core.metrics.image_scores` describes.
    summary : dict of str to int or float
        See `nucdl_core.metrics.summarize`.

    Raises
    ------
    ImageError
        Naming the folder or file, if a folder has no label images, an image is missing on one side or there
        twice, cannot be read, or has another shape than its partner.
    """
    import pandas as pd

    rows: List[Dict[str, object]] = []
    for stem, (truth, prediction) in pair_files(truth_dir, prediction_dir).items():
        labels = read_labels(truth)
        rows.append({"image": stem, **image_scores(labels, read_partner(prediction, truth, labels))})
    table = pd.DataFrame(rows)
    return table, summarize(table)


def pair_files(truth_dir: PathLike, prediction_dir: PathLike, allow_missing: bool = False) -> Dict[str, PairOfFiles]:
    """Pair the label images of a folder with those of the same image in another folder.

    Parameters
    ----------
    truth_dir, prediction_dir : str or path
        See `evaluate_folders`.
    allow_missing : bool
        Whether a prediction may be missing.

    Returns
    -------
    dict of str to (Path, Path or None)
        Truth and prediction by the stem of the image, sorted; None for a missing prediction.

    Raises
    ------
    ImageError
        Naming the folder or file, if a folder has no label images, or an image is missing on one side or there
        twice.
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
            raise ImageError(f"{files[first]}{others}: no {names} in {folder}")
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


def read_partner(path: Optional[Path], truth: Path, labels: Labels) -> Labels:
    """Read the prediction for a true label image.

    Parameters
    ----------
    path : Path or None
        The predicted label image; None for one that is missing and counts as empty.
    truth : Path
        File of the true label image.
    labels : int32 array (H, W)
        Its content.

    Returns
    -------
    int32 array (H, W)

    Raises
    ------
    ImageError
        Naming the files, if the prediction cannot be read or has another shape than the truth.
    """
    if path is None:
        return np.zeros_like(labels)
    prediction = read_labels(path)
    if prediction.shape != labels.shape:
        raise ImageError(
            f"{path} against {truth}: {prediction.shape} and {labels.shape} differ in shape (H, W); "
            "compare label images of the same field at the same scale"
        )
    return prediction


def write_evaluation(folder: PathLike, table: pd.DataFrame, summary: Dict[str, Number]) -> None:
    """Write the result of an evaluation as ``evaluation.csv`` and ``summary.json``.

    Parameters
    ----------
    folder : str or path
        Made where it does not exist; files of these names are replaced.
    table : pandas.DataFrame
        One row per image.
    summary : dict of str to int or float

    Raises
    ------
    NucDLError
        If the folder cannot be made or a file cannot be written.
    """
    make_folder(folder)
    write_table(Path(folder, TABLE_NAME), table)
    write_json(Path(folder, SUMMARY_NAME), summary)


def summary_text(summary: Dict[str, Number]) -> str:
    """Render a summary as a short text table.

    Parameters
    ----------
    summary : dict of str to int or float
        As `nucdl_core.metrics.summarize` returns it.

    Returns
    -------
    str
        Lines of a label and a value, aligned, without a final line break.
    """
    lines = [
        ("images", f"{summary['images']}"),
        ("nuclei: truth / prediction", f"{summary['n_truth']} / {summary['n_prediction']}"),
        ("mean F1 (IoU 0.50 to 0.95)", f"{summary['mean_f1']:.3f}"),
        *((f"F1 at IoU {level}", f"{summary[f'f1_{level}']:.3f}") for level in ("0.50", "0.70", "0.90")),
        ("DSB score", f"{summary['dsb_score']:.3f}"),
        ("missed at IoU 0.70", f"{summary['missed_0.70']} ({summary['missed_share_0.70']:.1%})"),
        ("merges / splits", f"{summary['merges']} / {summary['splits']}"),
    ]
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    return "\n".join(f"{label:<{widths[0]}}  {value:>{widths[1]}}" for label, value in lines)
