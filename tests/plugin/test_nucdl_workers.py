"""Workers of CellProfiler's window share the cores."""

import os
import sys

import psutil
import pytest
import torch


@pytest.fixture
def workers(cellprofiler):
    """The module under test; the number of threads is put back."""
    import _nucdl_workers

    before = torch.get_num_threads()
    _nucdl_workers.share_cores.cache_clear()
    yield _nucdl_workers
    torch.set_num_threads(before)
    _nucdl_workers.share_cores.cache_clear()


class Process:
    """What psutil knows about a process."""

    def __init__(self, *arguments, children=(), gone=False):
        self.arguments, self.below, self.gone = arguments, children, gone

    def cmdline(self):
        if self.gone:
            raise psutil.NoSuchProcess(1)
        return list(self.arguments)

    def children(self):
        return list(self.below)


def window_with(monkeypatch, *children):
    window = Process("cellprofiler", children=children)
    monkeypatch.setattr(psutil.Process, "parent", lambda self: window)


WORKER = Process("python", "-u", "worker", "--work-announce", "tcp://127.0.0.1:1")


def test_four_workers_on_eight_cores_use_two_threads_each(workers, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(sys, "argv", ["worker", "--work-announce", "tcp://127.0.0.1:1"])
    window_with(monkeypatch, WORKER, WORKER, WORKER, WORKER, Process("java"), Process("python", gone=True))
    torch.set_num_threads(8)
    workers.share_cores()
    assert torch.get_num_threads() == 2


def test_more_workers_than_cores_use_one_thread_each(workers, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(sys, "argv", ["worker", "--work-announce", "tcp://127.0.0.1:1"])
    window_with(monkeypatch, WORKER, WORKER, WORKER)
    torch.set_num_threads(2)
    workers.share_cores()
    assert torch.get_num_threads() == 1


def test_a_person_who_allows_fewer_threads_is_heard(workers, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(sys, "argv", ["worker", "--work-announce", "tcp://127.0.0.1:1"])
    window_with(monkeypatch, WORKER)
    torch.set_num_threads(1)
    workers.share_cores()
    assert torch.get_num_threads() == 1


def test_a_headless_run_uses_the_threads_that_it_has(workers, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(sys, "argv", ["cellprofiler", "-c", "-r"])
    window_with(monkeypatch, WORKER, WORKER)
    torch.set_num_threads(2)
    workers.share_cores()
    assert torch.get_num_threads() == 2


def test_a_worker_whose_window_is_gone_counts_as_the_only_one(workers, monkeypatch):
    monkeypatch.setattr(psutil.Process, "parent", lambda self: None)
    assert workers.count_workers() == 1
