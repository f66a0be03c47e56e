"""A simulated plate as files: images in the usual naming, truth, and a CSV for CellProfiler's LoadData."""

from __future__ import annotations

import string
from fnmatch import fnmatch
from pathlib import Path
from typing import List, Sequence, Tuple

import numpy as np
import pandas as pd

from nucdl_core.config import require
from nucdl_core.files.folders import LABEL_SUFFIX
from nucdl_core.files.writing import replaced_folder, write_grey, write_json, write_labels, write_table
from nucdl_core.simulate.field import FieldConfig, screen_config
from nucdl_core.simulate.image import simulate_field

PLATE_MARKER = "simulation.json"
"""File that tells that a folder was written by `simulate_plate` and may be overwritten by it."""
PLATE_NAME = "Plate"
SITES = 4
"""Sites per well, as long as the wells suffice."""
WELL_PLATES = ((8, 12), (16, 24))
"""Rows and columns of the well plates, the smallest that suffices is used."""
MAX_FIELDS = 1_000_000


def simulate_plate(
    folder: Path,
    fields: int,
    size: Tuple[int, int] = (520, 696),
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate a plate and write it.

    It writes `images/Plate_A01_s1_w1.tif` (uint16), `labels/Plate_A01_s1_w1_labels.tif`, `load_data.csv` for
    CellProfiler's LoadData (with absolute paths), `truth.csv` (the table that is returned) and `simulation.json`.
    The wells differ in size, shape and density of the nuclei, the sites in density and focus. A field depends on
    the seed and its number only, not on how many there are.

    Parameters
    ----------
    folder : Path
        Made if missing; must be empty or hold a former simulated plate, whose files are replaced once the new plate is
        complete. Other files in it are kept.
    fields : int
        Number of images in all, filling well after well.
    size : (int, int)
        Height and width of the images in pixels.
    seed : int
        From 0 on; the same seed gives the same plate.

    Returns
    -------
    pandas.DataFrame
        One row per image: its file, the label image's file, plate, well, site, number of nuclei and their median
        equivalent diameter in pixels (NaN without nuclei).

    Raises
    ------
    ConfigError
        If a setting is out of range, or the folder holds anything but a former simulated plate.
    NucDLError
        If something cannot be written.
    """
    require(1 <= fields <= MAX_FIELDS, f"{fields} fields were asked for; give 1 to {MAX_FIELDS}")
    require(seed >= 0, f"seed is {seed}; it must be 0 or more")
    FieldConfig(size=size)  # refuses an impossible size before anything is written
    folder = Path(folder).absolute()
    _refuse_other_files(folder)
    with replaced_folder(folder, _is_of_plate) as new:
        write_json(new / PLATE_MARKER, {"fields": fields, "size": list(size), "seed": seed})
        for name in ("images", "labels"):
            (new / name).mkdir()
        truth = _write_fields(new, plan_sites(fields), size, seed)
        write_table(new / "truth.csv", truth)
        write_table(new / "load_data.csv", _load_data(truth, folder / "images"))
    return truth


def _write_fields(
    folder: Path,
    places: Sequence[Tuple[str, int]],
    size: Tuple[int, int],
    seed: int,
) -> pd.DataFrame:
    """Write image and label image of each well and site; return the table ``truth.csv``."""
    rows = []
    for index, (well, site) in enumerate(places):
        same_in_well = np.random.default_rng([seed, 0, *map(ord, well)])
        config = screen_config(size, same_in_well, np.random.default_rng([seed, 1, index]))
        field = simulate_field(config, np.random.default_rng([seed, 2, index]))
        stem = f"{PLATE_NAME}_{well}_s{site}_w1"
        write_grey(folder / "images" / f"{stem}.tif", field.image, compression=None)
        write_labels(folder / "labels" / f"{stem}{LABEL_SUFFIX}", field.labels)
        rows.append(
            (f"{stem}.tif", f"{stem}{LABEL_SUFFIX}", PLATE_NAME, well, site, int(field.labels.max()), field.diameter)
        )
    return pd.DataFrame(rows, columns=["image", "labels", "plate", "well", "site", "nuclei", "diameter"])


def plan_sites(fields: int) -> List[Tuple[str, int]]:
    """Return well name and site number of `fields` images, filling well after well, row after row."""
    for rows, columns in WELL_PLATES:
        sites = SITES
        if fields <= rows * columns * sites:
            break
    else:
        sites = -(-fields // (rows * columns))
    wells = [f"{string.ascii_uppercase[row]}{column:02d}" for row in range(rows) for column in range(1, columns + 1)]
    return [(wells[index // sites], index % sites + 1) for index in range(fields)]


def _refuse_other_files(folder: Path) -> None:
    """Raise a `ConfigError` if the folder is a file, or holds files but no simulated plate."""
    require(
        not folder.exists() or folder.is_dir(),
        f"{folder} is a file; give a folder for the simulated plate",
    )
    require(
        not folder.exists() or (folder / PLATE_MARKER).is_file() or not any(folder.iterdir()),
        f"{folder} is not empty and holds no simulated plate; nothing was written. Give another folder, or empty it",
    )


def _is_of_plate(path: Path) -> bool:
    """Tell whether a file of a former plate, named by its path in the folder, goes when a new plate comes."""
    patterns = (
        PLATE_MARKER,
        "load_data.csv",
        "truth.csv",
        f"images/{PLATE_NAME}_*_w1.tif",
        f"labels/{PLATE_NAME}_*_w1{LABEL_SUFFIX}",
    )
    return any(fnmatch(path.as_posix(), pattern) for pattern in patterns)


def _load_data(truth: pd.DataFrame, images: Path) -> pd.DataFrame:
    """Return the table that LoadData reads, one row per image."""
    return pd.DataFrame(
        {
            "Image_FileName_DNA": truth["image"],
            "Image_PathName_DNA": str(images),
            "Metadata_Plate": truth["plate"],
            "Metadata_Well": truth["well"],
            "Metadata_Site": truth["site"],
        }
    )
