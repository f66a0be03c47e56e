"""How far a screen is, and what is to be done next."""

import dataclasses
from pathlib import Path

import pytest
from screen_folders import finish_chunk, make_screen, row

from nucdl_core.screen.core.merge import merge_screen
from nucdl_core.screen.core.status import (
    ALL_DONE,
    NOT_MERGED,
    PLANNED,
    RUNNING,
    STOPPED,
    describe_status,
    next_command,
    screen_status,
)
from nucdl_core.screen.core.work import keep_error, lock_screen, private_folder

OUTPUT = Path("screen")
ROWS = [row(number) for number in range(1, 8)]


def screen_with(root, finished, failed=()):
    """Make a screen of two chunks, of which so many are finished."""
    folder, plan, chunks = make_screen(root, ROWS, [3, 4])
    for chunk in chunks[:finished]:
        finish_chunk(folder, plan, chunk, failed)
    return folder


@pytest.fixture
def half(tmp_path):
    """A screen of two chunks, of which the first is finished."""
    return screen_with(tmp_path / "screen", 1)


def test_a_screen_that_was_only_planned_says_so(tmp_path):
    folder = screen_with(tmp_path / "screen", 0)
    with lock_screen(folder):
        pass
    found = screen_status(folder)
    assert found.state == PLANNED and found.per_hour is None
    assert next_command(found, OUTPUT) == "nucdl screen resume --output screen"


def test_a_screen_whose_first_chunk_failed_was_stopped(tmp_path):
    folder = screen_with(tmp_path / "screen", 0)
    keep_error(folder, "000001", "the disk is full")
    assert screen_status(folder).state == STOPPED


def test_a_chunk_of_a_job_array_that_is_being_done_makes_the_screen_run(half):
    with private_folder(half, "000002"):
        found = screen_status(half)
    assert (found.state, found.running_chunks) == (RUNNING, (2,))


def test_rate_and_time_left_are_told(half):
    found = screen_status(half)
    assert found.state == STOPPED and found.per_hour > 0
    text = describe_status(dataclasses.replace(found, per_hour=120.0))
    assert "120 image sets per hour of work, about 2 min left" in text


def test_a_finished_screen_says_whether_it_is_merged_and_what_failed(tmp_path):
    folder = screen_with(tmp_path / "screen", 2, failed=(2,))
    found = screen_status(folder)
    assert found.state == NOT_MERGED
    assert next_command(found, OUTPUT) == "nucdl screen report --output screen"
    merge_screen(folder)
    found = screen_status(folder)
    assert found.state == ALL_DONE
    assert next_command(found, OUTPUT) == "nucdl screen resume --output screen --retry-failed"
    fast = dataclasses.replace(found, by_nucdl_alone=True)
    assert "segment --csv" in next_command(fast, OUTPUT)
