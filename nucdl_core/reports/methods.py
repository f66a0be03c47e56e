"""Several methods against the same truth: all scores of each image, their means, and which method is better."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from nucdl_core.arrays import Labels
from nucdl_core.errors import ConfigError
from nucdl_core.files.folders import PairOfFiles, PathLike, pair_label_images
from nucdl_core.files.reading import read_nuclei, read_partner
from nucdl_core.files.writing import make_folder, write_json, write_table
from nucdl_core.labels import relabel
from nucdl_core.overlap import Overlap, overlap
from nucdl_core.reports.folders import SCORES_NAME, SUMMARY_NAME
from nucdl_core.reports.strata import Strata, read_strata
from nucdl_core.scores.all_scores import ALL_AVERAGED, all_overlap_scores, summarize_all
from nucdl_core.scores.matching import Number
from nucdl_core.scores.significance import PairedComparison, bootstrap_interval, compare_paired, holm

if TYPE_CHECKING:
    import pandas as pd

TABLE_NAMES = (SCORES_NAME, "summary.csv", "comparisons.csv", SUMMARY_NAME)
ALL = "all"
_COMPARISON = ("category", "value", "score", "method", "other")
COMPARED_SCORES = ("mean_f1", "f1_0.50", "f1_0.70", "f1_0.90", "dsb_score", "aji", "panoptic_quality")


@dataclass(frozen=True)
class Inputs:
    """What is compared.

    Attributes
    ----------
    truth : str or path
        Folder of true label images, see `folders.evaluate_folders`.
    predictions : sequence of (str, str or path)
        Name of each method and the folder of its label images.
    strata : str, path or None
        Table of categories, see `strata.read_strata`.
    allow_missing : bool
        Whether a prediction may be missing; it counts as one without nuclei then.

    Raises
    ------
    ConfigError
        If there is no prediction, or two have the same name or one has none.
    """

    truth: PathLike
    predictions: Sequence[Tuple[str, PathLike]]
    strata: Optional[PathLike] = None
    allow_missing: bool = False

    def __post_init__(self) -> None:
        names = [name for name, _ in self.predictions]
        if not names:
            raise ConfigError("there is nothing to compare with the truth; give at least one folder of predictions")
        for name in names:
            if not name.strip():
                raise ConfigError("a prediction has no name; give NAME=FOLDER")
            if names.count(name) > 1:
                folders = " and ".join(str(folder) for other, folder in self.predictions if other == name)
                raise ConfigError(f"two predictions are called {name!r} ({folders}); give each a name of its own")


class LabelPair(NamedTuple):
    """An image as one method segmented it, and its truth; both numbered 1..N without gaps.

    ``missing`` tells that there was no prediction, so that an empty one stands for it.
    """

    image: str
    method: str
    truth: Labels
    prediction: Labels
    overlap: Overlap
    missing: bool


@dataclass(frozen=True)
class Evaluation:
    """Scores of several methods.

    Attributes
    ----------
    scores : pandas.DataFrame
        One row per method and image: ``method``, ``image``, the categories, ``missing`` (whether there was no
        prediction), ``truth_cover`` (share of the pixels that true nuclei cover) and the scores of
        `all_scores.all_overlap_scores`.
    means : pandas.DataFrame
        One row per method and group of images: ``method``, ``category``, ``value`` (both ``all`` for all images),
        the means and sums of `all_scores.summarize_all`, and the bounds ``SCORE_low`` and ``SCORE_high`` of the 95 %
        bootstrap confidence interval of each mean.
    comparisons : pandas.DataFrame
        One row per group of images, score and pair of methods: ``category``, ``value``, ``score``, ``method``,
        ``other``, the fields of `significance.PairedComparison`, and ``p_holm``, corrected over the pairs of methods.
    strata : Strata or None
    """

    scores: pd.DataFrame
    means: pd.DataFrame
    comparisons: pd.DataFrame
    strata: Optional[Strata] = None

    @property
    def methods(self) -> List[str]:
        """Names of the methods, in the order in which they were given."""
        return list(dict.fromkeys(self.scores["method"]))

    @property
    def missing(self) -> Dict[str, List[str]]:
        """Images without prediction, by method."""
        absent = self.scores[self.scores["missing"]]
        return {name: list(absent["image"][absent["method"] == name]) for name in dict.fromkeys(absent["method"])}

    def overall(self, method: str) -> Dict[str, Any]:
        """Row of `means` for a method on all images."""
        rows = self.means[(self.means["method"] == method) & (self.means["category"] == ALL)]
        return {str(name): value for name, value in rows.iloc[0].items()}


def evaluate_methods(inputs: Inputs, look: Optional[Callable[[LabelPair], None]] = None) -> Evaluation:
    """Score several methods against the same truth and compare them with each other.

    Parameters
    ----------
    inputs : Inputs
    look : callable, optional
        Called with each pair of label images after it was scored, image by image.

    Returns
    -------
    Evaluation

    Raises
    ------
    ImageError
        Naming the folder or file, see `folders.evaluate_folders`.
    ConfigError
        If the table of categories cannot be used.
    """
    import pandas as pd

    files = pair_methods(inputs)
    images = list(next(iter(files.values())))
    strata = None if inputs.strata is None else read_strata(inputs.strata, images)
    rows = []
    for pair in label_pairs(files):
        rows.append(_scores(pair))
        if look is not None:
            look(pair)
    scores = pd.DataFrame(rows)
    # All images of a method in one block, the methods in the order in which they were given.
    order = {name: position for position, name in enumerate(files)}
    scores = scores.sort_values("method", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    if strata is not None:
        _refuse_taken_names(strata, scores, inputs)
        scores = (
            scores[["method", "image"]].merge(strata.table, on="image").join(scores.drop(columns=["method", "image"]))
        )
    groups = list(_groups(scores, strata))
    return Evaluation(scores, _means(groups), _comparisons(groups, list(files)), strata)


def pair_methods(inputs: Inputs) -> Dict[str, Dict[str, PairOfFiles]]:
    """Find truth and prediction of each image (sorted by stem) for each method, see `folders.pair_label_images`."""
    return {name: pair_label_images(inputs.truth, folder, inputs.allow_missing) for name, folder in inputs.predictions}


def label_pairs(files: Dict[str, Dict[str, PairOfFiles]]) -> Iterator[LabelPair]:
    """Read the label images of all methods, image by image, so that each truth is read once.

    Parameters
    ----------
    files : dict of str to dict of str to (Path, Path or None)
        See `pair_methods`.

    Yields
    ------
    LabelPair

    Raises
    ------
    ImageError
        Naming the file, if one cannot be read or has another shape than its truth.
    """
    for image in next(iter(files.values())):
        for method, pairs in files.items():
            truth_file, file = pairs[image]
            if method == next(iter(files)):
                truth = relabel(read_nuclei(truth_file))
            prediction = relabel(read_partner(file, truth_file, truth))
            yield LabelPair(image, method, truth, prediction, overlap(truth, prediction), file is None)


def _scores(pair: LabelPair) -> Dict[str, Any]:
    cover = float(pair.overlap.first_areas.sum() / max(pair.truth.size, 1))
    scores = all_overlap_scores(pair.overlap, pair.truth.size)
    return {"method": pair.method, "image": pair.image, "missing": pair.missing, "truth_cover": cover, **scores}


def _refuse_taken_names(strata: Strata, scores: pd.DataFrame, inputs: Inputs) -> None:
    taken = [name for name in strata.kinds if name in (*scores.columns, "category", "value", ALL)]
    if taken:
        raise ConfigError(f"{inputs.strata}: the column {taken[0]!r} has the name of a result; rename it")


class _Group(NamedTuple):
    """Images of one category."""

    category: str
    value: str
    scores: pd.DataFrame


def _groups(scores: pd.DataFrame, strata: Optional[Strata]) -> Iterator[_Group]:
    yield _Group(ALL, ALL, scores)
    for kind in strata.kinds if strata is not None else ():
        for value in sorted(scores[kind].unique()):
            yield _Group(kind, value, scores[scores[kind] == value])


def _means(groups: Sequence[_Group]) -> pd.DataFrame:
    import pandas as pd

    rows: List[Dict[str, Any]] = []
    for group in groups:
        for method, table in group.scores.groupby("method", sort=False):
            bounds = bootstrap_interval(table[list(ALL_AVERAGED)].to_numpy(np.float64))
            row: Dict[str, Any] = {"method": method, "category": group.category, "value": group.value}
            row.update(summarize_all(table), missing_predictions=int(table["missing"].sum()))
            for name, low, high in zip(ALL_AVERAGED, *bounds):
                row[f"{name}_low"], row[f"{name}_high"] = float(low), float(high)
            rows.append(row)
    return pd.DataFrame(rows)


def _comparisons(groups: Sequence[_Group], methods: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    if len(methods) == 1:
        return pd.DataFrame(columns=[*_COMPARISON, *(part.name for part in fields(PairedComparison)), "p_holm"])
    tables = []
    for group in groups:
        for score in COMPARED_SCORES:
            wide = group.scores.pivot(index="image", columns="method", values=score)
            rows: List[Dict[str, Any]] = []
            for method, other in combinations(methods, 2):
                found = compare_paired(wide[method].to_numpy(), wide[other].to_numpy())
                own = zip(_COMPARISON, (group.category, group.value, score, method, other))
                rows.append({**dict(own), **asdict(found)})
            table = pd.DataFrame(rows)
            table["p_holm"] = holm(table["p_value"].to_numpy())
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def write_method_tables(folder: PathLike, evaluation: Evaluation) -> None:
    """Write ``evaluation.csv``, ``summary.csv``, ``comparisons.csv`` and ``summary.json``.

    Parameters
    ----------
    folder : str or path
        Made where it does not exist; files of these names are replaced.
    evaluation : Evaluation

    Raises
    ------
    NucDLError
        If the folder cannot be made or a file cannot be written.
    """
    make_folder(folder)
    overall: Dict[str, Dict[str, Number]] = {name: evaluation.overall(name) for name in evaluation.methods}
    for name, table in zip(TABLE_NAMES, (evaluation.scores, evaluation.means, evaluation.comparisons)):
        write_table(Path(folder, name), table)
    write_json(Path(folder, SUMMARY_NAME), overall)


def comparison_text(evaluation: Evaluation) -> str:
    """Render the main scores of all methods, and how they compare, as text.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    str
        Lines without a final line break.
    """
    import pandas as pd

    rows = []
    for method in evaluation.methods:
        row = evaluation.overall(method)
        rows.append(
            {
                "method": method,
                "mean F1 [95 %]": f"{row['mean_f1']:.3f} [{row['mean_f1_low']:.3f}, {row['mean_f1_high']:.3f}]",
                **{f"F1 at {level}": f"{row[f'f1_{level}']:.3f}" for level in ("0.50", "0.70", "0.90")},
                "DSB": f"{row['dsb_score']:.3f}",
                "missed": f"{row['missed_0.70']} ({row['missed_share_0.70']:.1%})",
                "merges": str(row["merges"]),
                "splits": str(row["splits"]),
            }
        )
    # The names of the methods as the index, which is aligned to the left.
    scores = pd.DataFrame(rows).set_index("method").rename_axis(index=None, columns="method")
    lines = [scores.to_string()]
    table = evaluation.comparisons
    if len(table):
        main = table[(table["category"] == ALL) & (table["score"] == "mean_f1")]
        lines += ["", *(_sentence(row) for row in main.to_dict("records"))]
    return "\n".join(lines)


def _sentence(row: Dict[str, Any]) -> str:
    return (
        f"{row['method']} against {row['other']}: mean F1 {row['difference']:+.3f} "
        f"[{row['low']:+.3f}, {row['high']:+.3f}], "
        f"better on {row['better']} and worse on {row['worse']} of {row['images']} images, "
        f"Wilcoxon p = {row['p_value']:.2g}, rank-biserial {row['rank_biserial']:+.2f}"
    )
