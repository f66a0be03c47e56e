"""Folders of images, truth and label images of two methods, which tests of reports compare."""

from __future__ import annotations

import json

import numpy as np
from drawings import disks

from nucdl_core.files.writing import write_labels, write_png
from nucdl_core.reports.methods import Inputs
from nucdl_core.reports.page import ReportConfig

TRUTH = disks((60, 80), [(15, 15), (15, 45), (40, 20), (42, 60)], 9)
IMAGES = ("a", "b", "c", "d")


def make_folders(folder, category="kind"):
    """Make four images, a method that finds everything, and one that loses a nucleus more in each image."""
    for name in ("images", "truth", "good", "bad"):
        (folder / name).mkdir()
    for lost, image in enumerate(IMAGES):
        write_png(folder / "images" / f"{image}.png", (TRUTH > 0).astype(np.uint8) * 200)
        write_labels(folder / "truth" / f"{image}.tif", TRUTH)
        write_labels(folder / "good" / f"{image}_labels.tif", TRUTH)
        kept = np.where(np.isin(TRUTH, range(1, lost + 1)), 0, TRUTH)
        write_labels(folder / "bad" / f"{image}_labels.tif", kept.astype(np.int32))
    (folder / "strata.csv").write_text(f"image,{category}\na,x\nb,x\nc,y\nd,y\n")
    results = [{"file": f"/somewhere/{image}.png", "seconds": 0.5, "error": None} for image in IMAGES]
    results.append({"file": "/somewhere/broken.png", "seconds": 9.0, "error": "cut off"})
    (folder / "good" / "run.json").write_text(json.dumps({"results": results}))
    return folder


def report_config(folder, names=("deep", "classic"), **options):
    inputs = Inputs(folder / "truth", list(zip(names, (folder / "good", folder / "bad"))), **options)
    return ReportConfig(inputs, folder / "images", folder / "out.html")
