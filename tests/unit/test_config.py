import dataclasses

import pytest

from nucdl_core.config import SegmentConfig, from_mapping
from nucdl_core.errors import ConfigError


@pytest.mark.parametrize(
    "values",
    [
        {"diameter": 0.5},
        {"diameter": 2000},
        {"diameter": float("nan")},
        {"probability_threshold": 0},
        {"probability_threshold": 1.5},
        {"minimum_diameter": -1},
        {"minimum_diameter": 20, "maximum_diameter": 10},
        {"device": "tpu"},
    ],
)
def test_a_setting_out_of_range_is_refused_with_its_value(values):
    with pytest.raises(ConfigError, match=str(next(iter(values.values())))):
        SegmentConfig(**values)


def test_an_unknown_key_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"unknown setting diametre; SegmentConfig knows .*diameter"):
        from_mapping(SegmentConfig, {"diametre": 12})


def test_a_missing_key_is_refused_by_name():
    @dataclasses.dataclass(frozen=True)
    class Named:
        name: str

    with pytest.raises(ConfigError, match=r"Named is incomplete: .*name"):
        from_mapping(Named, {})


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SegmentConfig().diameter = 3


@pytest.mark.parametrize("values", [{"views": "some"}, {"contour_offset": 21}, {"contour_offset": float("nan")}])
def test_views_and_offsets_that_make_no_sense_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values)).replace("_", " ")):
        SegmentConfig(**values)
