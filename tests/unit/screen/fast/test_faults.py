"""The fast path with a process that really crashes, hangs or is killed at an image."""

import signal
import subprocess
import sys
import time

import fast_faults
import numpy as np
import pandas as pd
import pytest
import tifffile
from fast_faults import CRASHES, HANGS, HANGS_AT_READING, KILLS_ONCE, KILLS_PARENT, faulty_command
from fast_folders import CONFIG, make_plate, merged_bytes, plan

from nucdl_core.cli.words import SOME_FAILED
from nucdl_core.screen.core.plan import ScreenLimits
from nucdl_core.screen.core.work import private_folders
from nucdl_core.screen.fast import watch as fast_watch
from nucdl_core.screen.fast.culprits import Culprit, add_culprits, read_culprits
from nucdl_core.screen.fast.run import run_fast
from nucdl_core.screen.fast.task import FastRequest, FastTask, format_task
from nucdl_core.screen.fast.watch import watch_run

SEGFAULT = "the process ended by signal 11 (SIGSEGV)"
LIMITS = ScreenLimits(seconds=15, read_seconds=5)
HUNG = "the process took more than the limit of 15 s for an image set"


pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def plate(tmp_path):
    return make_plate(tmp_path / "plate")


def give_height(plate, number, height):
    path = plate.parent / "images" / f"{number:03d}_good.tif"
    tifffile.imwrite(path, np.zeros((height, 50), np.uint8))


def task_of(plate, output):
    return FastTask(FastRequest(plate, output, CONFIG, limits=LIMITS, chunk_size=2), workers=1)


@pytest.fixture
def watch(plate, tmp_path, monkeypatch):
    """Return a function that watches a process at whose images something happens."""
    monkeypatch.setattr(fast_watch, "worker_command", lambda: faulty_command(tmp_path / "marker"))
    return lambda: watch_run(task_of(plate, tmp_path / "out"))


def expected_bytes(plate, tmp_path, culprits):
    """Tables of a calm run in which these image sets are known to be culprits already."""
    folder, made = plan(plate, tmp_path / "out", limits=LIMITS)
    folder.work.mkdir(exist_ok=True)
    add_culprits(folder, culprits)
    run_fast(folder, made, 2)
    expected = merged_bytes(folder)
    folder.root.rename(tmp_path / "calm")
    return expected


@pytest.mark.slow
def test_images_at_which_the_process_crashes_and_hangs_are_named_and_the_others_done(plate, tmp_path, watch):
    give_height(plate, 2, CRASHES)
    give_height(plate, 5, HANGS)
    expected = expected_bytes(plate, tmp_path, {2: Culprit(SEGFAULT), 5: Culprit(HUNG)})
    assert watch() == SOME_FAILED
    folder, made = plan(plate, tmp_path / "out", limits=LIMITS)
    assert merged_bytes(folder) == expected
    failed = pd.read_csv(folder.merged / "failed_image_sets.csv")
    assert list(zip(failed["ImageNumber"], failed["Step"], failed["Reason"])) == [
        (2, "segmentation", SEGFAULT),
        (5, "segmentation", HUNG),
    ]
    assert not private_folders(folder)
    assert run_fast(folder, made, 1, retry_failed=True).failed == 0
    assert not read_culprits(folder)


@pytest.mark.slow
def test_a_file_at_which_reading_hangs_is_named_within_the_limit_and_the_others_are_done(tmp_path, watch, plate):
    images = plate.parent / "images"
    (images / "002_good.tif").rename(images / HANGS_AT_READING)
    plate.write_text(plate.read_text().replace("002_good.tif", HANGS_AT_READING))
    begun = time.monotonic()
    assert watch() == SOME_FAILED
    assert time.monotonic() - begun < 120
    merged = tmp_path / "out" / "merged"
    (failed,) = pd.read_csv(merged / "failed_image_sets.csv", keep_default_na=False).to_dict("records")
    assert (failed["ImageNumber"], failed["Step"], failed["Module"]) == (2, "reading images", "")
    path = images / HANGS_AT_READING
    assert failed["Reason"] == f"DNA: {path}: reading takes more than 5 s; is the file damaged, or the disk slow?"
    assert list(pd.read_csv(merged / "Image.csv")["ImageNumber"]) == [1, 3, 4, 5]


@pytest.mark.slow
def test_a_process_that_is_killed_at_an_image_that_is_no_culprit_is_replaced(plate, tmp_path, watch):
    give_height(plate, 3, KILLS_ONCE)
    expected = expected_bytes(plate, tmp_path, {})
    assert watch() == 0
    folder, _ = plan(plate, tmp_path / "out", limits=LIMITS)
    assert merged_bytes(folder) == expected
    assert not read_culprits(folder)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent is gone")
def test_when_the_command_is_killed_nothing_goes_on_and_its_repetition_gives_the_same_bytes(plate, tmp_path):
    give_height(plate, 3, KILLS_PARENT)
    expected = expected_bytes(plate, tmp_path, {})
    task = format_task(task_of(plate, tmp_path / "out"))
    program = [sys.executable, fast_faults.__file__, "watch", tmp_path / "marker", task]
    # Both write into the same pipe, which ends only when both are gone.
    killed = subprocess.run(program, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    folder, made = plan(plate, tmp_path / "out", limits=LIMITS)
    assert not folder.merged.exists() and private_folders(folder)
    run_fast(folder, made, 2)
    assert merged_bytes(folder) == expected
