"""The real Snakemake with a profile, and a stand-in for a cluster that kills jobs for their memory."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from screen_folders import make_screen, row

from nucdl_core.screen.cellprofiler import engine
from nucdl_core.screen.cellprofiler.engine import MEMORY_BESIDE_MB, EngineOptions, find_snakemake, run_missing_chunks
from nucdl_core.screen.core.plan import ScreenError, ScreenLimits

REPOSITORY = Path(__file__).resolve().parents[2]
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
CHUNK = """#!{python}
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from nucdl_core.screen.core.plan import ScreenFolder, read_chunks, read_plan
from screen_folders import finish_chunk
_, output, number, _, marker, *others = sys.argv[2:]
folder = ScreenFolder(Path(output))
finish_chunk(folder, read_plan(folder), read_chunks(folder)[int(number) - 1])
Path({place!r}, "arguments").write_text(" ".join(others))
Path(marker).parent.mkdir(exist_ok=True)
Path(marker).touch()
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Return a function that makes a cluster, on which a chunk needs so much memory; it has one node."""
    try:
        find_snakemake()
    except ScreenError as error:
        pytest.skip(str(error))

    def make(needed):
        path = [str(REPOSITORY), str(REPOSITORY / "tests" / "unit")]
        values = {"place": str(tmp_path), "needed": needed, "python": sys.executable, "path": path}
        programs = {"sbatch": SBATCH, "status": "#!/bin/sh\ncat {place}/status-$1\n", "python": CHUNK}
        for name, text in programs.items():
            (tmp_path / name).write_text(text.format(**values), encoding="utf-8")
            (tmp_path / name).chmod(0o755)
        (tmp_path / "profile").mkdir()
        (tmp_path / "profile" / "config.yaml").write_text(PROFILE.format(**values), encoding="utf-8")
        own = SimpleNamespace(executable=str(tmp_path / "python"), platform=sys.platform)
        monkeypatch.setattr(engine, "sys", own)
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
    assert run_missing_chunks(screen, options) == [], (screen.work / engine.LOG).read_text()
    assert asked_for(tmp_path) == [(DECLARED_MB, 1), (2 * DECLARED_MB, 1)]
    assert (tmp_path / "arguments").read_text() == "--with-parent --gpus 0"


def test_a_job_for_which_no_retry_suffices_leaves_its_chunk_undone(screen, cluster, tmp_path):
    options = EngineOptions(profile=cluster(4 * DECLARED_MB), retries=2)
    with pytest.raises(ScreenError, match="without any chunk"):
        run_missing_chunks(screen, options)
    assert asked_for(tmp_path) == [(attempt * DECLARED_MB, 0) for attempt in (1, 2, 3)]
