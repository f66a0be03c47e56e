"""What holds for the settings of every module."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

INPUTS = {
    "IdentifyNucleiDL": {"x_name": "DNA"},
    "TTARefine": {"image_name": "DNA", "x_name": "Nuclei"},
    "CompareNuclei": {"first_name": "Classic", "second_name": "Deep"},
    "AnnotateNuclei": {"x_name": "DNA"},
}
WITH_MODEL = ["IdentifyNucleiDL", "TTARefine"]
CITED = {
    "IdentifyNucleiDL": ["Caicedo", "Hollandi", "Moshkov", "Zaki"],
    "TTARefine": ["Hollandi", "Moshkov"],
    "CompareNuclei": ["Caicedo", "Data Science Bowl"],
    "AnnotateNuclei": ["Hollandi", "AnnotatorJ"],
}


@pytest.fixture
def make(cellprofiler):
    """Return a function that makes a module with its inputs selected."""

    def make_module(name):
        made = cellprofiler.modules[name]()
        for attribute, value in INPUTS[name].items():
            getattr(made, attribute).value = value
        return made

    return make_module


@pytest.fixture(params=INPUTS)
def each(request, make):
    """A fresh module of each kind."""
    return make(request.param)


@pytest.fixture(params=WITH_MODEL)
def each_with_model(request, make):
    """A fresh module of each kind that runs a model."""
    return make(request.param)


@pytest.fixture
def refused(pipeline_of):
    """Return a function that gives the setting and the message that validation objects to."""
    from cellprofiler_core.setting import ValidationError

    def validate(module):
        with pytest.raises(ValidationError) as caught:
            module.validate_module(pipeline_of(module))
        return caught.value.get_setting(), caught.value.message

    return validate


def test_a_new_module_is_valid_once_its_inputs_are_selected(each, pipeline_of):
    each.validate_module(pipeline_of(each))


def test_a_check_of_the_settings_takes_milliseconds(each, pipeline_of):
    pipeline = pipeline_of(each)
    each.validate_module(pipeline)
    start = time.perf_counter()
    for _ in range(20):
        each.validate_module(pipeline)
    assert (time.perf_counter() - start) / 20 < 0.02


def test_every_setting_explains_itself(each):
    short = [setting.text for setting in each.settings() if len(setting.doc.split()) < 8]
    assert short == []


def test_the_help_page_has_no_broken_markup_and_names_its_sources_and_every_measurement(each, pipeline_of):
    page = each.get_help()
    assert "system-message" not in page
    for name in CITED[each.module_name]:
        assert name in page
    pipeline = pipeline_of(each)
    for object_name, features in each.own_features().items():
        for feature in each.get_measurements(pipeline, object_name, each.own_category):
            assert feature in features
            assert feature in page or feature.startswith("F1_")


def test_no_module_takes_3d_stacks(each):
    assert each.volumetric() is False


def test_a_pipeline_of_a_newer_revision_is_refused_in_words(each, saved, refused):
    newer = each.variable_revision_number + 1
    loaded = saved(each, lambda text: text.replace(f"revision_number:{newer - 1}|", f"revision_number:{newer}|"))
    setting, message = refused(loaded)
    assert f"newer NucDL (revision {newer} of the settings, this one knows {newer - 1})" in message
    assert setting is loaded.setting_of_problems()


def test_a_pipeline_with_a_setting_missing_is_refused_in_words(each, saved, refused):
    count = len(each.settings())
    last = each.settings()[-1]
    loaded = saved(each, lambda text: text.replace(f"    {last.text}:{last.value_text}\n", ""))
    assert f"{count - 1} settings of this module instead of {count}" in refused(loaded)[1]


def test_settings_that_can_be_read_clear_the_complaint_about_others(each, refused, pipeline_of):
    values = [setting.value_text for setting in each.settings()]
    revision = each.variable_revision_number
    each.upgrade_settings(values[:-1], revision, each.module_name)
    refused(each)
    assert each.upgrade_settings(values, revision, each.module_name) == (values, revision)
    each.validate_module(pipeline_of(each))


def test_a_module_says_when_the_engine_is_missing(each, refused, monkeypatch):
    import _nucdl_engine

    monkeypatch.setattr(_nucdl_engine, "engine_problem", lambda: "NucDL's engine does not work")
    assert refused(each) == (each.setting_of_problems(), "NucDL's engine does not work")


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("model", "nuclei_of_the_future", "nuclei_of_the_future"),
        ("device", "Abacus", "Abacus"),
        ("views", "Three", "Three"),
        ("contour_offset", -30, "from -20 to 20"),
        ("contour_offset", 25, "from -20 to 20"),
    ],
)
def test_an_impossible_value_is_refused_at_its_setting(each_with_model, refused, name, value, reason):
    if hasattr(each_with_model, "preset"):
        each_with_model.preset.value = "Custom"
    getattr(each_with_model, name).value = value
    setting, message = refused(each_with_model)
    assert setting is getattr(each_with_model, name)
    assert reason in message


def test_a_run_with_an_impossible_value_is_refused_before_the_first_image(each_with_model, pipeline_of):
    from cellprofiler_core.setting import ValidationError

    each_with_model.contour_offset.value = 50
    with pytest.raises(ValidationError, match="from -20 to 20") as caught:
        each_with_model.prepare_run(SimpleNamespace(pipeline=pipeline_of(each_with_model)))
    assert caught.value.get_setting() is each_with_model.contour_offset


def test_a_folder_without_a_model_is_refused_at_its_setting(each_with_model, refused, tmp_path):
    each_with_model.model.value = "Folder"
    each_with_model.model_folder.value = f"Elsewhere...|{tmp_path}"
    setting, message = refused(each_with_model)
    assert setting is each_with_model.model_folder
    assert str(tmp_path) in message


def test_the_model_folder_is_altered_for_a_batch(each_with_model):
    each_with_model.model.value = "Folder"
    each_with_model.model_folder.value = "Elsewhere...|/here/model"
    assert each_with_model.prepare_to_create_batch(None, lambda path, **_: path.replace("/here", "/cluster"))
    assert each_with_model.model_name() == "/cluster/model"
