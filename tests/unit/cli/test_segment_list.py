"""nucdl segment --csv: options, exit codes, and its neighbours among the commands."""

import json
import os
import signal

import pandas as pd
import pytest
from click.testing import CliRunner
from fast_folders import CONFIG, make_plate, plan

from nucdl_core.cli import fast_worker as cli_fast_worker
from nucdl_core.cli.main import main
from nucdl_core.cli.segment_list import LABEL_KINDS
from nucdl_core.cli.words import NOT_FINISHED, SOME_FAILED
from nucdl_core.errors import NucDLError
from nucdl_core.screen.core.plan import ScreenLimits
from nucdl_core.screen.core.process import StopRequest
from nucdl_core.screen.fast import images as fast_images
from nucdl_core.screen.fast import run as fast_run
from nucdl_core.screen.fast import watch as fast_watch
from nucdl_core.screen.fast.label_images import LABEL_FORMATS
from nucdl_core.screen.fast.task import FastRequest, FastTask, format_task
from nucdl_core.screen.fast.watch import UnfinishedError

IN_ANOTHER_PROCESS = fast_watch.watch_run


def nucdl(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def segment(path, output, *options):
    return nucdl("segment", "--csv", path, "--output", output, "--diameter", 24, *options)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Do the work here, where it can be tampered with, rather than in a process that takes seconds to start."""

    def work(task):
        # Little is told, so that it fits into the pipe without anybody reading.
        reading, writing = os.pipe()
        try:
            return cli_fast_worker.worker_program([format_task(task), str(writing)])
        finally:
            os.close(reading)

    monkeypatch.setattr(fast_watch, "watch_run", work)


def test_the_command_and_the_engine_know_the_same_label_images():
    assert LABEL_KINDS == LABEL_FORMATS


def test_a_plate_is_segmented_by_another_process_and_its_folder_is_a_screen(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(fast_watch, "watch_run", IN_ANOTHER_PROCESS)
    path, output = make_plate(tmp_path / "plate"), tmp_path / "out"
    done = segment(path, output, "--labels", "none", "--workers", 2)
    told = capfd.readouterr()
    assert done.exit_code == 0, told.err
    assert "5 image sets succeeded, 0 failed" in told.out
    assert (output / "merged" / "report.html").read_text().count("<img") > 3
    assert "CellProfiler" not in (output / "merged" / "report.html").read_text()
    assert "5 succeeded, 0 failed, 0 to do" in nucdl("screen", "status", "--output", output).output
    assert nucdl("screen", "report", "--output", output).exit_code == 0
    refused = nucdl("screen", "resume", "--output", output)
    assert refused.exit_code == 1
    assert "was made by 'nucdl segment --csv'; repeat that command" in refused.output


@pytest.mark.usefixtures("no_figures")
def test_what_is_written_besides_is_chosen_as_for_files(tmp_path):
    done = segment(make_plate(tmp_path / "plate", ["good"]), tmp_path / "out", "--overlay", "--keep", "area > 1")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out").rglob("*_overlay.png"))) == 1


@pytest.mark.usefixtures("no_figures")
def test_failures_are_told_by_the_exit_code_and_named_in_a_table(tmp_path):
    path, output = make_plate(tmp_path / "plate", ["good", "cut"]), tmp_path / "out"
    done = segment(path, output)
    assert done.exit_code == SOME_FAILED, done.output
    assert "failed_image_sets.csv" in done.output
    assert list(pd.read_csv(output / "merged" / "failed_image_sets.csv")["ImageNumber"]) == [2]


def test_a_run_that_does_not_finish_says_why_and_how_to_go_on(tmp_path, monkeypatch):
    def fail(path, labels):
        raise NucDLError("No space left on device")

    monkeypatch.setattr(fast_images, "write_label_image", fail)
    done = segment(make_plate(tmp_path / "plate", ["good"]), tmp_path / "out")
    assert done.exit_code == NOT_FINISHED
    assert "chunk 000001: No space left on device" in done.output
    assert "repeat this command" in done.output


def test_a_stopped_run_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(fast_run, "run_chunks", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    done = segment(make_plate(tmp_path / "plate", ["good"]), tmp_path / "out")
    assert done.exit_code == 128 + signal.SIGTERM
    assert "stopped; the same command goes on" in done.output


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (StopRequest(130), 130, "stopped; the same command goes on"),
        (UnfinishedError("the process ended"), NOT_FINISHED, "the process ended; the same command goes on"),
    ],
)
def test_what_ends_the_watching_ends_the_command(tmp_path, monkeypatch, error, code, words):
    def fail(task):
        raise error

    monkeypatch.setattr(fast_watch, "watch_run", fail)
    done = segment(make_plate(tmp_path / "plate", ["good"]), tmp_path / "out")
    assert (done.exit_code, done.output.strip()) == (code, words)


@pytest.mark.parametrize("name", ["--workers", "--lanes"])
def test_limits_and_options_reach_the_process(tmp_path, monkeypatch, name):
    tasks = []
    monkeypatch.setattr(fast_watch, "watch_run", lambda task: tasks.append(task) or 0)
    options = ("--image-set-seconds", 5, "--memory", 300, "--max-pixels", 100, "--colour", "--read-seconds", 2)
    done = segment(make_plate(tmp_path / "plate", ["good"]), tmp_path / "out", *options, "--retry-failed", name, 3)
    assert done.exit_code == 0, done.output
    limits = ScreenLimits(pixels=100, seconds=5, read_seconds=2, memory_mb=300, colour=True)
    assert tasks[0].request.limits == limits
    assert (tasks[0].workers, tasks[0].retry_failed, tasks[0].alone) == (3, True, None)


def test_an_image_set_that_is_tried_alone_says_nothing(tmp_path, capfd):
    path = make_plate(tmp_path / "plate", ["good"])
    plan(path, tmp_path / "out")
    task = FastTask(FastRequest(path, tmp_path / "out", CONFIG), alone=1)
    with open(tmp_path / "told", "w") as stream:
        assert cli_fast_worker.worker_program([format_task(task), str(os.dup(stream.fileno()))]) == 0
    told = [json.loads(line)[:2] for line in (tmp_path / "told").read_text().splitlines()]
    assert told == [["begin", [1]], ["read", [1]], ["was read", [1]], ["end", [1]]]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "no images came; give image files and folders, or a list by --csv"),
        (("{image}", "--csv", "{list}"), "image files and a list came; give either files and folders, or a list"),
        (("{image}", "--channel", "DNA"), "channel is 'DNA'; give its number, from 1"),
        (("--csv", "{list}", "--plane", "2"), "--plane goes with files only"),
        (("--csv", "{list}", "--recursive"), "--recursive goes with files only"),
        (("{image}", "--allow-missing"), "--allow-missing goes with --csv only"),
        (("{image}", "--memory", "9"), "--memory goes with --csv only"),
        (("{image}", "--colour"), "--colour goes with --csv only"),
        (("{image}", "--lanes", "2"), "--lanes goes with --csv only"),
        (("--csv", "{list}", "--image-set-seconds", "0"), "the limit seconds is 0.0; it must be above 0"),
        (("--csv", "{list}", "--read-seconds", "inf"), "the limit read_seconds is inf; it must be above 0 and finite"),
        (("--csv", "{list}", "--channel", "RNA"), "no image 'RNA', only DNA"),
        (("--csv", "{list}", "--threshold", "2"), "it must lie between 0 and 1"),
        (("--csv", "{image}"), "the file is damaged or not saved as CSV"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line_and_nothing_is_started(tmp_path, options, reason):
    path = make_plate(tmp_path / "plate", ["good"])
    image = path.parent / "images" / "001_good.tif"
    given = [option.format(image=image, list=path) for option in options]
    done = nucdl("segment", *given, "--output", tmp_path / "out")
    assert done.exit_code == 1
    assert done.output.startswith("Error: ") and reason in done.output
    assert done.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_figures")
def test_limits_of_images_can_be_set(tmp_path):
    path = make_plate(tmp_path / "plate", ["good"])
    done = segment(path, tmp_path / "out", "--max-pixels", 100)
    assert done.exit_code == SOME_FAILED
    assert "100" in pd.read_csv(tmp_path / "out" / "merged" / "failed_image_sets.csv")["Reason"][0]


def test_the_former_name_of_the_workers_is_not_shown():
    shown = nucdl("segment", "--help").output
    assert "--workers" in shown and "--lanes" not in shown
    for option in ("--max-pixels", "--read-seconds", "--image-set-seconds", "--memory", "--colour"):
        assert option in shown and option in nucdl("screen", "plan", "--help").output
