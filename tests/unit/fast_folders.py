"""Small plates for the fast path."""

import csv

import numpy as np
import tifffile
from drawings import field

from nucdl_core.config import SegmentConfig
from nucdl_core.screen.fast.plan import plan_fast
from nucdl_core.screen.fast.run import run_fast
from nucdl_core.screen.fast.task import FastRequest

CONFIG = SegmentConfig(diameter=24)


def make_plate(folder, words=("good",) * 5):
    """Write an image for each word, and their list: "cut" is cut off, "black" holds nothing, others hold nuclei."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, word in enumerate(words, start=1):
        name = f"{number:03d}_{word}.tif"
        pixels = np.roll(field(shape=(96, 130))[0], 3 * number, axis=1)
        tifffile.imwrite(folder / "images" / name, pixels * (word != "black"))
        if word == "cut":
            path = folder / "images" / name
            path.write_bytes(path.read_bytes()[:-100])
        rows.append([name, "images", "P", f"A{(number + 1) // 2:02d}", f"{2 - number % 2:02d}"])
    header = ["Image_FileName_DNA", "Image_PathName_DNA", "Metadata_Plate", "Metadata_Well", "Metadata_Site"]
    return write_list(folder / "list.csv", header, rows)


def write_list(path, header, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def plan(path, output, config=CONFIG, **options):
    return plan_fast(FastRequest(path, output, config, **{"chunk_size": 2, **options}))


def run(path, output, workers=1, progress=None, **options):
    """Plan and run; return the folder and how it ended."""
    folder, made = plan(path, output, **options)
    return folder, run_fast(folder, made, workers, progress)


def merged_bytes(folder):
    """Content of the merged tables, by name."""
    reports = ("run_report.json", "report.html")
    return {path.name: path.read_bytes() for path in folder.merged.iterdir() if path.name not in reports}
