"""Screens with the real Snakemake, the real CellProfiler, and real faults."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from real_snakemake import need_snakemake

from nucdl_core.cli.words import NOT_FINISHED, SOME_FAILED
from nucdl_core.files.locks import is_locked
from nucdl_core.simulate.plate import simulate_plate

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGINS = Path(__file__).parent / "plugins"
MODULES = ("LoadData", "IdentifyPrimaryObjects", "MeasureObjectSizeShape", "ExportToSpreadsheet")
FAIL_ON_DEMAND = (
    "FailOnDemand:[module_num:0|svn_version:'Unknown'|variable_revision_number:1|show_window:False|notes:[]|"
    "batch_state:array([], dtype=uint8)|enabled:True|wants_pause:False]\n    Select the input image:DNA"
)
NAME = "Plate_A0{}_s{}_w1.tif"
STOP_SECONDS = 10


@pytest.fixture(scope="module", autouse=True)
def _needs_snakemake():
    need_snakemake()


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Folder of a simulated plate with six fields, the fifth of which (A02, site 1) is cut off."""
    folder = tmp_path_factory.mktemp("screens") / "plate"
    simulate_plate(folder, 6, (150, 180), seed=3)
    cut = folder / "images" / NAME.format(2, 1)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    return folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """classic_basic.cppipe without its pictures, and with a module that fails on demand."""
    head, *modules = (REPOSITORY / "pipelines" / "classic_basic.cppipe").read_text(encoding="utf-8").split("\n\n")
    kept = [module for module in modules if module.split(":")[0] in MODULES]
    kept.insert(2, FAIL_ON_DEMAND)
    kept = [re.sub(r"module_num:\d+", f"module_num:{number}", module, count=1) for number, module in enumerate(kept, 1)]
    path = tmp_path_factory.mktemp("pipelines") / "fails.cppipe"
    head = re.sub(r"ModuleCount:\d+", f"ModuleCount:{len(kept)}", head)
    path.write_text("\n\n".join([head, *kept]).rstrip() + "\n", encoding="utf-8")
    return path


def environment(folder, faults):
    """Variables that tell the module which images to fail at."""
    path = folder / "faults.json"
    path.write_text(json.dumps(faults))
    return {**os.environ, "NUCDL_TEST_FAULTS": str(path), "OMP_NUM_THREADS": "1"}


def nucdl(*arguments):
    return [str(Path(sys.executable).parent / "nucdl"), "screen", *map(str, arguments)]


def screen_arguments(pipeline, fields, output, chunk_size):
    return (pipeline, "--csv", fields / "load_data.csv", "--output", output, "--plugins", PLUGINS) + (
        "--chunk-size",
        chunk_size,
    )


def call(command, variables):
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def merged_bytes(output):
    """Everything that was merged but the reports, which tell of times."""
    reports = ("run_report.json", "report.html")
    return {path.name: path.read_bytes() for path in (output / "merged").iterdir() if path.name not in reports}


@pytest.fixture(scope="module")
def undisturbed(pipeline, fields, tmp_path_factory):
    """A screen in three chunks, in which one image is cut off and another makes a module fail."""
    folder = tmp_path_factory.mktemp("undisturbed")
    variables = environment(folder, {NAME.format(1, 2): "raise"})
    command = nucdl("run", *screen_arguments(pipeline, fields, folder / "screen", 2), "--cores", 2)
    code, printed = call(command, variables)
    return folder / "screen", code, printed


@pytest.fixture(scope="module")
def resumed(pipeline, fields, tmp_path_factory):
    """The same screen in two chunks, killed in the middle of CellProfiler's work and resumed."""
    folder = tmp_path_factory.mktemp("resumed")
    variables = environment(folder, {NAME.format(1, 2): "raise"})
    output = folder / "screen"
    command = nucdl("run", *screen_arguments(pipeline, fields, output, 3), "--cores", 1)
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: has_logged(output, "Image # 1"), process)
    process.kill()
    process.wait()
    published = [path.name for path in (output / "results").glob("*")]
    wait_for(lambda: not is_locked(output / "work" / "lock"))
    status = call(nucdl("status", "--output", output), variables)
    code, printed = call(nucdl("resume", "--output", output, "--cores", 2), variables)
    return output, published, status, code, printed


def has_logged(output, words):
    for log in output.glob("work/0*/result/cellprofiler.log"):
        with contextlib.suppress(FileNotFoundError):
            if words in log.read_text(encoding="utf-8", errors="replace"):
                return True
    return False


def wait_for(condition, process=None, seconds=300):
    """Wait until a condition holds; fail if the process that brings it about ends before, or it takes too long."""
    idle = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        for _ in range(seconds * 5):
            if condition():
                return
            assert process is None or process.poll() is None, "it ended too early"
            with contextlib.suppress(subprocess.TimeoutExpired):
                idle.wait(timeout=0.2)
    finally:
        idle.kill()
        idle.communicate()
    pytest.fail(f"not within {seconds} s")


def test_a_run_with_failures_finishes_and_names_them(undisturbed):
    output, code, printed = undisturbed
    assert code == SOME_FAILED, printed
    failed = pd.read_csv(output / "merged" / "failed_image_sets.csv").set_index("ImageNumber")
    assert list(failed.index) == [2, 5]
    assert failed.loc[2, "Module"] == "FailOnDemand"
    assert failed.loc[2, "Reason"] == "ValueError: this image was told to fail"
    assert "cut off" in failed.loc[5, "Reason"]
    assert NAME.format(2, 1) in failed.loc[5, "Files"]


def test_failed_image_sets_have_no_rows_and_the_others_keep_their_numbers(undisturbed):
    merged = undisturbed[0] / "merged"
    images, nuclei = pd.read_csv(merged / "Image.csv"), pd.read_csv(merged / "Nuclei.csv")
    assert list(images["ImageNumber"]) == [1, 3, 4, 6]
    assert list(images["FileName_DNA"]) == [NAME.format(*place) for place in ((1, 1), (1, 3), (1, 4), (2, 2))]
    counts = nuclei.groupby("ImageNumber").size()
    assert counts.sum() > 0
    assert dict(counts) == {n: count for n, count in zip(images["ImageNumber"], images["Count_Nuclei"]) if count}


def test_the_report_tells_what_happened(undisturbed):
    merged = undisturbed[0] / "merged"
    report = json.loads((merged / "run_report.json").read_text())
    assert (report["image_sets"], report["succeeded"], report["failed"]) == (6, 4, 2)
    assert report["versions"]["cellprofiler"]
    assert {well["well"]: (well["image_sets"], well["failed"]) for well in report["wells"]} == {
        "A01": (4, 1),
        "A02": (2, 1),
    }
    html = (merged / "report.html").read_text(encoding="utf-8")
    assert "ValueError: this image was told to fail" in html
    assert html.count("data:image/png;base64,") >= 5


def test_a_killed_run_publishes_nothing_that_is_not_whole(resumed):
    _, published, (status_code, status), _, _ = resumed
    assert published == []
    assert status_code == NOT_FINISHED
    assert "stopped; resume it" in status


def test_kill_and_resume_with_other_chunks_give_the_same_bytes(undisturbed, resumed):
    output, _, _, code, printed = resumed
    assert code == SOME_FAILED, printed
    expected = merged_bytes(undisturbed[0])
    assert {"Image.csv", "Nuclei.csv", "screen.sqlite"} <= set(expected)
    assert merged_bytes(output) == expected


def test_nothing_is_left_of_a_killed_run(resumed):
    assert not list((resumed[0] / "work").glob("0*"))


@pytest.fixture(scope="module")
def planned(pipeline, fields, tmp_path_factory):
    """A planned screen of one chunk with the first three fields."""
    folder = tmp_path_factory.mktemp("planned")
    rows = (fields / "load_data.csv").read_text(encoding="utf-8").splitlines()[:4]
    (folder / "three.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    options = ("--csv", folder / "three.csv", "--output", folder / "screen", "--plugins", PLUGINS, "--chunk-size", 3)
    code, printed = call(nucdl("plan", pipeline, *options), environment(folder, {}))
    assert code == 0, printed
    return folder / "screen"


def one_chunk(planned, folder, faults):
    """Copy the planned screen; return its folder, the command that runs its chunk, and the variables."""
    output = shutil.copytree(planned, folder / "screen")
    return (
        output,
        [sys.executable, "-m", "nucdl_core.screen.chunk", str(output), "1"],
        environment(folder, faults),
    )


def test_a_crash_of_the_process_names_its_image(planned, tmp_path):
    output, command, variables = one_chunk(planned, tmp_path, {NAME.format(1, 2): "segfault"})
    code, printed = call(command, variables)
    assert code == 0, printed
    failed = pd.read_csv(output / "results" / "000001" / "failed_image_sets.csv")
    assert list(failed["ImageNumber"]) == [2]
    assert "CellProfiler ended by signal" in failed["Reason"][0]
    assert list(pd.read_csv(output / "results" / "000001" / "Image.csv")["Metadata_Site"]) == [1, 3]


def test_a_stopped_chunk_ends_soon_and_leaves_nothing(planned, tmp_path):
    output, command, variables = one_chunk(planned, tmp_path, {NAME.format(1, 2): "hang"})
    process = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL)
    wait_for(lambda: has_logged(output, "Image # 2, module IdentifyPrimaryObjects"), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=STOP_SECONDS) == 128 + signal.SIGTERM
    assert not list((output / "work").glob("0*"))
    assert not (output / "results").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1.5 MiB, where one can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1536k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_no_fault_of_an_image_and_publishes_nothing(planned, small_disk):
    output, command, variables = one_chunk(planned, small_disk, {})
    (small_disk / "filler").write_bytes(bytes(1_200_000))
    code, printed = call(command, variables)
    assert code == 1, printed
    # CellProfiler may die without a word, where it cannot even write its measurements.
    assert re.search(r"No space left on device|the disk of .* has only", printed), printed
    assert not list(output.glob("results/*"))
