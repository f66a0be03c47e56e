"""How fast chunks were done."""

import dataclasses

import pytest
from screen_folders import finish_chunk, make_screen, row

from nucdl_core.screen.core.publish import read_manifest
from nucdl_core.screen.core.throughput import measure_throughput, stretches


def test_times_that_overlap_or_nearly_touch_are_one_stretch_of_work():
    assert stretches([(0, 10), (5, 8), (40, 50), (1000, 1010)]) == [(0, 50), (1000, 1010)]


def test_the_night_in_which_a_run_was_dead_does_not_count(tmp_path):
    folder, plan, chunks = make_screen(tmp_path / "screen", [row(number) for number in range(1, 8)], [3, 4])
    for chunk in chunks:
        finish_chunk(folder, plan, chunk)
    first, second = (
        dataclasses.replace(read_manifest(folder.results / name), begun=begun, seconds={"cellprofiler": 36.0})
        for name, begun in (("000001", "2026-01-01T20:00:00+00:00"), ("000002", "2026-01-02T08:00:00+00:00"))
    )
    found = measure_throughput([first, second])
    assert (found.worked_seconds, found.process_seconds) == (72.0, 72.0)
    assert found.span_seconds == 12 * 3600 + 36
    assert found.per_hour == pytest.approx(7 * 3600 / 72)
