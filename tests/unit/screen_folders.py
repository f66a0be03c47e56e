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
from nucdl_core.screen.core.outcome import ChunkOutcome, Failure
from nucdl_core.screen.core.plan import (
    PLAN_FORMAT,
    Chunk,
    PlannedImages,
    Procedure,
    ScreenFolder,
    ScreenLimits,
    ScreenPlan,
    read_rows,
    write_plan,
)
from nucdl_core.screen.core.publish import FAILED, INSPECTION, Manifest, publish
from nucdl_core.screen.core.records import describe_chunk, failure_table, inspection_table
from nucdl_core.screen.core.verify import VerifiedTables

PROGRAMS = Path(__file__).parent / "screen" / "programs"
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
    folder.procedure.write_text("CellProfiler Pipeline", encoding="utf-8")
    chunks, first = [], 1
    for number, size in enumerate(sizes, start=1):
        chunks.append(Chunk(number, first, size))
        write_rows(folder.chunk_csv(chunks[-1]), rows[first - 1 : first - 1 + size])
        first += size
    with folder.chunk_list.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["chunk", "first_image_number", "image_sets"])
        writer.writerows((chunk.number, chunk.first_image_number, chunk.image_sets) for chunk in chunks)
    procedure = Procedure("p.cppipe", file_sha256(folder.procedure), MODULES, ("DNA",), ("Nuclei",))
    images = PlannedImages("0" * 64, len(rows), tuple(rows[0]), ("DNA",))
    limits = limits or ScreenLimits()
    plan = ScreenPlan(PLAN_FORMAT, "0", procedure, images, None, (), max(sizes), len(chunks), limits, models)
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
    tables = None
    if positions:
        good = [rows[n] for n in positions]
        counts = [count_of(each) for each in good]
        write_fake_tables(result, good, counts, seconds)
        tables = VerifiedTables("", {"Image": len(good), "Nuclei": sum(counts)}, {"02Find": seconds})
    failures = {n: Failure("Find", "ValueError: no") for n in range(len(rows)) if n not in positions}
    outcome = ChunkOutcome(tables, tuple(positions), failures)
    write_table(result / FAILED, failure_table(chunk, rows, failures, "CellProfiler"))
    facts = [inspection(each) for each in rows]
    write_table(result / INSPECTION, inspection_table(chunk, facts))
    figures = {
        "begun": "2026-01-01T00:00:00+00:00",
        "seconds": {"cellprofiler": seconds},
        "processes": 1,
        "peak_memory_mb": 100.0,
    }
    manifest = Manifest(**describe_chunk(folder, plan, chunk, outcome, result), **figures)
    assert publish(result, manifest, folder.result(chunk))


def inspection(each, flags=()):
    name = each["Image_FileName_DNA"]
    return ImageSetInspection(
        (ImageFacts("DNA", name, "0" * 64, 9, 9, 4, 4, "uint16", 0, 99, 0.0, len(name) / 7, tuple(flags)),)
    )


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Replace CellProfiler by a program that does to each image set what the name of its file says.

    Returns the folder of the command; a file "late" in it makes the program fail after the last image set.
    """
    program = tmp_path / "bin" / "cellprofiler"
    program.parent.mkdir()
    write_command(program, PROGRAMS / "cellprofiler_stand_in.py")
    java = tmp_path / "java"
    (java / "lib" / "server").mkdir(parents=True)
    (java / "lib" / "server" / "libjvm.so").touch()
    monkeypatch.setenv("JAVA_HOME", str(java))
    monkeypatch.setattr(headless, "find_cellprofiler", lambda: program)
    return program.parent


def write_command(path, program):
    """Write a command that runs a program in this Python, wherever it is called."""
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$0" "$@"\n', encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


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
