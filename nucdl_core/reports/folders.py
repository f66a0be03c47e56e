"""Comparing a folder of segmentations with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Tuple

from nucdl_core.files.folders import PathLike, pair_label_images
from nucdl_core.files.reading import read_nuclei, read_partner
from nucdl_core.files.writing import make_folder, write_json, write_table
from nucdl_core.scores.matching import Number, image_scores, summarize

if TYPE_CHECKING:
    import pandas as pd

SCORES_NAME = "evaluation.csv"
SUMMARY_NAME = "summary.json"


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
        `matching.image_scores` describes.
    summary : dict of str to int or float
        See `matching.summarize`.

    Raises
    ------
    ImageError
        Naming the folder or file, if a folder has no label images, or an image is missing in one folder, is in it
        twice, cannot be read, or has another shape than its partner.
    """
    import pandas as pd

    rows: List[Dict[str, object]] = []
    for stem, (truth, prediction) in pair_label_images(truth_dir, prediction_dir).items():
        labels = read_nuclei(truth)
        rows.append({"image": stem, **image_scores(labels, read_partner(prediction, truth, labels))})
    table = pd.DataFrame(rows)
    return table, summarize(table)


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
    write_table(Path(folder, SCORES_NAME), table)
    write_json(Path(folder, SUMMARY_NAME), summary)


def summary_text(summary: Dict[str, Number]) -> str:
    """Render a summary as a short text table.

    Parameters
    ----------
    summary : dict of str to int or float
        As `matching.summarize` returns it.

    Returns
    -------
    str
        Lines of a label and a value, aligned, without a final line break.
    """
    import pandas as pd

    lines = {
        "images": f"{summary['images']}",
        "nuclei: truth / prediction": f"{summary['n_truth']} / {summary['n_prediction']}",
        "mean F1 (IoU 0.50 to 0.95)": f"{summary['mean_f1']:.3f}",
        **{f"F1 at IoU {level}": f"{summary[f'f1_{level}']:.3f}" for level in ("0.50", "0.70", "0.90")},
        "DSB score": f"{summary['dsb_score']:.3f}",
        "missed at IoU 0.70": f"{summary['missed_0.70']} ({summary['missed_share_0.70']:.1%})",
        "merges / splits": f"{summary['merges']} / {summary['splits']}",
    }
    return pd.Series(lines).to_string()
