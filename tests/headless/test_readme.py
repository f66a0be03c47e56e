"""The commands of the README, as a person types them after `make install`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """A folder that looks like the clone, for commands that write into it."""
    for name in ("pipelines", "plugins"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    environment = tmp_path / ".venv" / "bin"
    environment.mkdir(parents=True)
    for name in ("nucdl", "cellprofiler"):
        (environment / name).symlink_to(Path(sys.executable).parent / name)
    return tmp_path


@pytest.mark.headless
@pytest.mark.slow
def test_every_command_of_the_readme_works_in_its_order(folder):
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.startswith(".venv/bin/")]
    assert len(commands) >= 5
    for command in commands:
        Path(folder, "output").mkdir(exist_ok=True)
        result = subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    (code,) = blocks("python")
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert re.search(r"\d+ nuclei, typical diameter", result.stdout), result.stderr
    assert (folder / "output" / "Nuclei.csv").stat().st_size > 1000
    assert sorted(os.listdir(folder / "example")) == [
        "found",
        "images",
        "labels",
        "load_data.csv",
        "simulation.json",
        "truth.csv",
    ]


def test_every_make_target_of_the_readme_exists():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"^make (\w+)", "\n".join(blocks("bash")), re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_link_of_the_readme_leads_somewhere():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (REPOSITORY / link).exists(), link
