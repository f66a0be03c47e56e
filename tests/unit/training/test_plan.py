"""The plan of a training on own images."""

import dataclasses

import pytest

from nucdl_core.errors import ConfigError
from nucdl_core.training.config import TrainConfig
from nucdl_core.training.plan import PLAN, REPORT, Plan, working_folder
from nucdl_core.training.split import Part

NOW = Plan(TrainConfig("mine"), [Part(("a",), ("b",))], {"a": "1", "b": "2"}, "sha")
CHANGED = dataclasses.replace(NOW, config=TrainConfig("mine", steps=7), images={"a": "1", "b": "3"})


def test_the_folder_of_a_training_lies_beside_its_model(tmp_path):
    assert working_folder(tmp_path / "mine") == tmp_path / "mine_training"


def test_a_training_with_the_same_plan_goes_on(tmp_path):
    NOW.keep(tmp_path / "t")
    (tmp_path / "t" / "run1").mkdir()
    NOW.keep(tmp_path / "t")
    assert (tmp_path / "t" / "run1").is_dir()


def test_a_training_that_has_not_ended_is_not_mixed_with_another_one(tmp_path):
    NOW.keep(tmp_path)
    with pytest.raises(ConfigError, match=r"has not ended .* \(config: steps, images: b\); go on with the former ones"):
        CHANGED.keep(tmp_path)


def test_a_training_that_has_ended_makes_room_and_leaves_what_is_not_its_own(tmp_path):
    NOW.keep(tmp_path)
    for name in ("run1", "validation", "model", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / REPORT).touch()
    (tmp_path / "notes.txt").touch()
    CHANGED.keep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "model", "notes.txt", PLAN]


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="holds something else .* name another output"):
        NOW.keep(tmp_path)


def test_what_was_being_written_when_a_training_was_killed_does_not_block_the_next_one(tmp_path):
    (tmp_path / ".0123.tmp").touch()
    NOW.keep(tmp_path)
    assert (tmp_path / PLAN).is_file()
