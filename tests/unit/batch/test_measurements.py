"""Shape and intensity of nuclei under CellProfiler's names."""

import numpy as np
import pytest
from drawings import disks, drawn

from nucdl_core.batch.measurements import measure_nuclei, measurement_columns, unit_scaled

SQUARE = drawn("......", ".1111.", ".1111.", ".1111.", ".1111.", "......")


def test_a_square_has_the_measures_of_a_square():
    row = measure_nuclei(SQUARE, np.full(SQUARE.shape, 51, np.uint8)).iloc[0]
    assert row["AreaShape_Eccentricity"] == 0 and row["AreaShape_Solidity"] == 1 and row["AreaShape_Extent"] == 1
    assert [row[f"AreaShape_BoundingBox{end}_{axis}"] for end in ("Minimum", "Maximum") for axis in "XY"] == [
        1,
        1,
        5,
        5,
    ]
    assert row["Intensity_MeanIntensity_DNA"] == pytest.approx(0.2)
    assert row["Intensity_IntegratedIntensity_DNA"] == pytest.approx(3.2)
    assert row["Intensity_StdIntensity_DNA"] == 0


def test_nuclei_stand_in_the_order_of_their_numbers():
    labels = disks((40, 60), [(20, 15), (20, 45)], 6)
    table = measure_nuclei(labels, labels.astype(np.uint16) * 32767)
    assert table["Intensity_MeanIntensity_DNA"].round(3).tolist() == [0.5, 1.0]
    assert table["AreaShape_FormFactor"].between(0.9, 1.1).all()


def test_a_long_nucleus_has_two_axes():
    labels = np.zeros((30, 60), np.int32)
    labels[10:15, 10:50] = 1
    row = measure_nuclei(labels, labels.astype(np.float32)).iloc[0]
    assert row["AreaShape_MajorAxisLength"] > 6 * row["AreaShape_MinorAxisLength"]
    assert row["AreaShape_Eccentricity"] > 0.98


def test_without_nuclei_there_are_the_columns_alone():
    table = measure_nuclei(np.zeros((5, 5), np.int32), np.ones((5, 5)), "Hoechst")
    assert list(table.columns) == list(measurement_columns("Hoechst")) and table.empty


@pytest.mark.parametrize("kind, value", [(np.uint8, 1 / 255), (np.uint16, 1 / 65535), (np.float32, 1.0)])
def test_intensities_are_a_share_of_the_largest_of_their_type(kind, value):
    assert unit_scaled(np.ones(1, kind))[0] == pytest.approx(value)
