"""What is asked of CellProfiler before the work, here with a stand-in; tests/headless has the real one."""

import json
import os
import stat
import sys

import pytest

from nucdl_core.cellprofiler.headless import HeadlessError
from nucdl_core.screen.cellprofiler import preflight
from nucdl_core.screen.cellprofiler.pipeline_file import PipelineModule
from nucdl_core.screen.cellprofiler.preflight import cellprofiler_python, check_pipeline
from nucdl_core.screen.core.plan import ScreenError

MODULES = (PipelineModule("Crop", 1, 3, True, (("Text", "value"),), ("Text:value",)),)
GOOD = {"errors": [], "tables": ["Nuclei"], "channels": ["DNA"], "aggregating": []}


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """Return a function that puts a program with this body in place of the one for CellProfiler's Python."""
    monkeypatch.setattr(preflight, "cellprofiler_python", lambda: sys.executable)
    monkeypatch.setattr(preflight, "cellprofiler_environment", lambda: dict(os.environ))

    def run(body):
        program = tmp_path / "program.py"
        program.write_text(f"import json, sys, time\nrequest = json.load(open(sys.argv[1]))\n{body}\n")
        monkeypatch.setattr(preflight, "PROGRAM", program)
        return check_pipeline(MODULES, "Image_FileName_DNA\na.tif\n", tmp_path)

    return run


def reply(found):
    return f"open(sys.argv[2], 'w').write({json.dumps(found)!r})"


def test_a_pipeline_that_can_run_is_described(answer):
    found = answer(reply(GOOD))
    assert (found.tables, found.channels, found.aggregating) == (("Nuclei",), ("DNA",), ())


def test_the_request_holds_pipeline_settings_list_and_plugins(answer, tmp_path):
    answer(
        f"{reply(GOOD)}; json.dump([request, open(request['data_file']).read()], open({str(tmp_path / 'seen')!r}, 'w'))"
    )
    request, text = json.loads((tmp_path / "seen").read_text())
    assert request["modules"] == [{"number": 1, "name": "Crop", "revision": 3, "settings": ["value"]}]
    assert "Crop:[" in request["pipeline"] and request["plugins"] == str(tmp_path)
    assert text == "Image_FileName_DNA\na.tif\n"


def test_errors_are_told_in_one_line_with_their_modules(answer):
    errors = [{"number": number, "name": "Crop", "reason": "no\nsuch thing"} for number in range(1, 6)]
    with pytest.raises(ScreenError) as caught:
        answer(reply({"errors": errors}))
    assert str(caught.value).startswith("module 1, Crop: no such thing; module 2, Crop: ")
    assert str(caught.value).endswith("; and 2 more") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ImportError('no such library')", r"exit code 1\): ImportError: no such library"),
        ("sys.exit(0)", r"exit code 0\): nothing was reported"),
    ],
)
def test_a_cellprofiler_that_fails_is_told_with_its_last_words(answer, body, reason):
    with pytest.raises(ScreenError, match=reason):
        answer(body)


def test_a_cellprofiler_that_hangs_is_stopped(answer, monkeypatch):
    monkeypatch.setattr(preflight, "LONGEST_CHECK", 0.2)
    with pytest.raises(ScreenError, match="did not load its modules within 0.2 s"):
        answer("time.sleep(60)")


def test_a_python_that_cannot_be_started_is_refused(answer, monkeypatch, tmp_path):
    monkeypatch.setattr(preflight, "cellprofiler_python", lambda: tmp_path / "nowhere")
    with pytest.raises(ScreenError, match="cannot be started"):
        answer("")


def test_without_java_there_is_one_line(monkeypatch):
    def refuse():
        raise HeadlessError("no Java was found")

    monkeypatch.setattr(preflight, "cellprofiler_python", lambda: sys.executable)
    monkeypatch.setattr(preflight, "cellprofiler_environment", refuse)
    with pytest.raises(ScreenError, match="^no Java was found$"):
        check_pipeline(MODULES, "", None)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a function that writes a ``cellprofiler`` command that begins with a line."""

    def run(first_line):
        path = tmp_path / "cellprofiler"
        path.write_text(first_line + "\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(preflight, "find_cellprofiler", lambda: path)
        return cellprofiler_python()

    return run


def test_the_python_of_cellprofiler_is_beside_its_command_or_named_in_it(command, tmp_path):
    assert str(command(f"#!{sys.executable}")) == sys.executable
    (tmp_path / "python").touch()
    assert command("#!/bin/sh") == tmp_path / "python"


@pytest.mark.parametrize("line", ["#!/bin/sh", "\x7fELF", "#!/nowhere/python"])
def test_a_cellprofiler_that_is_no_python_program_is_refused(command, line):
    with pytest.raises(HeadlessError, match="does not say which Python"):
        command(line)
