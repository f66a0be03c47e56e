"""nucdl segment --csv: options, exit codes, and its neighbours among the commands."""

import os
import signal

import pandas as pd
import pytest
from click.testing import CliRunner
from fast_folders import make_plate

from nucdl_core.cli import main
from nucdl_core.cli_fast import LABELS
from nucdl_core.cli_words import NOT_FINISHED, SOME_FAILED
from nucdl_core.errors import NucDLError
from nucdl_core.screen import fast_images, fast_run, report
from nucdl_core.screen.label_images import FORMATS


def nucdl(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def segment(path, output, *options):
    return nucdl("segment", "--csv", path, "--output", output, "--diameter", 24, *options)


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing the maps of a report takes longer than all else."""
    monkeypatch.setattr(report, "can_write_html", lambda: False)


def test_the_command_and_the_engine_know_the_same_label_images():
    assert LABELS == FORMATS


def test_a_plate_is_segmented_and_its_folder_is_a_screen(tmp_path):
    path, output = make_plate(tmp_path / "plate"), tmp_path / "out"
    done = segment(path, output, "--labels", "none", "--lanes", 2)
    assert done.exit_code == 0, done.output
    assert "5 image sets succeeded, 0 failed" in done.output
    assert (output / "merged" / "report.html").read_text().count("<img") > 3
    assert "CellProfiler" not in (output / "merged" / "report.html").read_text()
    assert "5 succeeded, 0 failed, 0 to do" in nucdl("screen", "status", "--output", output).output
    assert nucdl("screen", "report", "--output", output).exit_code == 0
    refused = nucdl("screen", "resume", "--output", output)
    assert refused.exit_code == 1
    assert "was made by 'nucdl segment --csv'; repeat that command" in refused.output


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
    ("options", "reason"),
    [
        ((), "give either image files and folders, or a list by --csv"),
        (("{image}", "--csv", "{list}"), "give either image files and folders, or a list by --csv"),
        (("{image}", "--channel", "DNA"), "--channel goes with --csv only"),
        (("{image}", "--allow-missing"), "--allow-missing goes with --csv only"),
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
