import logging
import sys

import pytest

from nucdl_core import progress
from nucdl_core.cli import segment as cli
from nucdl_core.progress import LoggedProgress


def test_the_log_gets_a_line_every_ten_seconds_and_none_about_quick_images(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    tell = LoggedProgress()
    for seconds, done in ((104.0, 1), (109.9, 2), (110.0, 3), (119.0, 4), (121.0, 5)):
        now[0] = seconds
        tell(done, 40)
    assert caplog.messages == ["3 of 40 tiles are done (7 %)", "5 of 40 tiles are done (12 %)"]


@pytest.mark.parametrize("screen", [True, False])
def test_tiles_are_counted_on_a_screen_and_logged_without_one(monkeypatch, screen):
    monkeypatch.setattr(sys, "stderr", type("Stream", (), {"isatty": lambda self: screen})())
    told = cli.tile_progress()
    assert told is cli.show_tiles if screen else isinstance(told, LoggedProgress)
