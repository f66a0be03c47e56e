"""The example pipelines: in step with the code, and without a complaint from CellProfiler."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ["classic_basic", "classic_advanced", "deep", "compare", "refine_classic", "cell_painting_start"]


@pytest.fixture(scope="session")
def maker(cellprofiler):
    """The script that writes the pipelines, as a module."""
    spec = importlib.util.spec_from_file_location("make_pipelines", REPOSITORY / "pipelines" / "make_pipelines.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def opened(cellprofiler, tmp_path):
    """Return a function that opens an example pipeline with a list of images in place."""
    from cellprofiler_core.pipeline import LoadException, Pipeline
    from cellprofiler_core.preferences import set_data_file

    columns = {f"Image_FileName_{channel}": ["a.tif"] for channel in ("DNA", "AGP")}
    columns.update({f"Image_PathName_{channel}": [str(tmp_path)] for channel in ("DNA", "AGP")})
    columns["Metadata_Well"] = ["A01"]
    pd.DataFrame(columns).to_csv(tmp_path / "list.csv", index=False)
    set_data_file(str(tmp_path / "list.csv"))

    def stop(_, event):
        assert not isinstance(event, LoadException), event.error

    def open_pipeline(name):
        pipeline = Pipeline()
        pipeline.add_listener(stop)
        pipeline.load(str(REPOSITORY / "pipelines" / f"{name}.cppipe"))
        return pipeline

    yield open_pipeline
    set_data_file(None)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_what_the_script_writes(maker, name):
    written = (REPOSITORY / "pipelines" / f"{name}.cppipe").read_text(encoding="utf-8")
    assert written == maker.pipeline_text(name)


def test_every_pipeline_in_the_folder_is_known(maker):
    assert {path.stem for path in (REPOSITORY / "pipelines").glob("*.cppipe")} == set(maker.PIPELINES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_cellprofiler_opens_every_module_and_objects_to_no_setting(opened, name):
    pipeline = opened(name)
    text = (REPOSITORY / "pipelines" / f"{name}.cppipe").read_text(encoding="utf-8")
    assert f"ModuleCount:{len(pipeline.modules())}\n" in text
    pipeline.test_valid()


@pytest.mark.parametrize("name", NAMES)
def test_every_module_says_what_it_is_for(opened, name):
    assert all(module.notes for module in opened(name).modules())


def test_both_ways_to_find_nuclei_are_in_one_project_and_compared(opened):
    pipeline = opened("compare")
    names = {
        module.module_name: module.y_name.value for module in pipeline.modules() if "Identify" in module.module_name
    }
    assert names == {"IdentifyPrimaryObjects": "NucleiClassic", "IdentifyNucleiDL": "Nuclei"}
    (comparison,) = [module for module in pipeline.modules() if module.module_name == "CompareNuclei"]
    assert comparison.names() == ("NucleiClassic", "Nuclei")


def test_the_comparison_of_the_pipeline_can_be_switched_to_a_truth(opened, tmp_path):
    from cellprofiler_core.setting import ValidationError

    pipeline = opened("compare")
    (comparison,) = [module for module in pipeline.modules() if module.module_name == "CompareNuclei"]
    comparison.mode.value, comparison.first_name.value = "Test against truth", "Truth"
    with pytest.raises(ValidationError, match="Truth"):
        pipeline.test_valid()
    rows = pd.read_csv(tmp_path / "list.csv")
    rows["Image_ObjectsFileName_Truth"], rows["Image_ObjectsPathName_Truth"] = "a_labels.tif", str(tmp_path)
    rows.to_csv(tmp_path / "list.csv", index=False)
    pipeline.test_valid()


def test_cells_and_cytoplasm_are_found_around_the_deep_nuclei(opened):
    modules = {module.module_name: module for module in opened("cell_painting_start").modules()}
    assert modules["IdentifyNucleiDL"].exclude_border.value
    assert modules["IdentifySecondaryObjects"].x_name.value == "Nuclei"
    tertiary = modules["IdentifyTertiaryObjects"]
    assert (tertiary.primary_objects_name.value, tertiary.secondary_objects_name.value) == ("Nuclei", "Cells")


@pytest.mark.parametrize("name", NAMES)
def test_no_path_of_a_machine_stands_in_a_pipeline(name):
    text = (REPOSITORY / "pipelines" / f"{name}.cppipe").read_text(encoding="utf-8")
    assert "/home" not in text
    assert str(REPOSITORY) not in text
