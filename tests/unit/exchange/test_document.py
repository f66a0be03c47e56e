"""The commands of docs/exchange.md, in their order, and what its table says."""

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import nucdl

from nucdl_core.exchange.formats import FORMATS
from nucdl_core.files.reading import read_labels

REPOSITORY = Path(__file__).resolve().parents[3]
DOCUMENT = (REPOSITORY / "docs" / "exchange.md").read_text(encoding="utf-8")
EXACT = ("fiji", "annotatorj", "qupath", "coco", "stacks", "masks", "outlines")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def do(command):
    program, *arguments = command.split()
    if program == "cp":
        shutil.copytree(*arguments[1:])
    elif program == "mv":
        os.rename(*arguments)
    else:
        assert program == ".venv/bin/nucdl", command
        result = nucdl(*arguments)
        assert result.exit_code == 0, f"{command}\n{result.output}"


@pytest.mark.slow
def test_every_command_works_and_the_exact_ones_give_the_nuclei_back(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in blocks("bash"):
        for command in block.splitlines():
            do(command)
    files = sorted(Path("example/labels").iterdir())
    assert len(files) == 2
    for name in EXACT:
        for file in files:
            assert np.array_equal(read_labels(Path(f"from_{name}", file.name)), read_labels(file)), name
    (code,) = blocks("python")
    monkeypatch.setattr(sys, "argv", ["example"])
    exec(compile(code, "docs/exchange.md", "exec"), {})
    assert "Plate_A01_s1_w1 (520, 696)" in capsys.readouterr().out


def test_the_table_of_formats_is_that_of_the_program():
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", DOCUMENT, re.MULTILINE)
    assert {name for name, _ in rows} == set(FORMATS)
    for name, row in rows:
        _, _, _, classes, _, _ = (cell.strip() for cell in row.split("|"))
        assert (classes == "yes") == FORMATS[name].classes
