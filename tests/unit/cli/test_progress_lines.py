"""Progress where there is no terminal."""

from nucdl_core.cli import progress_lines
from nucdl_core.cli.progress_lines import ProgressLines, shown_progress
from nucdl_core.progress import time_in_words


def test_a_line_tells_rate_and_time_left_without_what_was_done_before(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress_lines.time, "monotonic", lambda: now[0])
    lines = ProgressLines(90, "image sets")
    lines.update(30)
    now[0] += 29
    lines.update(10)
    assert capsys.readouterr().err == ""
    now[0] += 31
    lines.update(10)
    assert capsys.readouterr().err == "50 of 90 image sets done, 20 per minute, about 2 min left\n"


def test_without_a_terminal_the_last_line_says_how_much_was_done(capsys):
    with shown_progress(3, "chunks") as count:
        count(0)
        count(3)
    assert capsys.readouterr().err.startswith("3 of 3 chunks done")


def test_times_are_told_as_people_do():
    assert [time_in_words(seconds) for seconds in (40, 420, 12000)] == ["40 s", "7 min", "3 h 20 min"]
