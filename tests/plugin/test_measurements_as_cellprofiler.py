"""What nucdl segment measures is what CellProfiler's own modules measure of the same nuclei."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import field

from nucdl_core.batch.measurements import measure_nuclei, measurement_columns

IMAGE, TRUTH = field(radius=9)


def test_shapes_and_intensities_are_those_of_cellprofiler(cellprofiler, make_workspace):
    from cellprofiler_core.object import Objects

    shape = cellprofiler.modules["MeasureObjectSizeShape"]()
    shape.objects_list.value = "Nuclei"
    intensity = cellprofiler.modules["MeasureObjectIntensity"]()
    intensity.images_list.value, intensity.objects_list.value = "DNA", "Nuclei"
    workspace = make_workspace(shape, IMAGE / 65535)
    objects = Objects()
    objects.segmented = TRUTH
    workspace.object_set.add_objects(objects, "Nuclei")
    for module in (shape, intensity):
        module.run(workspace)
    ours = measure_nuclei(TRUTH, IMAGE)
    assert len(ours) == TRUTH.max()
    for column in measurement_columns():
        theirs = workspace.measurements.get_current_measurement("Nuclei", column)
        np.testing.assert_allclose(ours[column], theirs, rtol=1e-3, atol=2e-5, err_msg=column)


@pytest.mark.parametrize("column", measurement_columns())
def test_each_column_is_one_that_cellprofiler_declares(cellprofiler, pipeline_of, column):
    shape = cellprofiler.modules["MeasureObjectSizeShape"]()
    shape.objects_list.value = "Nuclei"
    intensity = cellprofiler.modules["MeasureObjectIntensity"]()
    intensity.images_list.value, intensity.objects_list.value = "DNA", "Nuclei"
    pipeline = pipeline_of(shape, intensity)
    declared = {name for module in (shape, intensity) for _, name, _ in module.get_measurement_columns(pipeline)}
    assert column in declared
