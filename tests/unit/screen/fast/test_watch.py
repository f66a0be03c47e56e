"""Watching the process of the fast path: which image set is blamed when it dies, and when none is."""

from __future__ import annotations

import collections
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from screen_folders import make_screen, row

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import NucDLError
from nucdl_core.screen.core.plan import ScreenError, ScreenLimits
from nucdl_core.screen.core.process import StopRequest
from nucdl_core.screen.core.work import private_folders, read_error
from nucdl_core.screen.fast import watch as fast_watch
from nucdl_core.screen.fast.culprits import BLAME, add_blame, forget_blame, read_blame
from nucdl_core.screen.fast.task import FastRequest, FastTask, format_task, parse_task
from nucdl_core.screen.fast.watch import UnfinishedError, watch_run, worker_command

REPOSITORY = Path(__file__).resolve().parents[4]
SEGFAULT = "the process ended by signal 11 (SIGSEGV)"
# Stands in for the process that does the work: two lanes with four image sets, at which it does what a test wants.
WORKER = """
import json, os, pathlib, signal, sys, time
task, pipe = json.loads(sys.argv[-2]), int(sys.argv[-1])
root = pathlib.Path(task["request"]["output"])
blamed = root / "work" / "blamed.json"
left_out = [int(number) for number in json.loads(blamed.read_text())] if blamed.exists() else []
alone, lanes = task["alone"], task["lanes"] or 4
with open(root / "tasks", "a") as tasks:
    print(alone, lanes, task["retry_failed"], file=tasks)
def tell(word, *numbers):
    os.write(pipe, (json.dumps([word, numbers]) + chr(10)).encode())
def die(number=signal.SIGSEGV):
    os.kill(os.getpid(), number)
def work(number):
    pass
CASE
if alone:
    tell("begin", alone)
    work(alone)
    tell("end", alone)
else:
    tell("lanes", lanes)
    for number in range(1, 5):
        if number not in left_out:
            tell("begin", number)
        if number > 1 and number - 1 not in left_out:
            tell("end", number - 1)
        if number not in left_out:
            work(number)
"""


@pytest.fixture
def screen(tmp_path):
    folder = make_screen(tmp_path / "out", [row(number) for number in range(1, 5)], [2, 2])[0]
    folder.work.mkdir()
    return folder


def task_of(screen, retry_failed=False, **limits):
    request = FastRequest(Path("list.csv"), screen.root, SegmentConfig(), limits=ScreenLimits(**limits))
    return FastTask(request, retry_failed=retry_failed)


def command_of(case):
    return sys.executable, "-c", WORKER.replace("CASE", case)


def watch(screen, case, **options):
    return watch_run(task_of(screen, **options), command_of(case))


def tasks(screen):
    """Each process that there was: the image set that it tried alone, its lanes, whether failed ones were repeated."""
    return [line.split() for line in (screen.root / "tasks").read_text().splitlines()]


def test_a_task_survives_being_written_and_read():
    request = FastRequest(
        Path("a b.csv"), Path("out"), SegmentConfig(diameter=24), "DNA", limits=ScreenLimits(pixels=9)
    )
    task = FastTask(request, lanes=2, retry_failed=True, alone=3)
    assert parse_task(format_task(task)) == task


def test_a_process_that_ends_by_itself_is_believed(screen):
    assert watch(screen, "") == 0
    assert watch(screen, "sys.exit(3)") == 3
    assert watch(screen, "sys.exit(128 + signal.SIGTERM)") == 128 + signal.SIGTERM
    assert not (screen.work / BLAME).exists()


def test_an_image_set_at_which_the_process_crashes_is_tried_alone_blamed_and_left_out(screen, caplog):
    assert watch(screen, "def work(number): number == 3 and die()") == 0
    assert read_blame(screen) == {3: SEGFAULT}
    assert [alone for alone, *_ in tasks(screen)] == ["None", "3", "None"]
    assert f"image set 3 is to blame: {SEGFAULT}" in caplog.text


def test_of_several_that_were_open_the_one_that_crashes_alone_is_blamed(screen):
    case = "def work(number):\n    alone or 4 in left_out or tell('begin', 4)\n    "
    case += "(number == 4 or not alone and 4 not in left_out) and die()"
    assert watch(screen, case) == 0
    assert read_blame(screen) == {4: SEGFAULT}
    assert [alone for alone, *_ in tasks(screen)][:3] == ["None", "1", "4"]


def test_a_process_that_does_not_leave_out_what_was_blamed_ends_the_run(screen):
    with pytest.raises(UnfinishedError, match="at no image set"):
        watch(screen, "left_out = []\ndef work(number): number == 3 and die()")
    assert len(tasks(screen)) == 3


def test_several_culprits_are_found_one_after_the_other(screen):
    assert watch(screen, "def work(number): number in (2, 4) and die(signal.SIGABRT)") == 0
    assert set(read_blame(screen)) == {2, 4}


def test_an_image_set_at_which_the_process_hangs_is_blamed(screen):
    assert watch(screen, "def work(number): number == 2 and time.sleep(1000)", seconds=0.5) == 0
    assert read_blame(screen) == {2: "the process took more than the limit of 0.5 s for an image set"}


def test_other_image_sets_that_go_on_do_not_hide_one_that_hangs(screen):
    # Another one is open at any time, but never for long.
    case = "def work(number):\n    alone or number != 2 or tell('begin', 9)\n    while number == 2:\n        "
    case += "alone or (tell('begin', 10), tell('end', 9), time.sleep(0.01), tell('begin', 9), tell('end', 10))"
    assert watch(screen, case, seconds=0.5) == 0
    assert set(read_blame(screen)) == {2}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is watched on Linux")
def test_an_image_set_at_which_the_process_swells_is_blamed(screen):
    case = "def work(number):\n    x = number == 2 and (bytearray(b'1' * 200_000_000), time.sleep(1000))"
    assert watch(screen, case, memory_mb=100) == 0
    assert read_blame(screen) == {2: "the process took more memory than the limit of 100 MiB"}


def test_where_no_image_set_alone_is_to_blame_all_go_on_with_fewer_lanes(screen):
    assert watch(screen, "def work(number): alone or lanes > 1 and number == 2 and die(signal.SIGKILL)") == 0
    assert not read_blame(screen)
    assert [lanes for alone, lanes, _ in tasks(screen) if alone == "None"] == ["4", "2", "1"]


def test_a_process_that_dies_again_and_again_without_a_culprit_ends_the_run(screen):
    with pytest.raises(UnfinishedError, match=r"SIGSEGV\), 3 times, but at none of the image sets 3 alone"):
        watch(screen, "def work(number): alone or number == 3 and die()")
    assert [alone for alone, *_ in tasks(screen)] == ["None", "3"] * 3
    assert read_error(screen, "000001") is None
    assert "3 times" in read_error(screen, "000002")
    assert not read_blame(screen)


def test_chunks_that_are_finished_in_between_give_another_chance(screen):
    case = "places = root / 'results'\ndef work(number):\n    count = len(list(places.glob('*'))) + 1\n    "
    case += "number != 3 or alone or count > 4 or ((places / str(count)).mkdir(parents=True), die())"
    assert watch(screen, case) == 0
    assert len(tasks(screen)) == 9


def test_a_process_that_dies_between_image_sets_ends_the_run(screen):
    with pytest.raises(UnfinishedError, match="SIGSEGV. while it was at no image set"):
        watch(screen, "die()")
    assert len(tasks(screen)) == 1


def test_where_a_process_dies_before_it_tries_the_image_set_nobody_is_blamed(screen):
    with pytest.raises(UnfinishedError, match="3 times"):
        watch(screen, "alone and die()\ndef work(number): number == 3 and die()")
    assert not read_blame(screen)


def test_where_an_image_set_cannot_be_tried_nobody_is_blamed(screen):
    with pytest.raises(UnfinishedError, match="3 times"):
        watch(screen, "alone and sys.exit(1)\ndef work(number): number == 3 and die()")
    assert not read_blame(screen)


def test_a_process_that_never_begins_the_image_set_that_it_is_to_try_is_killed(screen, monkeypatch):
    monkeypatch.setattr(fast_watch, "START_SECONDS", 0.0)
    with pytest.raises(UnfinishedError, match="3 times"):
        watch(screen, "alone and time.sleep(1000)\ndef work(number): number == 3 and die()", seconds=0.5)
    assert not read_blame(screen)


def test_a_full_disk_is_blamed_on_no_image(screen, monkeypatch):
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(fast_watch.shutil, "disk_usage", lambda _: usage(2**20))
    with pytest.raises(UnfinishedError, match=r"has only 1.0 MiB left; make room"):
        watch(screen, "def work(number): number == 3 and die(signal.SIGBUS)")
    assert len(tasks(screen)) == 1
    assert "MiB left" in read_error(screen, "000002")


def test_what_had_failed_is_discarded_only_once(screen):
    assert watch(screen, "def work(number): number == 3 and die()", retry_failed=True) == 0
    assert [retry for *_, retry in tasks(screen)] == ["True", "False", "False"]


LEAVES_SOMETHING = """
def work(number):
    (root / "work" / "000001-0123456789ab").mkdir(parents=True)
    os.kill(os.getppid(), signal.PARENT)
    time.sleep(1000)
"""


def test_a_signal_stops_the_process_and_tidies_up(screen):
    with pytest.raises(StopRequest) as stopped:
        watch(screen, LEAVES_SOMETHING.replace("PARENT", "SIGTERM"))
    assert stopped.value.code == 128 + signal.SIGTERM
    assert not private_folders(screen)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent is gone")
def test_the_process_dies_with_the_one_that_watches_it(screen):
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2]), str(Path(__file__).parents[3])]
    code = f"import sys; sys.path[:0] = {folders!r}; "
    code += f"from test_watch import *; watch_run(parse_task({format_task(task_of(screen))!r}), "
    code += f"command_of({LEAVES_SOMETHING.replace('PARENT', 'SIGKILL')!r}))"
    # Both write into the same pipe, which ends only when both are gone.
    killed = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, check=False, timeout=200)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert private_folders(screen)


def test_blame_can_be_forgotten_and_an_altered_file_is_refused(screen):
    assert read_blame(screen) == {}
    add_blame(screen, 12, "why")
    add_blame(screen, 3, "how")
    assert read_blame(screen) == {12: "why", 3: "how"}
    forget_blame(screen)
    assert read_blame(screen) == {}
    (screen.work / BLAME).write_text("[]")
    with pytest.raises(ScreenError, match=r"blamed.json cannot be understood"):
        read_blame(screen)


def test_blame_that_cannot_be_written_ends_the_run(screen):
    with pytest.raises(NucDLError, match=f"{BLAME}: cannot be written"):
        watch(screen, "def work(number): number == 3 and (os.rmdir(root / 'work') if alone else 0, die())")


def test_the_process_finds_its_modules_where_this_one_does(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    done = subprocess.run([*worker_command(), "{}", "1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "KeyError: 'request'" in done.stderr


def test_whoever_watches_stays_small():
    code = "import nucdl_core.cli.main, nucdl_core.screen.fast.watch, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert not {"numpy", "pandas", "torch"} & set(done.stdout.split())
