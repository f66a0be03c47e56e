"""The commands of docs/coming-from.md, in their order, and the words it explains."""

import re

import pytest
from commands import nucdl
from conftest import REPOSITORY

from nucdl_core.batch.keep_rules import NAMES
from nucdl_core.cli.main import main

DOCUMENT = (REPOSITORY / "docs" / "coming-from.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_commands_work_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```bash\n(.*?)```", DOCUMENT, re.DOTALL)
    commands = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    assert len(commands) >= 7
    for command in commands:
        program, *arguments = command.split()
        assert program == ".venv/bin/nucdl"
        result = nucdl(*arguments)
        assert result.exit_code == 0, f"{command}\n{result.output}"


def test_options_that_are_named_are_there():
    known = {option for command in main.commands.values() for parameter in command.params for option in parameter.opts}
    named = set(re.findall(r"[` ](--[a-z][a-z_-]+)", DOCUMENT)) - {"--save_tif", "--save_png"}
    assert {"--diameter", "--keep", "--rois"} <= named <= known


def test_words_of_rules_that_are_named_are_there():
    for rule in re.findall(r'--keep "([^"]+)"', DOCUMENT):
        assert set(re.findall(r"[a-z_]{3,}", rule)) - {"and"} <= set(NAMES)
