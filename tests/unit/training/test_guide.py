"""The commands of docs/your-own-images.md, in their order."""

import re
from pathlib import Path

import pytest
from commands import nucdl
from conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "your-own-images.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_command_of_the_guide_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) >= 7
    for command in commands:
        program, *arguments = command.split()
        assert program == ".venv/bin/nucdl"
        if arguments[:2] == ["models", "add"] and not Path("my_model").exists():
            # Simulated images are easy: a model that is not better was kept apart, as the guide says.
            Path("my_model_training/model").rename("my_model")
        result = nucdl(*arguments)
        assert result.exit_code == 0, f"{command}\n{result.output}"
    assert Path("my_model_training/report.html").stat().st_size > 100_000
    assert len(list(Path("mine").glob("*_labels.tif"))) == 4


@pytest.mark.parametrize("name", ["your-own-images.md", "training.md", "annotating.md"])
def test_every_link_of_the_guides_leads_somewhere(name):
    text = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert link.startswith("https://") or (REPOSITORY / "docs" / link).exists(), link
