"""The command behind ``make demo``, with the real CellProfiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from nucdl_core.cli.words import SOME_FAILED

REPOSITORY = Path(__file__).resolve().parents[2]


def demo(*arguments):
    """Run the command and return its exit code and everything that it printed."""
    command = [str(Path(sys.executable).parent / "nucdl"), "demo", *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_demonstration_compares_both_sides_with_the_truth(tmp_path):
    output = tmp_path / "demo output"
    code, printed = demo("--output", output, "--fields", 2)
    assert code == 0, printed
    table = pd.read_csv(output / "comparison.csv").set_index("module")
    assert table.loc["IdentifyNucleiDL", "mean_f1"] > table.loc["IdentifyPrimaryObjects", "mean_f1"] > 0
    assert f"{table.loc['IdentifyNucleiDL', 'mean_f1']:.3f}" in printed
    images = pd.read_csv(output / "Image.csv")
    assert len(images) == 2
    assert {"Count_Nuclei", "Count_NucleiClassic", "ExecutionTime_03IdentifyNucleiDL"} <= set(images)
    assert set(images["PathName_DNA"]) == {str(output / "plate" / "images")}
    written = "".join(path.read_text(encoding="utf-8") for path in output.glob("*.csv"))
    assert (output / "plate" / "images").as_uri().replace("///", "/") in written and ".replacing" not in written
    assert [path.name for path in tmp_path.iterdir()] == ["demo output"]
    for folder in ("overlays_classic", "overlays_deep", "labels_classic", "labels_deep"):
        assert len(list((output / folder).iterdir())) == 2


@pytest.mark.parametrize("folder", ["mine", "Größe 100% #1"])
def test_own_images_are_used_and_broken_ones_named(tmp_path, folder):
    own = tmp_path / folder
    own.mkdir()
    rows, cols = np.indices((200, 240))
    image = np.full((200, 240), 300, np.uint16)
    image[(rows - 100) ** 2 + (cols - 120) ** 2 < 400] = 4000
    tifffile.imwrite(own / "ä b.tif", image)
    tifffile.imwrite(own / "black.tif", np.zeros((64, 64), np.uint8))
    (own / "cut.tif").write_bytes((own / "ä b.tif").read_bytes()[:9000])
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    code, printed = demo("--output", own / "demo_output", "--images", own)
    assert code == SOME_FAILED, printed
    assert "cut.tif" in printed
    counts = pd.read_csv(own / "demo_output" / "Image.csv").set_index("FileName_DNA")["Count_Nuclei"]
    assert dict(counts) == {"ä b.tif": 1, "black.tif": 0}
    assert {path.name: path.read_bytes() for path in own.iterdir() if path.is_file()} == before
