"""The fast path with a process that really crashes, hangs or is killed at an image."""

import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tifffile
from fast_faults import CRASHES, HANGS, KILLS_ONCE, KILLS_PARENT, TESTS, faulty_command
from fast_folders import CONFIG, make_plate, merged_bytes, plan

from nucdl_core.cli.words import SOME_FAILED
from nucdl_core.screen.core.plan import ScreenLimits
from nucdl_core.screen.core.work import private_folders
from nucdl_core.screen.fast.culprits import add_blame, read_blame
from nucdl_core.screen.fast.run import run_fast
from nucdl_core.screen.fast.task import FastRequest, FastTask, format_task
from nucdl_core.screen.fast.watch import watch_run

SEGFAULT = "the process ended by signal 11 (SIGSEGV)"
LIMITS = ScreenLimits(seconds=15)
HUNG = "the process took more than the limit of 15 s for an image set"


pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def plate(tmp_path):
    return make_plate(tmp_path / "plate")


def give_height(plate, number, height):
    path = plate.parent / "images" / f"{number:03d}_good.tif"
    tifffile.imwrite(path, np.zeros((height, 50), np.uint8))


def task_of(plate, output):
    return FastTask(FastRequest(plate, output, CONFIG, limits=LIMITS, chunk_size=2), lanes=1)


def expected_bytes(plate, tmp_path, blame):
    """Tables of a calm run in which these image sets have been blamed already."""
    folder, made = plan(plate, tmp_path / "out", limits=LIMITS)
    for number, how in blame.items():
        add_blame(folder, number, how)
    run_fast(folder, made, 2)
    expected = merged_bytes(folder)
    folder.root.rename(tmp_path / "calm")
    return expected


@pytest.mark.slow
def test_images_at_which_the_process_crashes_and_hangs_are_named_and_the_others_done(plate, tmp_path):
    give_height(plate, 2, CRASHES)
    give_height(plate, 5, HANGS)
    expected = expected_bytes(plate, tmp_path, {2: SEGFAULT, 5: HUNG})
    assert watch_run(task_of(plate, tmp_path / "out"), faulty_command(tmp_path / "marker")) == SOME_FAILED
    folder, made = plan(plate, tmp_path / "out", limits=LIMITS)
    assert merged_bytes(folder) == expected
    failed = pd.read_csv(folder.merged / "failed_image_sets.csv")
    assert list(zip(failed["ImageNumber"], failed["Step"], failed["Reason"])) == [
        (2, "segmentation", SEGFAULT),
        (5, "segmentation", HUNG),
    ]
    assert not private_folders(folder)
    assert run_fast(folder, made, 1, retry_failed=True).failed == 0
    assert not read_blame(folder)


@pytest.mark.slow
def test_a_process_that_is_killed_without_an_image_to_blame_is_replaced(plate, tmp_path):
    give_height(plate, 3, KILLS_ONCE)
    expected = expected_bytes(plate, tmp_path, {})
    assert watch_run(task_of(plate, tmp_path / "out"), faulty_command(tmp_path / "marker")) == 0
    folder, _ = plan(plate, tmp_path / "out", limits=LIMITS)
    assert merged_bytes(folder) == expected
    assert not read_blame(folder)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent is gone")
def test_when_the_command_is_killed_nothing_goes_on_and_its_repetition_gives_the_same_bytes(plate, tmp_path):
    give_height(plate, 3, KILLS_PARENT)
    expected = expected_bytes(plate, tmp_path, {})
    code = "from nucdl_core.screen.fast.watch import *; from nucdl_core.screen.fast.task import parse_task; "
    code += f"watch_run(parse_task({format_task(task_of(plate, tmp_path / 'out'))!r}), {faulty_command('')!r})"
    # Both write into the same pipe, which ends only when both are gone.
    killed = subprocess.run([sys.executable, "-c", code], cwd=TESTS.parent, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    folder, made = plan(plate, tmp_path / "out", limits=LIMITS)
    assert not folder.merged.exists() and private_folders(folder)
    run_fast(folder, made, 2)
    assert merged_bytes(folder) == expected
