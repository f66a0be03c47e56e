"""What counts as a successful CellProfiler run; CellProfiler itself is replaced by small scripts."""

from __future__ import annotations

import os
import stat
import sys

import pandas as pd
import pytest

from nucdl_core.cellprofiler import headless
from nucdl_core.cellprofiler.headless import (
    HeadlessError,
    HeadlessRun,
    check_tables,
    execution_seconds,
    find_cellprofiler,
    find_java_home,
    run_cellprofiler,
)

DONE = 'open(sys.argv[sys.argv.index("-d") + 1], "w").write("{}")\n'
STEPS = (
    'print("x: Image # 1, module LoadData # 1: CPU_time = 0.1")\nprint("x: Image # 2, module SaveImages # 14: CPU")\n'
)


@pytest.fixture
def java(tmp_path, monkeypatch):
    """A folder that looks like a Java, in JAVA_HOME."""
    home = tmp_path / "java"
    (home / "lib" / "server").mkdir(parents=True)
    (home / "lib" / "server" / "libjvm.so").touch()
    monkeypatch.setenv("JAVA_HOME", str(home))
    return home


@pytest.fixture
def run(tmp_path, monkeypatch, java):
    """Return a function that runs a script in the place of CellProfiler."""
    given = HeadlessRun(tmp_path / "p.cppipe", tmp_path / "list.csv", tmp_path / "out", tmp_path / "plugins")
    given.pipeline.touch()
    given.data_file.touch()
    given.output.mkdir()
    given.plugins.mkdir()

    def run_script(script, progress=None):
        program = tmp_path / "cellprofiler"
        program.write_text(f"#!{sys.executable}\nimport os, sys\n{script}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(headless, "find_cellprofiler", lambda: program)
        run_cellprofiler(given, progress)
        return given.output

    return run_script


def write_tables(folder, counts=(2, 1), rows=3, **columns):
    table = pd.DataFrame({"ImageNumber": [1, 2][: len(counts)], "Count_Nuclei": counts, **columns})
    table.to_csv(folder / "Image.csv", index=False)
    pd.DataFrame({"ImageNumber": [1] * rows}).to_csv(folder / "Nuclei.csv", index=False)


def test_a_run_that_ends_well_leaves_its_messages(run):
    assert "SaveImages" in (run(STEPS + DONE.format("Complete")) / "cellprofiler.log").read_text()


def test_progress_is_told_module_by_module(run):
    steps = []
    run(STEPS + DONE.format("Complete"), lambda number, module: steps.append((number, module)))
    assert steps == [(1, "LoadData"), (2, "SaveImages")]


def test_cellprofiler_is_told_what_to_do(run, tmp_path):
    script = f'open({str(tmp_path / "arguments")!r}, "w").write("\\n".join(sys.argv[1:]))\n'
    run(script + DONE.format("Complete"))
    arguments = (tmp_path / "arguments").read_text().split("\n")
    assert arguments[:2] == ["-c", "-r"]
    assert dict(zip(arguments[2::2], arguments[3::2])) == {
        "-p": str(tmp_path / "p.cppipe"),
        "--data-file": str(tmp_path / "list.csv"),
        "-o": str(tmp_path / "out"),
        "-d": str(tmp_path / "out" / "cellprofiler_done.txt"),
        "--plugins-directory": str(tmp_path / "plugins"),
    }


def test_a_run_that_fails_is_an_error_with_the_reason(run):
    with pytest.raises(HeadlessError, match=r"code 1 .*ValueError: no such thing"):
        run('print("ValueError: no such thing")\nsys.exit(1)\n')


def test_an_exit_code_of_0_without_the_final_note_is_an_error(run):
    with pytest.raises(HeadlessError, match="no final note"):
        run("")


def test_the_final_note_failure_is_an_error(run):
    with pytest.raises(HeadlessError, match="Failure"):
        run(DONE.format("Failure"))


def test_the_final_note_of_an_earlier_run_does_not_count(run):
    run(DONE.format("Complete"))
    with pytest.raises(HeadlessError, match="no final note"):
        run("")


def test_a_missing_pipeline_is_an_error(run, tmp_path):
    (tmp_path / "p.cppipe").unlink()
    with pytest.raises(HeadlessError, match=r"p\.cppipe does not exist"):
        run(DONE.format("Complete"))


def test_file_names_are_understood_in_the_plain_locale(run, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    check = 'assert os.environ["PYTHONUTF8"] == "1" and os.environ["LC_ALL"] != "C", os.environ["LC_ALL"]\n'
    if sys.platform.startswith("linux"):
        run(check + DONE.format("Complete"))


def test_complete_tables_are_accepted(tmp_path):
    write_tables(tmp_path)
    assert list(check_tables(tmp_path, 2, ["Nuclei"])["Count_Nuclei"]) == [2, 1]


def test_no_nuclei_at_all_are_no_error(tmp_path):
    write_tables(tmp_path, counts=(0, 0), rows=0)
    check_tables(tmp_path, 2, ["Nuclei"])


@pytest.mark.parametrize("name", ["Image.csv", "Nuclei.csv"])
def test_a_missing_table_is_an_error(tmp_path, name):
    write_tables(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(HeadlessError, match=f"{name} was not written"):
        check_tables(tmp_path, 2, ["Nuclei"])


def test_an_empty_table_is_an_error(tmp_path):
    write_tables(tmp_path)
    (tmp_path / "Nuclei.csv").write_text("")
    with pytest.raises(HeadlessError, match=r"Nuclei\.csv is incomplete"):
        check_tables(tmp_path, 2, ["Nuclei"])


def test_a_missing_image_is_an_error(tmp_path):
    write_tables(tmp_path)
    with pytest.raises(HeadlessError, match="2 rows for 3 images"):
        check_tables(tmp_path, 3, ["Nuclei"])


@pytest.mark.parametrize("counts", [(2, None), (None, None)])
def test_a_missing_count_is_an_error(tmp_path, counts):
    write_tables(tmp_path, counts=counts)
    with pytest.raises(HeadlessError, match="lacks counts of Nuclei"):
        check_tables(tmp_path, 2, ["Nuclei"])


def test_objects_that_were_never_counted_are_an_error(tmp_path):
    write_tables(tmp_path)
    with pytest.raises(HeadlessError, match="lacks counts of Cells"):
        check_tables(tmp_path, 2, ["Cells"])


def test_a_cut_off_object_table_is_an_error(tmp_path):
    write_tables(tmp_path, rows=2)
    with pytest.raises(HeadlessError, match="2 rows for 3 nuclei"):
        check_tables(tmp_path, 2, ["Nuclei"])


def test_the_time_of_a_module_is_taken_from_the_table():
    table = pd.DataFrame({"ExecutionTime_02IdentifyNucleiDL": [0.5, 0.25], "ExecutionTime_01LoadData": [1, 1]})
    assert list(execution_seconds(table, "IdentifyNucleiDL")) == [0.5, 0.25]


def test_the_time_of_a_module_that_did_not_run_is_an_error():
    with pytest.raises(HeadlessError, match="0 times of IdentifyNucleiDL"):
        execution_seconds(pd.DataFrame({"ExecutionTime_01LoadData": [1]}), "IdentifyNucleiDL")


def test_java_home_comes_first(java):
    assert find_java_home() == java


def test_a_wrong_java_home_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(HeadlessError, match="holds no Java"):
        find_java_home()


def test_the_java_command_leads_to_its_home(java, monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME")
    (java / "bin").mkdir()
    (java / "bin" / "java").touch(mode=0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(java / "bin" / "java")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_java_home() == java


def test_no_java_is_an_error_that_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(headless, "JAVA_FOLDER", tmp_path)
    with pytest.raises(HeadlessError, match="install a JDK"):
        find_java_home()


def test_the_command_beside_this_python_comes_first(monkeypatch, tmp_path):
    for name in ("cellprofiler", "python"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_cellprofiler() == tmp_path / "cellprofiler"


def test_no_cellprofiler_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep)
    with pytest.raises(HeadlessError, match="install CellProfiler"):
        find_cellprofiler()
