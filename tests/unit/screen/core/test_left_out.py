"""Fields that can be read but are not wanted."""

import dataclasses
import json

import pytest
from screen_folders import make_screen, row

from nucdl_core.errors import ConfigError
from nucdl_core.screen.core.inspection import ImageFacts
from nucdl_core.screen.core.left_out import OTHER_KIND, left_out_reason, other_kind_reason
from nucdl_core.screen.core.plan import ANY_FIELD, FieldLimits, ScreenLimits, read_plan, write_plan

FACTS = ImageFacts("DNA", "a.tif", "", 1, 1, 9, 9, "uint16", 5.0, 65535.0, 0.02, 0.05)
EMPTY_FIELD = dataclasses.replace(FACTS, highest=5.0, saturated_share=0.0, focus=0.0, flags=("empty",))


def test_without_limits_every_field_is_taken():
    assert left_out_reason(FACTS, ANY_FIELD) is None
    assert left_out_reason(EMPTY_FIELD, ANY_FIELD) is None
    assert other_kind_reason((OTHER_KIND,), ANY_FIELD) is None


def test_the_reason_tells_value_and_limit():
    assert left_out_reason(FACTS, FieldLimits(min_focus=0.06)) == "out of focus: the focus is 0.05, the limit is 0.06"
    saturated = left_out_reason(FACTS, FieldLimits(max_saturated=0.01))
    assert saturated == "saturated: a share of 0.02 of the pixels, the limit is 0.01"
    assert left_out_reason(EMPTY_FIELD, FieldLimits(skip_empty=True)) == "empty: all pixels are 5"
    assert other_kind_reason((OTHER_KIND,), FieldLimits(skip_other_kinds=True)).startswith("of the wrong kind")


def test_a_field_at_the_limit_is_taken():
    assert left_out_reason(FACTS, FieldLimits(min_focus=0.05, max_saturated=0.02, skip_empty=True)) is None
    assert other_kind_reason(("bits_unlike_model",), FieldLimits(skip_other_kinds=True)) is None


@pytest.mark.parametrize("limits", [{"min_focus": -1.0}, {"min_focus": float("nan")}, {"max_saturated": 1.5}])
def test_limits_that_cannot_be_are_refused(limits):
    with pytest.raises(ConfigError, match=r"the least focus is|the saturated share is"):
        FieldLimits(**limits)


def test_the_plan_keeps_the_limits_and_is_written_as_before_without_any(tmp_path):
    folder, plan, _ = make_screen(tmp_path / "screen", [row(1)], [1])
    assert "fields" not in json.loads(folder.plan.read_text())["limits"]
    strict = dataclasses.replace(plan, limits=ScreenLimits(fields=FieldLimits(min_focus=0.1)))
    write_plan(folder, strict)
    assert read_plan(folder) == strict
