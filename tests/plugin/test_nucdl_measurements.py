"""The measurements of every module can be chosen in later modules."""

from __future__ import annotations

import pytest

MODULES = ["IdentifyNucleiDL", "TTARefine", "CompareNuclei", "AnnotateNuclei"]


@pytest.fixture(params=MODULES)
def each(request, cellprofiler):
    """A fresh module of each kind, with different names for the sets of objects."""
    made = cellprofiler.modules[request.param]()
    if request.param == "CompareNuclei":
        made.first_name.value, made.second_name.value = "Classic", "Deep"
    if request.param == "TTARefine":
        made.x_name.value = "Nuclei"
    return made


def test_every_declared_column_can_be_chosen_in_the_window(each, cellprofiler, pipeline_of):
    from cellprofiler_core.setting import Measurement

    later = cellprofiler.modules["FilterObjects"]()
    pipeline = pipeline_of(each, later)
    columns = each.get_measurement_columns(pipeline)
    assert any(column.startswith(f"{each.own_category}_") for _, column, _ in columns)
    for object_name, column, _ in columns:
        choice = Measurement("Measurement", lambda name=object_name: name, column)
        later.measurements[0].measurement = choice
        choice.test_valid(pipeline)
        category, feature = choice.get_category(pipeline), choice.get_feature_name(pipeline)
        assert f"{category}_{feature}" in column
        assert feature in each.get_measurements(pipeline, object_name, category)


def test_other_objects_and_categories_get_no_measurements(each, pipeline_of):
    pipeline = pipeline_of(each)
    assert each.get_categories(pipeline, "Cells") == []
    assert each.get_measurements(pipeline, "Cells", each.own_category) == []
    assert each.get_measurements(pipeline, "Image", "AreaShape") == []
    assert each.get_measurement_objects(pipeline, "Cells", each.own_category, "IoU") == []
    assert each.get_measurement_objects(pipeline, "Image", "Count", "Nuclei") == []
