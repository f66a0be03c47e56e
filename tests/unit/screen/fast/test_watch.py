"""Watching the process of the fast path: which image set is the culprit when it dies, and when none is."""

from __future__ import annotations

import collections
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from screen_folders import PROGRAMS, make_screen, row

from nucdl_core.config import SegmentConfig
from nucdl_core.errors import ConfigError, NucDLError
from nucdl_core.screen.core import disk
from nucdl_core.screen.core.plan import ScreenError, ScreenLimits
from nucdl_core.screen.core.process import StopRequest
from nucdl_core.screen.core.work import private_folders, read_error
from nucdl_core.screen.fast import watch as fast_watch
from nucdl_core.screen.fast.culprits import CULPRITS, Culprit, add_culprits, forget_culprits, read_culprits
from nucdl_core.screen.fast.task import FastRequest, FastTask, format_task, parse_task
from nucdl_core.screen.fast.watch import UnfinishedError, watch_run, worker_command

REPOSITORY = Path(__file__).resolve().parents[4]
SEGFAULT = Culprit("the process ended by signal 11 (SIGSEGV)")


@pytest.fixture
def screen(tmp_path):
    folder = make_screen(tmp_path / "out", [row(number) for number in range(1, 5)], [2, 2])[0]
    folder.work.mkdir()
    return folder


@pytest.fixture
def watch(screen, monkeypatch):
    """Return a function that watches the stand-in for the process that works, see there for its cases."""

    def run(case, **options):
        command = (sys.executable, str(PROGRAMS / "worker_stand_in.py"), case)
        monkeypatch.setattr(fast_watch, "worker_command", lambda: command)
        return watch_run(task_of(screen, **options))

    return run


def task_of(screen, retry_failed=False, **limits):
    request = FastRequest(Path("list.csv"), screen.root, SegmentConfig(), limits=ScreenLimits(**limits))
    return FastTask(request, retry_failed=retry_failed)


def tasks(screen):
    """Tell of each process that there was: the image set that it tried alone, its workers, whether it retried."""
    return [line.split() for line in (screen.root / "tasks").read_text().splitlines()]


def test_a_task_survives_being_written_and_read():
    request = FastRequest(
        Path("a b.csv"), Path("out"), SegmentConfig(diameter=24), "DNA", limits=ScreenLimits(pixels=9)
    )
    task = FastTask(request, workers=2, retry_failed=True, alone=3)
    assert parse_task(format_task(task)) == task


def test_a_task_of_another_version_is_refused():
    text = format_task(FastTask(FastRequest(Path("a.csv"), Path("out"), SegmentConfig())))
    with pytest.raises(ConfigError, match="unknown setting lanes; FastTask knows"):
        parse_task(text.replace('"workers"', '"lanes"'))


@pytest.mark.parametrize(("case", "code"), [("Calm", 0), ("SomeFailed", 3), ("Stopped", 128 + signal.SIGTERM)])
def test_a_process_that_ends_by_itself_is_believed(screen, watch, case, code):
    assert watch(case) == code
    assert not (screen.work / CULPRITS).exists()


def test_an_image_set_at_which_the_process_crashes_is_tried_alone_and_left_out(screen, watch, caplog):
    assert watch("CrashesAt3") == 0
    assert read_culprits(screen) == {3: SEGFAULT}
    assert [alone for alone, *_ in tasks(screen)] == ["None", "3", "None"]
    assert f"image set 3 is left out: {SEGFAULT.reason}" in caplog.text


def test_of_several_that_were_open_the_one_that_crashes_alone_is_the_culprit(screen, watch):
    assert watch("CrashesAt4While1IsOpen") == 0
    assert read_culprits(screen) == {4: SEGFAULT}
    assert [alone for alone, *_ in tasks(screen)][:3] == ["None", "1", "4"]


def test_a_process_that_does_not_leave_out_a_culprit_ends_the_run(screen, watch):
    with pytest.raises(UnfinishedError, match="at no image set"):
        watch("LeavesNothingOut")
    assert len(tasks(screen)) == 3


def test_several_culprits_are_found_one_after_the_other(screen, watch):
    assert watch("CrashesAt2And4") == 0
    assert set(read_culprits(screen)) == {2, 4}


def test_an_image_set_at_which_the_process_hangs_is_a_culprit(screen, watch):
    assert watch("HangsAt2", seconds=0.5) == 0
    assert read_culprits(screen) == {2: Culprit("the process took more than the limit of 0.5 s for an image set")}


def test_other_image_sets_that_go_on_do_not_hide_one_that_hangs(screen, watch):
    assert watch("HangsAt2WhileOthersGoOn", seconds=0.5) == 0
    assert set(read_culprits(screen)) == {2}


def test_a_file_that_takes_too_long_to_read_names_its_image_set_at_once(screen, watch, caplog):
    assert watch("ReadsFor", read_seconds=0.5) == 0
    reason = "DNA: /2.tif: reading takes more than 0.5 s; is the file damaged, or the disk slow?"
    assert read_culprits(screen) == {2: Culprit(reason, reading=True)}
    assert [alone for alone, *_ in tasks(screen)] == ["None", "None"]
    assert f"image set 2 is left out: {reason}" in caplog.text


def test_a_file_that_takes_too_long_to_read_when_its_image_set_is_tried_alone_is_named(screen, watch):
    assert watch("CrashesAt3AndReadsItForEverAlone", read_seconds=0.5) == 0
    (culprit,) = read_culprits(screen).values()
    assert culprit.reading and culprit.reason.startswith("DNA: /3.tif: reading takes more than 0.5 s")


def test_an_image_set_at_which_the_process_swells_is_a_culprit(screen, watch):
    assert watch("SwellsAt2", memory_mb=100) == 0
    assert read_culprits(screen) == {2: Culprit("the process took more memory than the limit of 100 MiB")}


def test_where_each_image_set_can_be_done_alone_all_go_on_with_fewer_workers(screen, watch):
    assert watch("TooManyWorkersAt2") == 0
    assert not read_culprits(screen)
    assert [workers for alone, workers, _ in tasks(screen) if alone == "None"] == ["4", "2", "1"]


def test_a_process_that_dies_again_and_again_without_a_culprit_ends_the_run(screen, watch):
    with pytest.raises(UnfinishedError, match=r"SIGSEGV\), 3 times, but at none of the image sets 3 alone"):
        watch("CrashesAt3UnlessAlone")
    assert [alone for alone, *_ in tasks(screen)] == ["None", "3"] * 3
    assert read_error(screen, "000001") is None
    assert "3 times" in read_error(screen, "000002")
    assert not read_culprits(screen)


def test_chunks_that_are_finished_in_between_give_another_chance(screen, watch):
    assert watch("CrashesAt3WithAChunkEachTime") == 0
    assert len(tasks(screen)) == 9


def test_a_process_that_dies_between_image_sets_ends_the_run(screen, watch):
    with pytest.raises(UnfinishedError, match="SIGSEGV. while it was at no image set"):
        watch("DiesAtTheStart")
    assert len(tasks(screen)) == 1


@pytest.mark.parametrize("case", ["DiesAtTheStartAlone", "CannotTryAlone"])
def test_where_an_image_set_cannot_be_tried_there_is_no_culprit(screen, watch, case):
    with pytest.raises(UnfinishedError, match="3 times"):
        watch(case)
    assert not read_culprits(screen)


def test_a_process_that_never_begins_the_image_set_that_it_is_to_try_is_killed(screen, watch, monkeypatch):
    monkeypatch.setattr(fast_watch, "START_SECONDS", 0.0)
    with pytest.raises(UnfinishedError, match="3 times"):
        watch("NeverBeginsAlone", seconds=0.5)
    assert not read_culprits(screen)


def test_a_full_disk_is_no_fault_of_an_image(screen, watch, monkeypatch):
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage(2**20))
    with pytest.raises(UnfinishedError, match=r"has only 1.0 MiB left; make room"):
        watch("DiskErrorAt3")
    assert len(tasks(screen)) == 1
    assert "MiB left" in read_error(screen, "000002")


def test_what_had_failed_is_discarded_only_once(screen, watch):
    assert watch("CrashesAt3", retry_failed=True) == 0
    assert [retry for *_, retry in tasks(screen)] == ["True", "False", "False"]


def test_a_signal_stops_the_process_and_tidies_up(screen, watch):
    with pytest.raises(StopRequest) as stopped:
        watch("LeavesSomething")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert not private_folders(screen)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent is gone")
def test_the_process_dies_with_the_one_that_watches_it(screen):
    program = [sys.executable, PROGRAMS / "watches.py", "LeavesSomethingAndKills", format_task(task_of(screen))]
    # Both write into the same pipe, which ends only when both are gone.
    killed = subprocess.run(program, capture_output=True, check=False, timeout=200)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert private_folders(screen)


def test_culprits_can_be_forgotten_and_an_altered_file_is_refused(screen):
    assert read_culprits(screen) == {}
    add_culprits(screen, {12: Culprit("why")})
    add_culprits(screen, {3: Culprit("how", reading=True)})
    assert read_culprits(screen) == {12: Culprit("why"), 3: Culprit("how", reading=True)}
    forget_culprits(screen)
    assert read_culprits(screen) == {}
    for text in ("[]", '{"1": {"reason": "why"}}', '{"one": "why"}', "[" * 100_000):
        (screen.work / CULPRITS).write_text(text)
        with pytest.raises(ScreenError, match=r"blamed.json cannot be understood"):
            read_culprits(screen)


def test_culprits_that_earlier_versions_found_are_known(screen):
    (screen.work / CULPRITS).write_text('{"3": "the process ended by signal 11 (SIGSEGV)"}')
    assert read_culprits(screen) == {3: SEGFAULT}


def test_culprits_that_cannot_be_written_end_the_run(screen, watch):
    with pytest.raises(NucDLError, match=f"{CULPRITS}: cannot be written"):
        watch("CrashesAt3AndTakesTheFolderAway")


def test_the_process_finds_its_modules_where_this_one_does(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')")
    done = subprocess.run([*worker_command(), "{}", "1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "this setting is missing, in request" in done.stderr


def test_whoever_watches_stays_small():
    code = "import nucdl_core.cli.main, nucdl_core.screen.fast.watch, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert not {"numpy", "pandas", "torch"} & set(done.stdout.split())
