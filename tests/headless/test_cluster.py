"""The real Snakemake with a profile, and a stand-in for a cluster that kills jobs for their memory."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from real_snakemake import need_snakemake
from screen_folders import PROGRAMS, make_screen, row, write_command

from nucdl_core.screen.cellprofiler import engine
from nucdl_core.screen.cellprofiler.engine import MEMORY_BESIDE_MB, run_missing_chunks
from nucdl_core.screen.cellprofiler.snakemake import EngineOptions
from nucdl_core.screen.core.plan import ScreenError, ScreenLimits

MEMORY_MB = 4096
DECLARED_MB = MEMORY_MB + MEMORY_BESIDE_MB
SBATCH = """#!/bin/sh
# sbatch MEMORY_MB GPUS SCRIPT: runs the script at once, or kills it where it asked for less than it needs.
echo "$1 $2" >>{place}/asked
number=$(wc -l <{place}/asked)
status=failed
if [ "$1" -ge {needed} ] && sh "$3" >>{place}/log 2>&1; then status=success; fi
echo $status >{place}/status-$number
echo $number
"""
PROFILE = """\
executor: cluster-generic
cluster-generic-submit-cmd: {place}/sbatch {{resources.mem_mb}} {{resources.gpu}}
cluster-generic-status-cmd: {place}/status
jobs: 1
seconds-between-status-checks: 1
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Return a function that makes a cluster, on which a chunk needs so much memory; it has one node."""
    need_snakemake()

    def make(needed):
        values = {"place": str(tmp_path), "needed": needed}
        programs = {"sbatch": SBATCH, "status": "#!/bin/sh\ncat {place}/status-$1\n"}
        for name, text in programs.items():
            (tmp_path / name).write_text(text.format(**values), encoding="utf-8")
            (tmp_path / name).chmod(0o755)
        (tmp_path / "profile").mkdir()
        (tmp_path / "profile" / "config.yaml").write_text(PROFILE.format(**values), encoding="utf-8")
        write_command(tmp_path / "python", PROGRAMS / "chunk_stand_in.py")
        monkeypatch.setattr(engine, "sys", SimpleNamespace(executable=str(tmp_path / "python")))
        return str(tmp_path / "profile")

    return make


def asked_for(tmp_path):
    """Memory (MiB) and GPUs of each job, in order."""
    return [tuple(map(int, line.split())) for line in (tmp_path / "asked").read_text().splitlines()]


@pytest.fixture
def screen(tmp_path):
    return make_screen(tmp_path / "screen", [row(1), row(2)], [2], limits=ScreenLimits(memory_mb=MEMORY_MB))[0]


def test_a_job_that_a_cluster_kills_for_its_memory_gets_twice_as_much(screen, cluster, tmp_path):
    options = EngineOptions(profile=cluster(DECLARED_MB + 1), gpus=1, retries=1)
    assert run_missing_chunks(screen, options) == [], (screen.work / engine.SNAKEMAKE_LOG).read_text()
    assert asked_for(tmp_path) == [(DECLARED_MB, 1), (2 * DECLARED_MB, 1)]
    assert (tmp_path / "arguments").read_text() == "nucdl_core.screen.chunk --with-parent --gpus 0"


def test_a_job_for_which_no_retry_suffices_leaves_its_chunk_undone(screen, cluster, tmp_path):
    options = EngineOptions(profile=cluster(4 * DECLARED_MB), retries=2)
    with pytest.raises(ScreenError, match="without any chunk"):
        run_missing_chunks(screen, options)
    assert asked_for(tmp_path) == [(attempt * DECLARED_MB, 0) for attempt in (1, 2, 3)]
