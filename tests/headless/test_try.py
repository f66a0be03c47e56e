"""What nucdl try chooses gives the same nuclei in CellProfiler and on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from nucdl_core.config import SegmentConfig
from nucdl_core.explore.pipeline import pipeline_text
from nucdl_core.files.reading import read_image, read_labels
from nucdl_core.segment import segment


@pytest.mark.parametrize(
    "config",
    [
        SegmentConfig(treatments=("median3", "background")),
        SegmentConfig(treatments=("bin2", "median3"), diameter=28.0, probability_threshold=0.4, views="flips"),
    ],
)
def test_command_and_pipeline_give_the_same_labels(run_pipeline, plate, tmp_path, config):
    for number, file in enumerate(sorted((plate / "images").iterdir())):
        # Odd sides, and once 8 bits.
        part = read_image(file)[:251, :303]
        part = part if number else (part / part.max() * 255).astype(np.uint8)
        tifffile.imwrite(tmp_path / f"{number}.tif", part)
    names = sorted(path.name for path in tmp_path.glob("*.tif"))
    rows = {"Image_FileName_DNA": names, "Image_PathName_DNA": str(tmp_path)}
    pd.DataFrame(rows).to_csv(tmp_path / "list.csv", index=False)
    pipeline = tmp_path / "chosen.cppipe"
    pipeline.write_text(pipeline_text(config), encoding="utf-8")
    output = run_pipeline(pipeline, tmp_path / "list.csv")
    for name in names:
        labels = read_labels(output / "labels" / f"{Path(name).stem}_labels.tiff")
        assert labels.max() > 5
        np.testing.assert_array_equal(labels, segment(read_image(tmp_path / name), config).labels)
