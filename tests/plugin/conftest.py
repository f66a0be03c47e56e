"""CellProfiler without a window, its modules loaded with ours, and a stand-in for the engine."""

from __future__ import annotations

import importlib.util
import io
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = REPOSITORY / "plugins"


@pytest.fixture(scope="session")
def cellprofiler():
    """CellProfiler's list of modules after it has loaded our folder of plugins."""
    if importlib.util.find_spec("cellprofiler_core") is None:
        pytest.skip("CellProfiler is not installed in this Python")
    from nucdl_core.cellprofiler.headless import find_java_home

    os.environ.setdefault("JAVA_HOME", str(find_java_home()))
    from cellprofiler_core import preferences

    preferences.set_headless()
    preferences.set_plugin_directory(str(PLUGINS), globally=False)
    from cellprofiler_core.constants.modules import all_modules, badmodules
    from cellprofiler_core.utilities.core.modules import fill_modules

    fill_modules()
    return SimpleNamespace(modules=all_modules, bad=badmodules)


@pytest.fixture
def module(cellprofiler):
    """A fresh IdentifyNucleiDL, first in its pipeline."""
    made = cellprofiler.modules["IdentifyNucleiDL"]()
    made.x_name.value = "DNA"
    made.module_num = 1
    return made


@pytest.fixture
def make_workspace(cellprofiler):
    """Return a function that makes a workspace with an image called DNA."""
    from cellprofiler_core.image import Image, ImageSetList
    from cellprofiler_core.measurement import Measurements
    from cellprofiler_core.object import ObjectSet
    from cellprofiler_core.pipeline import Pipeline
    from cellprofiler_core.workspace import Workspace

    opened = []

    def make(module, pixels, **image_arguments):
        pipeline = Pipeline()
        pipeline.add_module(module)
        images = ImageSetList()
        image_set = images.get_image_set(0)
        image_set.add("DNA", Image(pixels, **image_arguments))
        measurements = Measurements()
        opened.append(measurements)
        return Workspace(pipeline, module, image_set, ObjectSet(), measurements, images)

    yield make
    for measurements in opened:
        measurements.close()


@pytest.fixture
def engine_finds(monkeypatch):
    """Return a function that makes the engine find the given labels, and the list of its calls."""
    from nucdl_core import segment
    from nucdl_core.results import Segmentation

    def set_labels(labels):
        calls = []

        def segment_unfiltered(image, config, mask=None, progress=None):
            calls.append(SimpleNamespace(image=image, config=config, mask=mask, progress=progress))
            found = labels if mask is None else np.where(mask, labels, 0)
            scores = np.linspace(0.5, 1, int(found.max(initial=0)), dtype=np.float32)
            probability = (found > 0).astype(np.float32)
            agreement = None if config.views == "none" else scores / 2
            diameter = 12.5 if len(scores) else float("nan")
            return Segmentation(found.astype(np.int32), scores, probability, diameter, agreement)

        monkeypatch.setattr(segment, "segment_unfiltered", segment_unfiltered)
        return calls

    return set_labels


@pytest.fixture
def pipeline_of(cellprofiler):
    """Return a function that puts modules into a pipeline, in that order."""
    from cellprofiler_core.pipeline import Pipeline

    def make(*modules):
        pipeline = Pipeline()
        for number, module in enumerate(modules, start=1):
            module.module_num = number
            pipeline.add_module(module)
        return pipeline

    return make


@pytest.fixture
def saved(pipeline_of):
    """Return a function that saves a module in a pipeline and loads it again, after a change of the text."""
    from cellprofiler_core.pipeline import Pipeline

    def save_and_load(module, change=lambda text: text):
        text = io.StringIO()
        pipeline_of(module).dump(text, save_image_plane_details=False)
        loaded = Pipeline()
        loaded.loadtxt(io.StringIO(change(text.getvalue())))
        (again,) = loaded.modules()
        return again

    return save_and_load


def columns_written(workspace):
    """Whose measurement and which one: all that a module has written itself."""
    measurements = workspace.measurements
    automatic = {"ImageNumber", "Group_Number", "Group_Index", "Group_Length"}
    return {
        (name, feature)
        for name in measurements.get_object_names()
        if name != "Experiment"
        for feature in measurements.get_feature_names(name)
        if feature not in automatic
    }


@pytest.fixture
def written_by():
    return columns_written


class DrawnTitle:
    """What matplotlib draws of a figure: its title."""

    title = None

    def suptitle(self, text, fontsize, color):
        self.title = text


class DrawnFigure:
    """A figure of CellProfiler that keeps what is drawn: each method takes what CellProfiler's own takes."""

    def __init__(self):
        self.layout, self.places, self.titles, self.outlines, self.table = None, [], [], [], {}
        self.figure = DrawnTitle()

    def set_subplots(self, dimensions):
        self.layout = dimensions

    def subplot_imshow_grayscale(self, x, y, image, title, cplabels=(), sharexy=None):
        self.places.append((x, y))
        self.titles.append(title)
        self.outlines += [(outline["name"], *outline["labels"]) for outline in cplabels]
        return (x, y)

    def subplot_imshow_labels(self, x, y, labels, title, sharexy=None):
        self.places.append((x, y))
        self.titles.append(title)
        return (x, y)

    def subplot_table(self, x, y, statistics, row_labels):
        self.places.append((x, y))
        self.table = {name: value for name, (value,) in zip(row_labels, statistics)}


@pytest.fixture
def drawn():
    return DrawnFigure()


def grid_of_nuclei(count, side=5):
    """Make the labels of `count` square nuclei on a grid, none of them at the border of the image."""
    columns = int(np.ceil(np.sqrt(max(count, 1))))
    pitch = side + 2
    labels = np.zeros((columns * pitch + 3, columns * pitch + 3), np.int32)
    rows, cols = np.divmod(np.arange(count), columns)
    for step in np.ndindex(side, side):
        labels[2 + rows * pitch + step[0], 2 + cols * pitch + step[1]] = np.arange(1, count + 1)
    return labels


@pytest.fixture
def nuclei_grid():
    return grid_of_nuclei
