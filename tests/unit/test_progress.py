import logging

from nucdl_core import progress
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
