"""Whether the engine's process can be started."""

import sys

import pytest

from nucdl_core.errors import NucDLError
from nucdl_core.worker.trial import try_process


def test_an_engine_that_answers_passes():
    assert try_process([sys.executable, "-c", "from nucdl_core.cli.main import main; main()", "worker"]) > 0


@pytest.mark.parametrize("code", ["pass", "print('Usage: nucdl')", "raise SystemExit('broken')"])
def test_what_does_not_answer_fails(code):
    with pytest.raises(NucDLError, match="does not serve CellProfiler's modules"):
        try_process([sys.executable, "-c", code])


def test_a_program_that_is_not_there_fails(tmp_path):
    with pytest.raises(NucDLError, match="No such file"):
        try_process([str(tmp_path / "nucdl")])
