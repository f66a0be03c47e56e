"""Screens without CellProfiler: planned folders, finished chunks, and a stand-in for CellProfiler itself."""

from __future__ import annotations

import csv
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from nucdl_core.cellprofiler import headless
from nucdl_core.files.writing import file_sha256, write_table
from nucdl_core.screen.cellprofiler.attempt import write_rows
from nucdl_core.screen.core.inspection import ImageFacts, ImageSetInspection
from nucdl_core.screen.core.plan import (
    FORMAT,
    Chunk,
    PlannedImages,
    PlannedPipeline,
    ScreenFolder,
    ScreenLimits,
    ScreenPlan,
    read_rows,
    write_plan,
)
from nucdl_core.screen.core.process import Failure
from nucdl_core.screen.core.publish import FAILED, INSPECTION, Manifest, publish
from nucdl_core.screen.core.records import Finished, describe_chunk, failure_table, inspection_table
from nucdl_core.screen.core.verify import VerifiedTables

MODULES = ("LoadData", "Find", "ExportToSpreadsheet")


def row(number, folder="/images", word="good"):
    """One image set of a list: site 1, 2, ... of wells A01, A02, ... with three sites each."""
    well = f"A{(number - 1) // 3 + 1:02d}"
    site = (number - 1) % 3 + 1
    return {
        "Image_FileName_DNA": f"{number:03d}_{word}.tif",
        "Image_PathName_DNA": str(folder),
        "Metadata_Plate": "P",
        "Metadata_Well": well,
        "Metadata_Site": f"{site:02d}",
    }


def make_screen(root, rows, sizes, limits=None, models=()):
    """Write a planned screen whose chunks have these sizes."""
    folder = ScreenFolder(Path(root))
    folder.chunks.mkdir(parents=True)
    folder.pipeline.write_text("CellProfiler Pipeline", encoding="utf-8")
    chunks, first = [], 1
    for number, size in enumerate(sizes, start=1):
        chunks.append(Chunk(number, first, size))
        write_rows(folder.chunk_csv(chunks[-1]), rows[first - 1 : first - 1 + size])
        first += size
    with folder.chunk_list.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["chunk", "first_image_number", "image_sets"])
        writer.writerows((chunk.number, chunk.first_image_number, chunk.image_sets) for chunk in chunks)
    pipeline = PlannedPipeline("p.cppipe", file_sha256(folder.pipeline), MODULES, ("DNA",), ("Nuclei",))
    images = PlannedImages("0" * 64, len(rows), tuple(rows[0]), ("DNA",))
    limits = limits or ScreenLimits()
    plan = ScreenPlan(FORMAT, "0", pipeline, images, None, (), max(sizes), len(chunks), limits, models)
    write_plan(folder, plan)
    return folder, plan, chunks


def write_fake_tables(folder, rows, counts, seconds=0.5):
    """Write the tables that CellProfiler would write for image sets with these numbers of nuclei."""
    with (folder / "Image.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            [
                "Count_Nuclei",
                "ExecutionTime_02Find",
                "FileName_DNA",
                "Group_Index",
                "ImageNumber",
                "Metadata_Plate",
                "Metadata_Site",
                "Metadata_Well",
                "ModuleError_02Find",
                "PathName_Saved",
            ]
        )
        for number, (each, count) in enumerate(zip(rows, counts), start=1):
            place = [each["Metadata_Plate"], each["Metadata_Site"], each["Metadata_Well"]]
            # CellProfiler writes "2.0" or "2", depending on the first image of the process.
            shown = f"{count}.0" if counts[0] else str(count)
            name = each["Image_FileName_DNA"]
            writer.writerow([shown, seconds * number, name, number, number, *place, 0, "/elsewhere"])
    with (folder / "Nuclei.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["ImageNumber", "ObjectNumber", "Metadata_Site", "AreaShape_EquivalentDiameter", "NucDL_Confidence"]
        )
        for number, (each, count) in enumerate(zip(rows, counts), start=1):
            for nucleus in range(1, count + 1):
                diameter = 10 + nucleus / 7 + len(each["Image_FileName_DNA"])
                writer.writerow([number, nucleus, each["Metadata_Site"], diameter, "nan" if nucleus == 3 else 0.5])


def count_of(each):
    """Number of nuclei of an image set, from 0 to 4, that depends on nothing but the image set."""
    return int(each["Image_FileName_DNA"][:3]) * 7 % 5


def finish_chunk(folder, plan, chunk, failed=(), seconds=0.5):
    """Publish a chunk as if it had been run; `failed` holds global image numbers."""
    rows = read_rows(folder.chunk_csv(chunk))
    positions = [n for n in range(len(rows)) if chunk.first_image_number + n not in failed]
    result = folder.work / chunk.name
    result.mkdir(parents=True)
    attempt = None
    if positions:
        good = [rows[n] for n in positions]
        counts = [count_of(each) for each in good]
        write_fake_tables(result, good, counts, seconds)
        attempt = type("Done", (), {})()
        attempt.tables = VerifiedTables("", {"Image": len(good), "Nuclei": sum(counts)}, {"02Find": seconds})
    failures = {n: Failure("Find", "ValueError: no") for n in range(len(rows)) if n not in positions}
    finished = Finished(attempt, tuple(positions), failures)
    write_table(result / FAILED, failure_table(chunk, rows, failures))
    facts = [inspection(each) for each in rows]
    write_table(result / INSPECTION, inspection_table(chunk, facts))
    figures = {
        "begun": "2026-01-01T00:00:00+00:00",
        "seconds": {"cellprofiler": seconds},
        "processes": 1,
        "peak_memory_mb": 100.0,
    }
    manifest = Manifest(**describe_chunk(folder, plan, chunk, finished, result), **figures)
    assert publish(result, manifest, folder.result(chunk))


def inspection(each, flags=()):
    name = each["Image_FileName_DNA"]
    return ImageSetInspection(
        (ImageFacts("DNA", name, "0" * 64, 9, 9, 4, 4, "uint16", 0, 99, 0.0, len(name) / 7, tuple(flags)),)
    )


STAND_IN = r"""#!{python}
import csv, os, signal, sys, time
sys.path[:0] = {path!r}
given = dict(zip(sys.argv[3:], sys.argv[4:]))
rows = list(csv.DictReader(open(given["--data-file"])))
done, go_on = [], "--always-continue" in sys.argv
for number, row in enumerate(rows, start=1):
    print(f"Image # {{number}}, module LoadData # 1: CPU_time = 0", flush=True)
    word = row["Image_FileName_DNA"][4:-4]
    if word == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "exit":
        sys.exit(0)
    if word == "hang":
        time.sleep(1000)
    if word == "full":
        print("OSError: [Errno 28] No space left on device")
        sys.exit(1)
    if word == "lost":
        print("Error detected during run of module Find\\nRuntimeError: CUDA error: unspecified launch failure")
        print(f"Image # {{number}}, module Find # 2: CPU_time = 0")
        sys.exit(255)
    if word == "crowd" and len(rows) > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "once" and not os.path.exists({once!r}):
        open({once!r}, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "change":
        with open(os.path.join(row["Image_PathName_DNA"], row["Image_FileName_DNA"]), "ab") as image:
            image.write(b"more")
    if word == "raise":
        print("Error detected during run of module Find\nTraceback\nValueError: it is raise")
    print(f"Image # {{number}}, module Find # 2: CPU_time = 0", flush=True)
    if word == "raise" and not go_on:
        open(given["-d"], "w").write("Failure\n")
        sys.exit(255)
    print(f"Image # {{number}}, module ExportToSpreadsheet # 3: CPU_time = 0", flush=True)
    done.append(row)
from pathlib import Path
if {late!r}:
    print("ValueError: too late")
    open(given["-d"], "w").write("Failure\n")
    sys.exit(255)
counts = [int(row["Image_FileName_DNA"][:3]) * 7 % 5 for row in done]
image = ["Count_Nuclei,FileName_DNA,ImageNumber,ModuleError_02Find,ExecutionTime_02Find"]
nuclei = ["ImageNumber,ObjectNumber,AreaShape_Area"]
for number, (row, count) in enumerate(zip(done, counts), start=1):
    image.append(f"{{count}},{{row['Image_FileName_DNA']}},{{number}},0,0.25")
    nuclei += [f"{{number}},{{nucleus}},50" for nucleus in range(1, count + 1)]
Path(given["-o"], "Image.csv").write_text("\n".join(image) + "\n")
Path(given["-o"], "Nuclei.csv").write_text("\n".join(nuclei) + "\n")
open(given["-d"], "w").write("Complete\n")
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Replace CellProfiler by a program that does to each image set what the name of its file says.

    Returns a function that changes it: `late=True` makes it fail after the last image set.
    """
    program = tmp_path / "bin" / "cellprofiler"
    program.parent.mkdir()

    def write(late=False):
        values = {"python": sys.executable, "path": [], "once": str(tmp_path / "once"), "late": late}
        program.write_text(STAND_IN.format(**values), encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    write()
    java = tmp_path / "java"
    (java / "lib" / "server").mkdir(parents=True)
    (java / "lib" / "server" / "libjvm.so").touch()
    monkeypatch.setenv("JAVA_HOME", str(java))
    monkeypatch.setattr(headless, "find_cellprofiler", lambda: program)
    return write


def write_images(folder, rows):
    """Write a small image for each image set; a "cut" one is cut off."""
    folder.mkdir(exist_ok=True)
    image = np.arange(64, dtype=np.uint16).reshape(8, 8)
    for each in rows:
        path = folder / each["Image_FileName_DNA"]
        tifffile.imwrite(path, image)
        if "cut" in path.name:
            path.write_bytes(path.read_bytes()[:-20])


def screen_of(tmp_path, words, sizes=None, **options):
    """Write images that are named by these words, and a planned screen of them."""
    rows = [row(number, tmp_path / "images", word) for number, word in enumerate(words, start=1)]
    write_images(tmp_path / "images", rows)
    return make_screen(tmp_path / "screen", rows, sizes or [len(rows)], **options)
