"""A small simulated plate and the real cellprofiler command."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from nucdl_core.cellprofiler.headless import HeadlessRun, run_cellprofiler
from nucdl_core.files.reading import read_labels
from nucdl_core.simulate.plate import simulate_plate

REPOSITORY = Path(__file__).resolve().parents[2]
FIELDS = 2
TWO_CHANNELS = "two_channels.csv"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.headless)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _needs_cellprofiler():
    if importlib.util.find_spec("cellprofiler") is None:
        pytest.skip("CellProfiler is not installed in this Python")


@pytest.fixture(scope="session", autouse=True)
def _needs_a_model():
    from nucdl_core.config import DEFAULT_MODEL
    from nucdl_core.model.bundle import list_bundles

    if DEFAULT_MODEL not in list_bundles():
        pytest.skip(f"the model {DEFAULT_MODEL} is not bundled")


@pytest.fixture(scope="session")
def plate(tmp_path_factory):
    """Folder of a simulated plate with two fields; its second list of images has a stain of the cell bodies as well."""
    folder = tmp_path_factory.mktemp("plates") / "plate"
    simulate_plate(folder, FIELDS, (300, 360), seed=5)
    rows = pd.read_csv(folder / "load_data.csv")
    (folder / "cells").mkdir()
    for name in rows["Image_FileName_DNA"]:
        labels = read_labels(folder / "labels" / f"{Path(name).stem}_labels.tif")
        bodies = ndimage.gaussian_filter((ndimage.distance_transform_edt(labels == 0) < 8) * 9000.0, 2)
        tifffile.imwrite(folder / "cells" / name, (bodies + 500).astype(np.uint16))
    rows["Image_FileName_AGP"], rows["Image_PathName_AGP"] = rows["Image_FileName_DNA"], str(folder / "cells")
    rows.to_csv(folder / TWO_CHANNELS, index=False)
    return folder


def run_on(output, pipeline, data_file, plugins=REPOSITORY / "plugins"):
    """Run a pipeline, by name or as a file, and return the folder of its results."""
    output.mkdir(exist_ok=True)
    path = pipeline if isinstance(pipeline, Path) else REPOSITORY / "pipelines" / f"{pipeline}.cppipe"
    run_cellprofiler(HeadlessRun(path, data_file, output, plugins))
    return output


@pytest.fixture(scope="session")
def finished(plate, tmp_path_factory):
    """Return a function that gives the results of an example pipeline on the plate; each runs once."""

    @functools.cache
    def run(name):
        data_file = TWO_CHANNELS if name == "cell_painting_start" else "load_data.csv"
        return run_on(tmp_path_factory.mktemp(name), name, plate / data_file)

    return run


@pytest.fixture
def run_pipeline(tmp_path, plate):
    """Return a function that runs a pipeline for this test alone, on the plate or on another list."""

    def run(pipeline, data_file=None, **arguments):
        return run_on(tmp_path / "output", pipeline, data_file or plate / "load_data.csv", **arguments)

    return run


@pytest.fixture
def changed_pipeline(tmp_path):
    """Return a function that writes a changed copy of an example pipeline."""

    def change(name, *replacements):
        text = (REPOSITORY / "pipelines" / f"{name}.cppipe").read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "changed.cppipe"
        path.write_text(text, encoding="utf-8")
        return path

    return change
