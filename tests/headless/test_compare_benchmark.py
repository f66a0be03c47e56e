"""The study of classic pipelines and bundled models, on two simulated fields."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from nucdl_core.files.folders import image_stem
from nucdl_core.simulate.plate import simulate_plate

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(tmp_path):
    """Two annotated fields in the shape of the data folder."""
    simulate_plate(tmp_path / "data", fields=2, size=(200, 260), seed=5)
    masks = (tmp_path / "data" / "labels").rename(tmp_path / "data" / "masks")
    for path in list(masks.iterdir()):
        path.rename(masks / f"{image_stem(path)}.tif")
    names = [path.stem for path in sorted((tmp_path / "data" / "images").iterdir())]
    index = pd.DataFrame({"id": names, "modality": "fluorescence", "kind": ["x", "y"]})
    index.to_csv(tmp_path / "data" / "index.csv", index=False)
    return tmp_path / "data"


@pytest.mark.headless
@pytest.mark.slow
def test_one_command_compares_both_pipelines_with_each_bundled_model(data, tmp_path):
    output = tmp_path / "output"
    command = [sys.executable, "benchmarks/compare.py", "--data", data, "--output", output]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    tables = re.findall(r"(Accuracy|Errors|Time per image)\n\n((?:\|.*\n)+)", result.stdout)
    assert [title for title, _ in tables] == ["Accuracy", "Errors", "Time per image"]
    for _, table in tables:
        methods = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
        assert {"classic basic", "classic advanced", "nuclei_unet"} <= set(methods)
    times = pd.read_csv(output / "times.csv")
    assert (times.groupby("method").size() == 2).all()
    assert (times["seconds"] > 0).any()
    assert (output / "report.html").is_file()
    scores = pd.read_csv(output / "report_files" / "summary.csv").set_index("method")
    assert scores["mean_f1"]["nuclei_unet"] > 0.5
