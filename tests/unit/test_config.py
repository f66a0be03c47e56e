import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

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


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SegmentConfig().diameter = 3


@pytest.mark.parametrize("values", [{"views": "some"}, {"contour_offset": 21}, {"contour_offset": float("nan")}])
def test_views_and_offsets_that_make_no_sense_are_refused(values):
    with pytest.raises(ConfigError, match=next(iter(values)).replace("_", " ")):
        SegmentConfig(**values)


@dataclasses.dataclass(frozen=True)
class Inner:
    number: int
    share: float = 0.5
    right: bool = False


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner
    several: Tuple[Inner, ...] = ()
    named: Dict[str, Inner] = dataclasses.field(default_factory=dict)
    place: Optional[Path] = None
    anything: Dict[str, Any] = dataclasses.field(default_factory=dict)


def test_nested_settings_lists_and_paths_are_read_as_json_has_them():
    text = """{"inner": {"number": 1, "share": 1}, "several": [{"number": 2, "right": true}], "place": "a/b",
               "named": {"a": {"number": 3}}, "anything": {"list": [1, null]}}"""
    read = from_mapping(Outer, json.loads(text))
    assert read == Outer(Inner(1, 1.0), (Inner(2, right=True),), {"a": Inner(3)}, Path("a/b"), {"list": [1, None]})
    assert isinstance(read.inner.share, float)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"inner": {"number": 1, "colour": 2}}, r"unknown setting colour; Inner knows number, right, share, in inner$"),
        ({"inner": {}}, r"this setting is missing, in inner.number$"),
        ({"inner": {"number": "1"}}, r"'1' came, a value of the kind int is needed, in inner.number$"),
        ({"inner": {"number": 1, "right": "no"}}, r"'no' came, a value of the kind bool is needed, in inner.right$"),
        ({"inner": {"number": True}}, r"True came, a value of the kind int is needed, in inner.number$"),
        ({"inner": {"number": 1}, "place": 5}, r"5 came, a value of the kind str is needed, in place$"),
        ({"inner": None}, r"a list, or a mapping of names to values, is needed here, in inner$"),
        ([1], r"\[1\] came; Outer is made from a mapping"),
    ],
)
def test_settings_of_another_kind_are_refused_with_their_place(values, reason):
    with pytest.raises(ConfigError, match=reason):
        from_mapping(Outer, values)
