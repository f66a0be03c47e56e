"""The engine's process: it is started when it is needed, started again, and never left alone."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import psutil
import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
SERVE = """
import logging, os, signal, sys
from nucdl_core.worker import serve
class Service:
    def number(self): return os.getpid()
    def double(self, array): return array * 2
    def die(self):
        print("the last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    def die_once(self, path):
        if not os.path.exists(path):
            open(path, "w").close()
            self.die()
        return "alive"
    def log(self): logging.getLogger("nucdl_core.made_up").warning("50 %% of %s", "it")
    def odd(self):
        class OddError(Exception): pass
        raise OddError("odd")
    def tiles(self, progress):
        progress(1, 2)
        return 1
    def wait(self, progress):
        progress(1, 1)
        signal.pause()
logging.getLogger().setLevel(logging.INFO)
serve.serve(sys.stdin.buffer, sys.stdout.buffer, Service())
"""


@pytest.fixture
def remote(cellprofiler):
    """Return a function that makes an engine of a program in the language of the engine's process."""
    from _nucdl_places import EnginePlace
    from _nucdl_remote import RemoteEngine

    made = []

    def make(code=SERVE):
        made.append(RemoteEngine(EnginePlace([sys.executable, "-c", code], "the test")))
        return made[-1]

    yield make
    for each in made:
        if each._process is not None:
            each._process.end()


def test_it_starts_with_the_first_question_and_stays(remote):
    engine = remote()
    assert engine._process is None
    first = engine.number()
    assert first == engine.number() != os.getpid()


def test_one_that_dies_is_started_once_more_and_asked_again(remote, tmp_path, caplog):
    engine = remote()
    before = engine.number()
    assert engine.die_once(str(tmp_path / "died")) == "alive"
    assert engine.number() != before
    assert "has died in die_once and is started again" in caplog.text


def test_one_that_dies_twice_is_an_error_that_tells_how_and_what_to_do_and_the_next_question_is_answered(remote):
    from _nucdl_errors import NucDLError

    engine = remote()
    with pytest.raises(NucDLError, match=r"died twice in die \(.*signal 9; the last words\).*memory"):
        engine.die()
    assert engine.double(np.array([2])).tolist() == [4]


def test_its_log_is_ours(remote, caplog):
    caplog.set_level(logging.INFO)
    remote().log()
    assert ("nucdl_core.made_up", logging.WARNING, "50 % of it") in caplog.record_tuples


def test_an_error_of_a_class_that_is_unknown_here_keeps_its_name(remote):
    from _nucdl_errors import NucDLError

    with pytest.raises(NucDLError, match="OddError: odd"):
        remote().odd()


def test_whoever_interrupts_a_question_gets_no_old_answer_to_the_next_one(remote):
    engine = remote()
    before = engine.number()

    def interrupt(done, count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.tiles(progress=interrupt)
    assert engine.double(np.array([3])).tolist() == [6]
    assert engine.number() != before


def test_a_question_while_another_one_is_answered_is_refused(remote):
    from _nucdl_errors import NucDLError

    engine = remote()
    refused = []

    def ask_again(done, count):
        with pytest.raises(NucDLError, match="still computing") as caught:
            engine.number()
        refused.append(caught.value)

    assert engine.tiles(progress=ask_again) == 1
    assert len(refused) == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('No module named torch')", "No module named torch"),
        ("print('Usage: nucdl COMMAND')", "no message of NucDL"),
        ("pass", "ended with code 0"),
        (
            "import sys; from nucdl_core.worker import wire; "
            "wire.send(sys.stdout.buffer, 'ready', {'protocol': 0, 'version': '0', 'process': 1})",
            "version 0 of the language",
        ),
    ],
)
def test_what_is_no_engine_is_named_with_what_it_said(remote, code, said):
    from _nucdl_errors import NucDLError

    with pytest.raises(NucDLError, match=said) as caught:
        remote(code).number()
    assert "named by the test" in str(caught.value) and "nucdl plugins install" in str(caught.value)


def test_a_program_that_is_not_there_is_named(cellprofiler, tmp_path):
    from _nucdl_errors import NucDLError
    from _nucdl_places import EnginePlace
    from _nucdl_remote import RemoteEngine

    with pytest.raises(NucDLError, match="No such file"):
        RemoteEngine(EnginePlace([str(tmp_path / "nucdl")], "the test")).number()


@pytest.mark.skipif(not hasattr(os, "kill"), reason="a process is killed")
@pytest.mark.parametrize("computing", [False, True])
def test_it_ends_with_its_parent_even_if_that_is_killed(cellprofiler, computing):
    parent = f"""
    import sys
    sys.path.insert(0, {str(PLUGINS)!r})
    from _nucdl_places import EnginePlace
    from _nucdl_remote import RemoteEngine
    engine = RemoteEngine(EnginePlace([sys.executable, "-c", {SERVE!r}], "the test"))
    print(engine.number(), flush=True)
    engine.wait(progress=lambda *_: print("computing", flush=True)) if {computing} else sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        worker = psutil.Process(int(process.stdout.readline()))
        if computing:
            assert process.stdout.readline() == "computing\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert psutil.wait_procs([worker], timeout=60)[1] == []
