"""Figures; most are looked at in the report."""

from __future__ import annotations

import pandas as pd

from nucdl_core.reports.figures import figure_bytes, learning_curves, times_per_image


def test_a_time_of_0_seconds_can_be_drawn():
    times = pd.DataFrame({"method": ["a", "a"], "image": ["x", "y"], "seconds": [0.0, 0.0]})
    assert len(figure_bytes(times_per_image(times, ["a"]), "png")) > 1000


def test_curves_without_any_look_have_no_legend(caplog):
    learning_curves({"run1": [], "run2": []}, 0.5)
    assert not caplog.records
