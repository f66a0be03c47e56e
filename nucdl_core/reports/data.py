"""What a report shows beside the scores: each nucleus with its error class, the time per image, chosen images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

import numpy as np

from nucdl_core.errors import ConfigError, ImageError
from nucdl_core.files.folders import PathLike, image_files, image_stem
from nucdl_core.labels import centroids
from nucdl_core.reports.methods import Evaluation, LabelPair
from nucdl_core.reports.strata import stems_of
from nucdl_core.scores.object_errors import ErrorClass, object_errors

if TYPE_CHECKING:
    import pandas as pd

_SIDES = ("truth", "prediction")
RUN_RECORD = "run.json"
TIME_COLUMNS = ("method", "image", "seconds")


class NucleusCollector:
    """Collects the nuclei of all pairs of label images; pass it to `methods.evaluate_methods`."""

    def __init__(self) -> None:
        self._tables: List[pd.DataFrame] = []

    def __call__(self, pair: LabelPair) -> None:
        """Add the nuclei of both label images.

        Parameters
        ----------
        pair : LabelPair
        """
        import pandas as pd

        errors = object_errors(pair.overlap)
        areas = pair.overlap.first_areas, pair.overlap.second_areas
        for side, found, size, labels in zip(_SIDES, errors, areas, (pair.truth, pair.prediction)):
            centres = centroids(labels)
            columns = {
                "method": pair.method,
                "image": pair.image,
                "side": side,
                "x": centres[:, 1].round(1),
                "y": centres[:, 0].round(1),
                "diameter": np.sqrt(size * (4 / np.pi)).round(2),
                "iou": found.iou.round(4),
                "error": np.array([kind.name.lower() for kind in ErrorClass])[found.error],
            }
            self._tables.append(pd.DataFrame(columns))

    def table(self) -> pd.DataFrame:
        """Return all nuclei that were added.

        Returns
        -------
        pandas.DataFrame
            One row per nucleus: ``method``, ``image``, ``side`` (``truth`` or ``prediction``), ``x`` and ``y`` of the
            centre and ``diameter`` in pixels, ``iou`` with its best partner, ``error`` (class of
            `object_errors.object_errors`).
        """
        import pandas as pd

        return pd.concat(self._tables, ignore_index=True)


def image_times(
    predictions: Sequence[Tuple[str, PathLike]], images: Sequence[str], path: Optional[PathLike] = None
) -> pd.DataFrame:
    """Find out how long each method took for each image.

    Parameters
    ----------
    predictions : sequence of (str, str or path)
        Name of each method and the folder of its label images, in which ``run.json`` of `nucdl segment` may lie.
    images : sequence of str
        Stems of the images; others are left out.
    path : str or path, optional
        CSV file with the columns ``method``, ``image`` and ``seconds``; the methods in it need no ``run.json``.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``image``, ``seconds``; no row where no time is known.

    Raises
    ------
    ConfigError
        Naming the file, if it cannot be read or lacks a column.
    """
    import pandas as pd

    given = pd.DataFrame(columns=list(TIME_COLUMNS)) if path is None else _read_times(path, images)
    known = set(given["method"])
    rows = [
        (name, image, seconds)
        for name, folder in predictions
        if name not in known
        for image, seconds in _recorded_times(Path(folder, RUN_RECORD)).items()
    ]
    tables = [table for table in (given, pd.DataFrame(rows, columns=list(TIME_COLUMNS))) if len(table)]
    if not tables:
        return given
    times = pd.concat(tables, ignore_index=True)
    names = [name for name, _ in predictions]
    chosen = times[times["image"].isin(images) & times["method"].isin(names)]
    return chosen.astype({"seconds": "float64"}).reset_index(drop=True)


def _read_times(path: PathLike, images: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"method": str, "image": str, "seconds": float})
        times = table[list(TIME_COLUMNS)].copy()
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"{path}: the times cannot be read ({error}); give a CSV file with the columns {', '.join(TIME_COLUMNS)}"
        ) from error
    times["image"] = stems_of(times["image"], images)
    return times


def _recorded_times(path: Path) -> Dict[str, float]:
    """Read the seconds per image from the record of a run of `nucdl segment`; empty where there is none."""
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        results = [result for result in record["results"] if result["error"] is None]
        return {image_stem(result["file"]): float(result["seconds"]) for result in results}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: this is no record of nucdl segment ({error!r}); move the file away") from error


def image_files_by_stem(folder: PathLike, images: Sequence[str]) -> Dict[str, Path]:
    """Find the file of each image.

    Parameters
    ----------
    folder : str or path
    images : sequence of str
        Stems of the images that are needed.

    Returns
    -------
    dict of str to Path

    Raises
    ------
    ImageError
        Naming folder and image, if one is missing, or two have the same name.
    """
    files: Dict[str, Path] = {}
    for file in image_files([folder]):
        if file.stem in files and file.stem in images:
            raise ImageError(f"{file}: {files[file.stem].name} beside it has the same name; remove one of the two")
        files[file.stem] = file
    missing = [image for image in images if image not in files]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ImageError(f"{folder}: there is no image {missing[0]}{others} for the label image of this name; add it")
    return {image: files[image] for image in images}


def choose_images(evaluation: Evaluation, count: int = 3) -> Dict[str, List[str]]:
    """Choose images to look at by their mean F1, averaged over the methods.

    Parameters
    ----------
    evaluation : Evaluation
    count : int
        Images of each kind; fewer where there are not enough.

    Returns
    -------
    dict of str to list of str
        Stems of the ``worst`` images (the worst first), of the ``best`` ones, of ``typical`` ones (those nearest to
        the median) and, of several methods, of those on which the methods ``differ`` most. Each image once.
    """
    wide = evaluation.scores.pivot(index="image", columns="method", values="mean_f1")
    score = wide.mean(axis=1).sort_values(kind="stable")
    count = max(1, min(count, len(score) // 4))
    rankings = {
        "worst": list(score.index),
        "best": list(score.index[::-1]),
        "typical": list((score - score.median()).abs().sort_values(kind="stable").index),
    }
    if len(wide.columns) > 1:
        spread = wide.max(axis=1) - wide.min(axis=1)
        rankings["differ"] = list(spread[spread > 0].sort_values(ascending=False, kind="stable").index)
    chosen: Dict[str, List[str]] = {}
    taken: set[str] = set()
    for kind, ranking in rankings.items():
        chosen[kind] = [image for image in ranking if image not in taken][:count]
        taken.update(chosen[kind])
    return {kind: images for kind, images in chosen.items() if images}
