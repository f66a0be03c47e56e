"""A stand-in for CellProfiler in the demonstration, and a person's own images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from nucdl_core.cellprofiler import demo
from nucdl_core.files.reading import read_labels

SMALL = (64, 80)


def write_what_cellprofiler_would(run, progress=None):
    """Let the deep side find the truth (or nothing where there is none), the classic one nothing."""
    images = pd.read_csv(run.data_file)
    counts = []
    for side, (_, ending) in enumerate(demo.COMPARED_MODULES.values()):
        (run.output / f"labels{ending}").mkdir()
        for name in images["Image_FileName_DNA"]:
            truth = run.output / "plate" / "labels" / name.replace(".tif", "_labels.tif")
            labels = read_labels(truth) * side if truth.exists() else np.zeros(SMALL, np.int32)
            tifffile.imwrite(
                run.output / f"labels{ending}" / name.replace(".tif", "_labels.tiff"), labels.astype(np.uint16)
            )
            counts.append(int(labels.max()))
            if progress:
                progress(1, "IdentifyNucleiDL")
    classic, deep = np.reshape(counts, (2, -1))
    table = pd.DataFrame({"Count_NucleiClassic": classic, "Count_Nuclei": deep})
    table["PathName_DNA"] = images["Image_PathName_DNA"]
    table["URL_DNA"] = [Path(folder, "a.tif").as_uri() for folder in images["Image_PathName_DNA"]]
    table["ExecutionTime_02IdentifyPrimaryObjects"] = 0.25
    table["ExecutionTime_03IdentifyNucleiDL"] = 0.5
    table.to_csv(run.output / "Image.csv", index=False)
    for name, rows in (("NucleiClassic", classic.sum()), ("Nuclei", deep.sum())):
        pd.DataFrame({"ImageNumber": np.ones(rows, int)}).to_csv(run.output / f"{name}.csv", index=False)


def make_own_images(folder):
    """Make a folder with a person's images: 8 bits, 16 bits, colours, a broken one and one that is no image."""
    folder.mkdir()
    grey = np.random.default_rng(1).integers(0, 255, SMALL).astype(np.uint8)
    tifffile.imwrite(folder / "a.tif", grey)
    tifffile.imwrite(folder / "b.tif", grey.astype(np.uint16) * 16)
    tifffile.imwrite(folder / "c.tif", np.stack([grey, grey // 2, grey // 4], -1), photometric="rgb")
    (folder / "cut.tif").write_bytes((folder / "b.tif").read_bytes()[:4000])
    (folder / "notes.txt").write_text("seen on Monday")
    return folder
