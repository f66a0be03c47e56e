"""What a computer without internet needs is collected by pip, with a script that installs it."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from commands import nucdl

from nucdl_core.cellprofiler import offline
from nucdl_core.cellprofiler.offline import OfflineBundle, collect_wheels
from nucdl_core.errors import NucDLError


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """What pip is asked for; it leaves one wheel each time."""
    asked = []

    def run(command, **arguments):
        asked.append(command)
        (tmp_path / "bundle" / "wheels" / f"other{len(asked)}-1-py3-none-any.whl").write_bytes(b"0" * 1000)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(offline, "subprocess", SimpleNamespace(run=run))
    (tmp_path / "nucdl-0.1.0-py3-none-any.whl").write_bytes(b"1" * 1000)
    return asked


def test_wheels_of_nucdl_and_of_snakemake_are_collected(fetched, tmp_path):
    wheel = tmp_path / "nucdl-0.1.0-py3-none-any.whl"
    bundle = OfflineBundle(tmp_path / "bundle", wheel, "report,screen", "https://example.org/cpu", snakemake=True)
    assert collect_wheels(bundle) == (3, 0.003)
    assert fetched[0][-3:] == ["--extra-index-url", "https://example.org/cpu", f"{wheel}[report,screen]"]
    assert fetched[1][-1] == "snakemake>=9" and "--extra-index-url" not in fetched[1]
    script = tmp_path / "bundle" / "install.sh"
    text = script.read_text()
    assert "--no-index" in text and "'nucdl[report,screen]'" in text and "NUCDL_SNAKEMAKE" in text
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


def test_the_script_installs_without_internet_into_the_folder_that_is_named(tmp_path):
    """With a package of its own instead of NucDL, so that nothing is downloaded."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "setup.py").write_text("from setuptools import setup\nsetup(name='nucdl', version='0', py_modules=['n'])")
    (source / "n.py").write_text("")
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", str(tmp_path / "bundle" / "wheels")]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    text = offline._INSTALL.format(version="3", system="", requirement="nucdl", snakemake="")
    (tmp_path / "bundle" / "install.sh").write_text(text)
    target = tmp_path / "target"
    environment = {**os.environ, "PYTHON": sys.executable}
    command = ["sh", str(tmp_path / "bundle" / "install.sh"), str(target)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([target / "bin" / "python", "-c", "import n"], check=False).returncode == 0
    no_target = subprocess.run(["sh", str(tmp_path / "bundle" / "install.sh")], capture_output=True, text=True)
    assert no_target.returncode != 0 and "TARGET" in no_target.stderr


def test_what_pip_cannot_fetch_is_told_in_its_last_line(fetched, tmp_path, monkeypatch):
    def fail(command, **arguments):
        return subprocess.CompletedProcess(command, 1, "", "long\nERROR: no matching distribution\n")

    monkeypatch.setattr(offline, "subprocess", SimpleNamespace(run=fail))
    with pytest.raises(NucDLError, match="no matching distribution"):
        collect_wheels(OfflineBundle(tmp_path / "bundle", tmp_path / "nucdl-0.1.0-py3-none-any.whl"))


def test_the_command_says_what_to_do_on_the_other_computer(fetched, tmp_path):
    wheel = tmp_path / "nucdl-0.1.0-py3-none-any.whl"
    result = nucdl("bundle-offline", tmp_path / "bundle", "--wheel", wheel)
    assert result.exit_code == 0, result.output
    assert "2 wheels" in result.output and "install.sh TARGET" in result.output
