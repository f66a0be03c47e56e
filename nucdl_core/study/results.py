"""What a study hands to its report: tables of its trainings and their scores, and which trainings form a grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Mapping, Sequence

from nucdl_core.errors import ConfigError, NucDLError
from nucdl_core.files.folders import PathLike

if TYPE_CHECKING:
    import pandas as pd

FACTORS = (
    "network",
    "start",
    "kinds",
    "images",
    "augmentation",
    "rescaled",
    "cycles",
    "regions",
    "simulated",
    "artificial",
)
"""What a grid may vary: columns of the table of trainings."""
TEST_PART, TRAINING_PART = "test", "training"
TABLE_FILES = {"trainings": "trainings.csv", "scores": "scores.csv", "views": "views.csv"}
_COLUMNS = {
    "trainings": ("training", *FACTORS, "replicate", "parameters", "seconds_per_image", "failed"),
    "scores": ("training", "part", "kind", "image", "mean_f1"),
    "views": ("training", "step", "none", "flips"),
}
_TEXT_COLUMNS = ("training", "network", "start", "kinds", "augmentation", "failed", "part", "kind", "image")
_NO_SCORES = "no scores of test images"


@dataclass(frozen=True)
class StudyResults:
    """What was trained, and how well it did.

    Attributes
    ----------
    trainings : pandas.DataFrame
        One row per training: "training" (its name), `FACTORS`, "replicate", "parameters", "minutes", "steps",
        "seconds_per_image", "taught_nuclei" and "failed" (why it failed, empty where it worked). The factors are
        known also of one that failed.
    scores : pandas.DataFrame
        One row per training, part and image: "training", "part" ("test", or "training" where the image taught it),
        "kind" and "image", and the columns of `all_scores.all_overlap_scores`.
    views : pandas.DataFrame
        Mean F1 on the validation images without ("none") and with ("flips") averaged views, one row per "training"
        and "step" that was looked at so; perhaps no row.
    grids : mapping of str to sequence of str
        Names of the trainings of each grid. A training may belong to several.

    Raises
    ------
    ConfigError
        If a table lacks a column, a training stands twice in the table of trainings or lacks a factor there, or a grid
        or another table names one that is not there.
    """

    trainings: pd.DataFrame
    scores: pd.DataFrame
    views: pd.DataFrame
    grids: Mapping[str, Sequence[str]]

    def __post_init__(self) -> None:
        for name, needed in _COLUMNS.items():
            missing = [column for column in needed if column not in getattr(self, name).columns]
            if missing:
                raise ConfigError(f"the table of {name} lacks {', '.join(missing)}; a study needs {', '.join(needed)}")
        names = self.trainings["training"]
        if names.duplicated().any():
            twice = names[names.duplicated()].iloc[0]
            raise ConfigError(f"{twice} stands twice in the table of trainings; give each training a name of its own")
        gaps = self.trainings[self.trainings[list(FACTORS)].isna().any(axis=1)]["training"]
        if len(gaps):
            raise ConfigError(f"{gaps.iloc[0]} lacks a factor in the table of trainings; fill in {', '.join(FACTORS)}")
        sources = {"the table of scores": self.scores["training"], "the table of views": self.views["training"]}
        sources.update({f"the grid {grid}": members for grid, members in self.grids.items()})
        for source, members in sources.items():
            unknown = sorted(set(members) - set(names))
            if unknown:
                raise ConfigError(f"{source} names {unknown[0]}, which is not in the table of trainings; add it there")


def read_results(folder: PathLike, grids: Mapping[str, Sequence[str]]) -> StudyResults:
    """Read the tables of a study from the files `TABLE_FILES`.

    Parameters
    ----------
    folder : str or path
    grids : mapping of str to sequence of str
        See `StudyResults`.

    Returns
    -------
    StudyResults

    Raises
    ------
    ConfigError
        If the tables do not fit each other.
    NucDLError
        If a file cannot be read.
    """
    return StudyResults(
        **{name: read_study_table(Path(folder) / file) for name, file in TABLE_FILES.items()}, grids=grids
    )


def read_study_table(path: Path) -> pd.DataFrame:
    """Read a table of a study as it was written.

    Raises
    ------
    NucDLError
        If the file cannot be read.
    """
    import pandas as pd

    # Names such as "001", "none" and "NA" stay what they are.
    text = dict.fromkeys(_TEXT_COLUMNS, str)
    try:
        table = pd.read_csv(path, dtype=text, keep_default_na=False, na_values={})
        # Without its defaults, pandas takes a gap among numbers for a word.
        others = [column for column in table.columns if column not in _TEXT_COLUMNS and table[column].dtype == object]
        table[others] = table[others].apply(pd.to_numeric)
    except (OSError, ValueError) as error:
        raise NucDLError(f"{path}: cannot be read as a table of a study ({error}); check the file") from error
    return table


def missing_trainings(results: StudyResults) -> Dict[str, str]:
    """Say of each training that has no scores of test images, by its name, why."""
    tested = set(results.scores["training"][results.scores["part"] == TEST_PART])
    failed = results.trainings.set_index("training")["failed"].fillna("").astype(str)
    reasons = {str(name): reason or _NO_SCORES for name, reason in failed.items() if reason or name not in tested}
    return reasons
