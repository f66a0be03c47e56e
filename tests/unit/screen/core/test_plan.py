"""The folder of a screen: the plan is written completely, read strictly."""

import dataclasses
import json

import pytest

from nucdl_core.errors import ConfigError
from nucdl_core.screen.core import plan as plan_module
from nucdl_core.screen.core.plan import (
    PLAN_FORMAT,
    Chunk,
    Costs,
    PlannedImages,
    PlannedModel,
    Procedure,
    ScreenError,
    ScreenFolder,
    ScreenLimits,
    ScreenPlan,
    read_chunks,
    read_plan,
    read_rows,
    write_plan,
)

PLAN = ScreenPlan(
    format=PLAN_FORMAT,
    nucdl="1.0",
    procedure=Procedure("p.cppipe", "a" * 64, ("LoadData",), ("DNA",), ("Nuclei",), ("changed",)),
    images=PlannedImages("b" * 64, 7, ("Image_FileName_DNA",), ("DNA",)),
    plugins="/plugins",
    grouping=("Plate",),
    chunk_size=3,
    chunks=3,
    limits=ScreenLimits(seconds=5.0),
    models=(PlannedModel("nuclei_unet", "c" * 64),),
    costs=Costs(4.0, 0.5),
)


@pytest.fixture
def folder(tmp_path):
    return ScreenFolder(tmp_path)


@pytest.mark.parametrize("plan", [PLAN, dataclasses.replace(PLAN, plugins=None, costs=None, models=(), grouping=())])
def test_a_plan_is_read_as_it_was_written(folder, plan):
    write_plan(folder, plan)
    assert read_plan(folder) == plan
    assert [path.name for path in folder.root.iterdir()] == ["plan.json"]


def test_a_folder_without_a_plan_says_what_to_do(folder):
    with pytest.raises(ScreenError, match="holds no plan; run 'nucdl screen plan' first"):
        read_plan(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda values: values.update(extra=1), "unknown setting extra"),
        (lambda values: values.update(format=2), "has format 2, not 1"),
        (lambda values: values.pop("images"), "not a plan of this version"),
        (lambda values: values.update(chunks=8), "8 chunks cannot hold 7 image sets"),
        (lambda values: values.update(chunks=0), "0 chunks cannot hold"),
        (lambda values: values.update(chunk_size=0), "chunk_size is 0"),
        (lambda values: values["limits"].update(pixels=0), "the limit pixels is 0"),
        (lambda values: values["costs"].update(start_seconds=-1), "start_seconds is -1"),
        (lambda values: values.update(grouping=None), "not a plan of this version"),
        (lambda values: values.update(pipeline=[1]), "a mapping of names to values is needed"),
    ],
)
def test_a_plan_that_was_altered_is_refused(folder, change, reason):
    write_plan(folder, PLAN)
    values = json.loads(folder.plan.read_text())
    change(values)
    folder.plan.write_text(json.dumps(values))
    with pytest.raises(ScreenError, match=reason):
        read_plan(folder)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"x'])
def test_a_plan_that_is_no_json_is_refused(folder, text):
    folder.plan.write_text(text)
    with pytest.raises(ScreenError, match="cannot be read"):
        read_plan(folder)


def test_a_plan_that_is_much_too_long_is_refused(folder, monkeypatch):
    monkeypatch.setattr(plan_module, "LONGEST_PLAN", 10)
    write_plan(folder, PLAN)
    with pytest.raises(ScreenError, match="more than 10 bytes"):
        read_plan(folder)


@pytest.mark.parametrize("costs", [(0.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0)])
def test_costs_are_positive_numbers(costs):
    with pytest.raises(ConfigError, match="must be a positive number of seconds"):
        Costs(*costs)


def test_the_places_of_a_chunk_bear_its_number(folder):
    chunk = Chunk(12, 100, 9)
    assert folder.chunk_csv(chunk) == folder.root / "chunks" / "000012.csv"
    assert folder.result(chunk) == folder.root / "results" / "000012"
    assert {path.parent for path in (folder.work, folder.merged, folder.procedure)} == {folder.root}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["1,1,3", "3,4,3"], "altered at chunk 2"),
        (["1,1,3", "2,5,3"], "altered at chunk 2"),
        (["1,1,0"], "altered at chunk 1"),
        (["1,1"], "cannot be read"),
        (["1,one,3"], "cannot be read"),
    ],
)
def test_a_table_of_chunks_with_gaps_is_refused(folder, rows, reason):
    folder.chunks.mkdir()
    folder.chunk_list.write_text("\n".join(["chunk,first_image_number,image_sets", *rows]))
    with pytest.raises(ScreenError, match=reason):
        read_chunks(folder)


def test_a_table_of_chunks_that_is_gone_is_refused(folder):
    with pytest.raises(ScreenError, match="cannot be read"):
        read_chunks(folder)


@pytest.mark.parametrize(("text", "reason"), [("", "is empty"), ("a,b\n1\n", "is cut"), ('a\n"x', "cannot be read")])
def test_a_list_of_a_chunk_that_is_damaged_is_refused(tmp_path, text, reason):
    (tmp_path / "1.csv").write_text(text)
    with pytest.raises(ScreenError, match=reason):
        read_rows(tmp_path / "1.csv")
