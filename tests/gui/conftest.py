"""A virtual screen, and the real CellProfiler that is driven on it."""

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys

import pytest

TIMEOUT = 1200


@contextlib.contextmanager
def virtual_screen(size):
    """Start a screen of this (width, height); yields its name, as the variable DISPLAY has it."""
    if importlib.util.find_spec("cellprofiler") is None or importlib.util.find_spec("wx") is None:
        pytest.skip("CellProfiler's window needs wxPython, which is not in this environment")
    if shutil.which("Xvfb") is None:
        pytest.skip("the virtual screen Xvfb is not installed")
    reading, writing = os.pipe()
    # Without -noreset Xvfb starts afresh when its only client closes its connection, and wxPython opens two in a row.
    shape = "{}x{}x24".format(*size)
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", shape, "-wr", "-noreset", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as number:
        display = number.readline().strip()
    assert display, "Xvfb did not start"
    yield f":{display}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def drive():
    """Return a function that runs a driver on a screen of its own and gives what it saw, with its folder."""

    def run_driver(driver, size, folder, arguments):
        home = folder / "home"  # CellProfiler keeps a person's preferences there
        home.mkdir()
        with virtual_screen(size) as screen:
            changed = {"DISPLAY": screen, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "GDK_BACKEND": "x11"}
            run = subprocess.run(
                [sys.executable, driver, *arguments],
                env={**os.environ, **changed},
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
        report = folder / "report.json"
        assert report.is_file(), run.stderr[-3000:]
        seen = json.loads(report.read_text())
        assert run.returncode == 0, seen.get("failure", "") + run.stderr[-3000:]
        return {**seen, "folder": folder}

    return run_driver
