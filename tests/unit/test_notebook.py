"""The notebook runs as it stands, and its nuclei are right."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "from_python.ipynb"


def test_every_cell_of_the_notebook_runs(capsys):
    pytest.importorskip("matplotlib").use("Agg")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert 0.8 * names["truth"].max() < names["found"].count < 1.2 * names["truth"].max()
    assert names["scores"]["f1_0.50"] > 0.8
    assert "views is 'many'; it must be one of none, flips, all" in capsys.readouterr().out


def test_the_notebook_is_kept_without_output():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
