"""Categories of images (specimen, preparation, challenge, size ...), read from a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Iterable, List, Sequence, Tuple

from nucdl_core.errors import ConfigError
from nucdl_core.files.folders import PathLike, image_stem

if TYPE_CHECKING:
    import pandas as pd

NAME_COLUMNS = ("image", "id")
MAX_CATEGORIES = 20


@dataclass(frozen=True)
class Strata:
    """Categories of images.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per image, in the order that was asked for: ``image`` and one column of str per kind of category.
    left_out : tuple of str
        Columns with more than `MAX_CATEGORIES` different values, which are not taken for categories.
    """

    table: pd.DataFrame
    left_out: Tuple[str, ...] = ()

    @property
    def kinds(self) -> Tuple[str, ...]:
        """Names of the columns with categories."""
        return tuple(name for name in self.table.columns if name != "image")


def read_strata(path: PathLike, images: Sequence[str]) -> Strata:
    """Read the categories of images from a CSV file.

    Parameters
    ----------
    path : str or path
        CSV file in UTF-8 with a column ``image`` or ``id`` (names of images, with or without suffix) and one column
        per kind of category. An empty cell is the category ``unknown``. Other images may be in it, too.
    images : sequence of str
        Stems of the images to look up.

    Returns
    -------
    Strata

    Raises
    ------
    ConfigError
        Naming the file, if it cannot be read, has no column of names or categories, or holds an image not at all or
        twice.
    """
    table = _read(path)
    names = next((name for name in NAME_COLUMNS if name in table.columns), None)
    if names is None:
        raise ConfigError(f"{path}: the table has no column 'image' or 'id'; add one with the names of the images")
    table = table.rename(columns={names: "image"})
    table["image"] = stems_of(table["image"], images)
    twice = table["image"][table["image"].duplicated() & table["image"].isin(images)]
    if len(twice):
        raise ConfigError(f"{path}: the image {twice.iloc[0]} is in the table twice; keep one of its rows")
    missing = sorted(set(images) - set(table["image"]))
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ConfigError(f"{path}: the image {missing[0]}{others} is not in the table; add a row for it")
    chosen = table.set_index("image").loc[list(images)].replace("", "unknown")
    many = tuple(str(name) for name in chosen.columns if chosen[name].nunique() > MAX_CATEGORIES)
    chosen = chosen.drop(columns=list(many))
    if not len(chosen.columns):
        raise ConfigError(
            f"{path}: no column holds categories (at most {MAX_CATEGORIES} different values); add a column such as "
            "'specimen'"
        )
    return Strata(chosen.reset_index(), many)


def stems_of(names: Iterable[str], images: Sequence[str]) -> List[str]:
    """Give the stems of images that are named with or without suffix; a stem may hold a point itself."""
    known = set(images)
    return [name if name in known else image_stem(name) for name in names]


def _read(path: PathLike) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ConfigError(f"{path}: the table cannot be read ({error}); give a CSV file in UTF-8") from error
