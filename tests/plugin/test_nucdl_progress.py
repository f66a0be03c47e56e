"""How CellProfiler is told how far a large image is."""

from __future__ import annotations

import threading

import numpy as np
import pytest

PROGRESS = [("NucDL", 0, "Finding nuclei"), ("NucDL", 0.5, "Finding nuclei"), ("NucDL", 1, "Finding nuclei")]


@pytest.fixture
def reports(module, monkeypatch):
    """The reports that reach CellProfiler."""
    import _nucdl_progress

    reports = []
    monkeypatch.setattr(_nucdl_progress, "report_progress", lambda *report: reports.append(report))
    return reports


def two_tiles():
    from _nucdl_progress import tile_progress

    tell = tile_progress("Finding nuclei")
    tell(1, 2)
    tell(2, 2)


def test_the_module_passes_its_progress_to_the_engine(module, make_workspace, engine_finds, nuclei_grid, reports):
    calls = engine_finds(nuclei_grid(2))
    module.run(make_workspace(module, np.zeros(nuclei_grid(2).shape, np.float32)))
    calls[0].progress(1, 2)
    assert reports == PROGRESS[:2]


def test_the_status_line_is_told_from_the_beginning_to_the_end(reports):
    two_tiles()
    assert reports == PROGRESS


def test_the_thread_of_a_worker_makes_no_reports(reports):
    thread = threading.Thread(target=two_tiles)
    thread.start()
    thread.join()
    assert reports == []
